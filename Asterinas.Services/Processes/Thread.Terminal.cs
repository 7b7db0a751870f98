using Asterinas.Services.Signals;

namespace Asterinas.Services.Processes;

/// <summary>The thread at terminals and at poll.</summary>
internal sealed partial class Thread
{
    /// <summary>Whether a signal would not reach the thread's program: it is blocked, or ignored.</summary>
    public bool IsIgnoredOrBlocked(Signal signal) => _blocked.Contains(signal) || Process.Handlers[signal].IsIgnore;

    /// <summary>Its seat at poll(2) and select(2); made with the first wait.</summary>
    public Ipc.PollSeat? PollSeat;
}
