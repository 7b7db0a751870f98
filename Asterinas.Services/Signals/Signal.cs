namespace Asterinas.Services.Signals;

/// <summary>Signals by their numbers on x86-64 (man 7 signal); 32 to 64 are the real-time ones.</summary>
internal enum Signal
{
    None = 0,
    SIGHUP = 1, SIGINT = 2, SIGQUIT = 3, SIGILL = 4, SIGTRAP = 5, SIGABRT = 6, SIGBUS = 7, SIGFPE = 8, SIGKILL = 9, SIGUSR1 = 10, SIGSEGV = 11, SIGUSR2 = 12, SIGPIPE = 13,
    SIGALRM = 14, SIGTERM = 15, SIGSTKFLT = 16, SIGCHLD = 17, SIGCONT = 18, SIGSTOP = 19, SIGTSTP = 20, SIGTTIN = 21, SIGTTOU = 22, SIGURG = 23, SIGXCPU = 24, SIGXFSZ = 25,
    SIGVTALRM = 26, SIGPROF = 27, SIGWINCH = 28, SIGIO = 29, SIGPWR = 30, SIGSYS = 31,
    FirstRealTime = 32,
    Last = 64,
}

/// <summary>A set of signals: bit n - 1 is signal n, as sigset_t.</summary>
/// <param name="Bits">The set.</param>
internal readonly record struct SignalSet(ulong Bits)
{
    /// <summary>SIGKILL and SIGSTOP, which nobody can block, catch or ignore.</summary>
    public static readonly SignalSet Unblockable = Of(Signal.SIGKILL) | Of(Signal.SIGSTOP);

    public static SignalSet Of(Signal signal) => new(1UL << ((int)signal - 1));
    public bool Contains(Signal signal) => (Bits >> ((int)signal - 1) & 1) != 0;
    public bool IsEmpty => Bits == 0;
    public static SignalSet operator |(SignalSet a, SignalSet b) => new(a.Bits | b.Bits);
    public static SignalSet operator &(SignalSet a, SignalSet b) => new(a.Bits & b.Bits);
    public static SignalSet operator ~(SignalSet a) => new(~a.Bits);
}

/// <summary>What comes with a signal (siginfo_t, man 2 sigaction).</summary>
/// <param name="Signal">Which one.</param>
/// <param name="Code">si_code: who sent it (SI_USER 0, SI_KERNEL 0x80, SI_QUEUE -1, SI_TIMER -2, SI_TKILL -6), or what happened.</param>
internal readonly record struct SignalInfo(Signal Signal, int Code)
{
    public const int User = 0, Kernel = 0x80, Queue = -1, Timer = -2, MessageQueue = -3, AsyncIo = -4, SigIo = -5, Tkill = -6;
    /// <summary>si_errno.</summary>
    public int ErrorNumber { get; init; }
    /// <summary>si_pid, as the receiver's pid namespace sees it; or si_timerid.</summary>
    public int Pid { get; init; }
    /// <summary>si_uid; or si_overrun.</summary>
    public uint Uid { get; init; }
    /// <summary>si_value; or si_status in the low half for SIGCHLD; or si_addr for faults; or si_band for SIGIO.</summary>
    public ulong Value { get; init; }
    /// <summary>si_utime and si_stime for SIGCHLD, in clock ticks; si_fd for SIGIO in the first.</summary>
    public long UserTime { get; init; }
    public long SystemTime { get; init; }
}
