using System;
using Asterinas.Ostd.Boot;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Sync;
using Asterinas.Services.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Scheduling;
using Asterinas.Services.Syscalls;
using Asterinas.Services.Vfs;

namespace Asterinas.Services;

/// <summary>The Linux kernel as the boot program sees it: started once, it runs until the machine is switched off.</summary>
public static class LinuxKernel
{
    private const int KiBAThread = 256;
    private static readonly WaitQueue s_never = new();
    private static KernelCommandLine s_options = KernelCommandLine.Empty;

    /// <summary>What the boot loader asked for.</summary>
    internal static KernelCommandLine CommandLine => s_options;

    /// <summary>Starts the first program and serves it. The scheduler has been injected. Does not return.</summary>
    public static int Run()
    {
        s_options = KernelCommandLine.Parse(BootInfo.Current.CommandLine);
        SyscallTable.Initialize();
        long limit = (long)(RuntimeStatistics.FreeBytes >> 10) / KiBAThread;
        Clone.MaxThreads = (int)Math.Clamp(limit, 64, PidNamespace.DefaultMaximum);
        VfsPath root = KernelSetup.MakeRoot();
        LoadAverage.Start();
        InitProgram.Start(root, s_options, (ulong)Clone.MaxThreads / 2);
        // The boot task has done its work. It stays, because the machine's runtime ends with it.
        while (true) s_never.WaitBounded(0, static _ => false, ulong.MaxValue);
    }

    /// <summary>The first process has ended: nothing can go on without it. Does not return.</summary>
    /// <param name="status">As wait(2) reports it.</param>
    internal static void OnInitExit(int status)
    {
        Log.Write(LogLevel.Emergency, $"Kernel panic - not syncing: Attempted to kill init! exitcode=0x{status:x8}");
        int code = (status & 0x7F) != 0 ? 128 + (status & 0x7F) : status >> 8 & 0xFF;
        // panic=N: after N seconds, at once for a negative one; 0: never on Linux. Here the machine is switched off, and the launcher learns the status.
        if (s_options.PanicSeconds > 0) Task.Sleep((ulong)s_options.PanicSeconds * 1000000000);
        Power.Off(code);
    }
}
