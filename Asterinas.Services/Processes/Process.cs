using System.Collections.Generic;
using System.Threading;
using Asterinas.Services.Memory;
using Asterinas.Services.Signals;

namespace Asterinas.Services.Processes;

/// <summary>
/// A process: threads that share memory, signal handlers, limits and a parent (man 7 pthreads). It is born with one thread, becomes a zombie with its last, and is gone when its
/// parent has waited for it.
/// <code>
///   Running ──last thread ends──► Zombie ──wait──► Reaped
/// </code>
/// </summary>
internal sealed partial class Process
{
    private AddressSpace _memory;

    public Process(Pid pid, AddressSpace memory, ResourceLimits limits)
    {
        Pid = pid;
        _memory = memory;
        Limits = limits;
    }

    /// <summary>Its number: that of its first thread.</summary>
    public Pid Pid { get; }

    /// <summary>Its memory. Replaced by exec.</summary>
    public AddressSpace Memory
    {
        get => Volatile.Read(ref _memory);
        set => Volatile.Write(ref _memory, value);
    }

    public ResourceLimits Limits { get; }

    // Under the tree lock.
    public Process? Parent;
    public readonly List<Process> Children = [];
    public ProcessGroup Group = null!;
    public Session Session => Group.Session;
    public readonly List<Thread> Threads = [];

    /// <summary>Sends a signal of the kernel's own to the process.</summary>
    public void Kill(Signal signal) => Send(new SignalInfo(signal, SignalInfo.Kernel));
}
