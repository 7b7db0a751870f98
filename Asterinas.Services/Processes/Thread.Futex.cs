using Asterinas.Services.Memory;

namespace Asterinas.Services.Processes;

/// <summary>The thread at futexes.</summary>
internal sealed partial class Thread
{
    /// <summary>Its seat at a futex.</summary>
    public FutexWaiter FutexSeat { get; } = new();
}
