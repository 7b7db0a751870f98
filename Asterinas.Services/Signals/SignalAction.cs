using System.Threading;

namespace Asterinas.Services.Signals;

/// <summary>Flags of sigaction(2) on x86-64.</summary>
[System.Flags]
internal enum SignalActionFlags : uint
{
    None = 0,
    NoChildStop = 1,
    NoChildWait = 2,
    Info = 4,
    Unsupported = 0x400,
    ExposeTagBits = 0x800,
    Restorer = 0x04000000,
    OnStack = 0x08000000,
    Restart = 0x10000000,
    NoDefer = 0x40000000,
    ResetHandler = 0x80000000,
    /// <summary>What is kept and handed back: unknown bits are cleared, so that a program can ask what is known (man 2 sigaction, SA_UNSUPPORTED).</summary>
    Known = NoChildStop | NoChildWait | Info | ExposeTagBits | Restorer | OnStack | Restart | NoDefer | ResetHandler,
}

/// <summary>What a process does with a signal. Immutable.</summary>
/// <param name="Handler">0 default, 1 ignore, else the handler's address.</param>
/// <param name="Flags">SA_*.</param>
/// <param name="Restorer">Where the handler returns to.</param>
/// <param name="Mask">Blocked while the handler runs.</param>
internal sealed record SignalAction(ulong Handler, SignalActionFlags Flags, ulong Restorer, SignalSet Mask)
{
    public const ulong DefaultHandler = 0, IgnoreHandler = 1;
    public static readonly SignalAction Default = new(DefaultHandler, SignalActionFlags.None, 0, default);

    public bool IsDefault => Handler == DefaultHandler;
    public bool IsIgnore => Handler == IgnoreHandler;
    public bool IsHandler => Handler > IgnoreHandler;
}

/// <summary>The actions of a process; shared by processes with CLONE_SIGHAND. An action is replaced as a whole, so readers need no lock.</summary>
internal sealed class SignalHandlers
{
    private readonly SignalAction?[] _actions = new SignalAction?[(int)Signal.Last + 1];
    private int _users = 1;

    public SignalAction this[Signal signal]
    {
        get => Volatile.Read(ref _actions[(int)signal]) ?? SignalAction.Default;
        set => Volatile.Write(ref _actions[(int)signal], value);
    }

    public bool IsShared => Volatile.Read(ref _users) > 1;
    public void AddUser() => Interlocked.Increment(ref _users);
    public void Release() => Interlocked.Decrement(ref _users);

    /// <summary>A copy for fork(2).</summary>
    public SignalHandlers Copy()
    {
        var copy = new SignalHandlers();
        for (int i = 1; i < _actions.Length; i++) copy._actions[i] = Volatile.Read(ref _actions[i]);
        return copy;
    }

    /// <summary>What exec(2) leaves: handlers become the default, ignored signals stay ignored. CLONE_CLEAR_SIGHAND leaves the same.</summary>
    public SignalHandlers CopyForExec()
    {
        var copy = new SignalHandlers();
        for (int i = 1; i < _actions.Length; i++)
        {
            if (Volatile.Read(ref _actions[i]) is { IsIgnore: true } action) copy._actions[i] = new SignalAction(SignalAction.IgnoreHandler, SignalActionFlags.None, 0, default);
        }
        return copy;
    }
}

/// <summary>What happens without a handler (man 7 signal).</summary>
internal static class DefaultAction
{
    private static readonly SignalSet s_ignored = SignalSet.Of(Signal.SIGCHLD) | SignalSet.Of(Signal.SIGCONT) | SignalSet.Of(Signal.SIGURG) | SignalSet.Of(Signal.SIGWINCH);
    private static readonly SignalSet s_core = SignalSet.Of(Signal.SIGQUIT) | SignalSet.Of(Signal.SIGILL) | SignalSet.Of(Signal.SIGTRAP) | SignalSet.Of(Signal.SIGABRT)
        | SignalSet.Of(Signal.SIGFPE) | SignalSet.Of(Signal.SIGSEGV) | SignalSet.Of(Signal.SIGBUS) | SignalSet.Of(Signal.SIGSYS) | SignalSet.Of(Signal.SIGXCPU)
        | SignalSet.Of(Signal.SIGXFSZ);

    /// <summary>SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU.</summary>
    public static readonly SignalSet Stopping = SignalSet.Of(Signal.SIGSTOP) | SignalSet.Of(Signal.SIGTSTP) | SignalSet.Of(Signal.SIGTTIN) | SignalSet.Of(Signal.SIGTTOU);

    /// <summary>Signals that the CPU causes: delivered before others, so that the frame is that of the fault.</summary>
    public static readonly SignalSet Synchronous = SignalSet.Of(Signal.SIGSEGV) | SignalSet.Of(Signal.SIGBUS) | SignalSet.Of(Signal.SIGILL) | SignalSet.Of(Signal.SIGTRAP)
        | SignalSet.Of(Signal.SIGFPE) | SignalSet.Of(Signal.SIGSYS);

    public static bool Ignores(Signal signal) => s_ignored.Contains(signal);
    public static bool Stops(Signal signal) => Stopping.Contains(signal);
    public static bool Dumps(Signal signal) => s_core.Contains(signal);
    public static bool Kills(Signal signal) => !Ignores(signal) && !Stops(signal);
}
