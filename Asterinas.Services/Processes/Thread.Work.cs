using System.Threading;
using Asterinas.Ostd.User;
using Asterinas.Services.Signals;

namespace Asterinas.Services.Processes;

/// <summary>What a thread does on its way back to user mode: signals, stops, the end.</summary>
internal sealed partial class Thread
{
    private int _isEnding;

    /// <summary>Whether the thread leaves user mode for good.</summary>
    public bool IsEnding => Volatile.Read(ref _isEnding) != 0;

    /// <summary>Whether something waits for the thread on its way back to user mode. Looked at after every return from it: must be cheap.</summary>
    private bool HasWork => false;

    private void DoWork()
    {
    }

    private void OnException(UserException exception) => Process.Kill(Signal.SIGSEGV);

    /// <summary>Makes the thread leave user mode for good at its next return.</summary>
    public void End() => Volatile.Write(ref _isEnding, 1);

    private void OnEnd()
    {
    }
}
