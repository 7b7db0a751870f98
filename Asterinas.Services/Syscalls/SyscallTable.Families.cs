namespace Asterinas.Services.Syscalls;

/// <summary>The families of system calls.</summary>
internal sealed partial class SyscallTable
{
    /// <summary>Fills the table. Called once at boot.</summary>
    public static void Initialize()
    {
        AttributeSyscalls.Register();
        CapabilitySyscalls.Register();
        ClockAdjustSyscalls.Register();
        CredentialSyscalls.Register();
        DescriptorSyscalls.Register();
        DirectorySyscalls.Register();
        EpollSyscalls.Register();
        EventSyscalls.Register();
        FutexSyscalls.Register();
        IdentitySyscalls.Register();
        KernelLogSyscalls.Register();
        LimitSyscalls.Register();
        MemoryFileSyscalls.Register();
        MemorySyscalls.Register();
        MessageSyscalls.Register();
        MountSyscalls.Register();
        NameSyscalls.Register();
        NamespaceSyscalls.Register();
        OpenSyscalls.Register();
        PidFdSyscalls.Register();
        PipeSyscalls.Register();
        PollSyscalls.Register();
        PrctlSyscalls.Register();
        ProcessSyscalls.Register();
        RandomSyscalls.Register();
        ReadWriteSyscalls.Register();
        SchedulingSyscalls.Register();
        SignalSendSyscalls.Register();
        SignalSyscalls.Register();
        SocketOptionSyscalls.Register();
        SocketSyscalls.Register();
        StatusSyscalls.Register();
        StorageSyscalls.Register();
        SystemSyscalls.Register();
        TimeSyscalls.Register();
        TimerSyscalls.Register();
        TransferSyscalls.Register();
        WaitSyscalls.Register();
    }
}
