namespace Asterinas.Services.Syscalls;

/// <summary>The families of system calls.</summary>
internal sealed partial class SyscallTable
{
    /// <summary>Fills the table. Called once at boot.</summary>
    public static void Initialize()
    {
        ClockAdjustSyscalls.Register();
        EpollSyscalls.Register();
        EventSyscalls.Register();
        FutexSyscalls.Register();
        KernelLogSyscalls.Register();
        MemorySyscalls.Register();
        OpenSyscalls.Register();
        PipeSyscalls.Register();
        PollSyscalls.Register();
        RandomSyscalls.Register();
        ReadWriteSyscalls.Register();
        TimeSyscalls.Register();
        TimerSyscalls.Register();
    }
}
