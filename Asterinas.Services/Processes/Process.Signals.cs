using Asterinas.Services.Signals;

namespace Asterinas.Services.Processes;

/// <summary>Signals to the process as a whole.</summary>
internal sealed partial class Process
{
    /// <summary>Queues a signal for the process: one of its threads that does not block it takes it (man 7 signal).</summary>
    public void Send(in SignalInfo info)
    {
    }
}
