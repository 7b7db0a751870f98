using System.Threading;
using Asterinas.Ostd.Arch;

namespace Asterinas.Ostd.Memory;

/// <summary>
/// The lock of the memory mechanism itself: a spin lock for sections of bounded length. The kernel is not preempted, so its holder runs; a waiter
/// spins in a place where a garbage collection can stop it. Never held while a policy is called.
/// </summary>
internal struct SpinGate
{
    private int _held;

    /// <summary>Enters; spins while somebody else is inside. Not reentrant.</summary>
    public void Enter()
    {
        while (Interlocked.CompareExchange(ref _held, 1, 0) != 0)
        {
            Machine.Pause();
        }
    }

    /// <summary>Leaves.</summary>
    public void Exit() => Volatile.Write(ref _held, 0);
}
