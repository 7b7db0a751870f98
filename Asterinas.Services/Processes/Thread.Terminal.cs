using Asterinas.Services.Signals;

namespace Asterinas.Services.Processes;

/// <summary>The thread at terminals and at poll.</summary>
internal sealed partial class Thread
{
    /// <summary>Whether a signal would not reach the thread's program: it is blocked, or ignored.</summary>
    public bool IsIgnoredOrBlocked(Signal signal) => false;

    /// <summary>Blocks other signals than before for the rest of a system call.</summary>
    public void BeginTemporaryMask(SignalSet mask)
    {
    }

    /// <summary>The system call is over.</summary>
    /// <param name="isInterrupted">Whether a signal ended it, which is still to be delivered under the temporary mask.</param>
    public void EndTemporaryMask(bool isInterrupted)
    {
    }

    /// <summary>Its seat at poll(2) and select(2); made with the first wait.</summary>
    public Ipc.PollSeat? PollSeat;
}
