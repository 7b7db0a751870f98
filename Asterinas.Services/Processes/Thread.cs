using System;
using System.Threading;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Tasks;
using Asterinas.Ostd.User;
using Asterinas.Services.Memory;
using Asterinas.Services.Signals;
using Asterinas.Services.Syscalls;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Processes;

/// <summary>
/// A Linux thread: a task whose loop runs the program in user mode and answers what it comes back with. What clone(2) can share lies behind references: files, file-system
/// context, and, by way of the process, address space and signal handlers.
/// </summary>
internal sealed partial class Thread
{
    private Task? _task;
    private Credentials _credentials;
    private NamespaceSet _namespaces;

    public Thread(Process process, Pid pid, UserContext context, Credentials credentials, NamespaceSet namespaces, FileTable files, FileSystemContext fileSystem)
    {
        Process = process;
        Pid = pid;
        Context = context;
        _credentials = credentials;
        _namespaces = namespaces;
        Files = files;
        FileSystem = fileSystem;
    }

    /// <summary>The thread that runs this code; null on kernel tasks.</summary>
    public static Thread? Current => Task.Current.Data as Thread;

    public Process Process { get; }

    /// <summary>Its id; changes when a thread that is not the leader executes a program (man 2 execve).</summary>
    public Pid Pid { get; set; }

    /// <summary>Registers in user mode. Only the thread itself touches them while it runs.</summary>
    public UserContext Context { get; }

    /// <summary>The kernel task; set before it first runs.</summary>
    public Task Task => _task!;

    public Credentials Credentials
    {
        get => Volatile.Read(ref _credentials);
        set => Volatile.Write(ref _credentials, value);
    }

    public NamespaceSet Namespaces
    {
        get => Volatile.Read(ref _namespaces);
        set => Volatile.Write(ref _namespaces, value);
    }

    /// <summary>Open files; shared with CLONE_FILES.</summary>
    public FileTable Files { get; set; }

    /// <summary>Root, working directory, umask; shared with CLONE_FS.</summary>
    public FileSystemContext FileSystem { get; set; }

    /// <summary>User memory of the process.</summary>
    public AddressSpace Memory => Process.Memory;

    /// <summary>Name of at most 15 bytes (prctl PR_SET_NAME); replaced as a whole.</summary>
    public byte[] Name { get; set; } = [];

    /// <summary>The system call being served, -1 for none: what a restart needs (orig_rax).</summary>
    public long SyscallNumber { get; set; } = -1;

    /// <summary>Where to write 0 and wake a futex when the thread ends (man 2 set_tid_address).</summary>
    public ulong ClearChildTid { get; set; }

    /// <summary>What it does in the kernel before it first goes to user mode: of the kernel's own processes; null for nothing.</summary>
    internal System.Action<Thread>? Prologue;

    /// <summary>Starts the task of the thread.</summary>
    /// <param name="schedulerData">For the scheduling policy.</param>
    /// <returns>ENOMEM or None.</returns>
    public Errno Start(object? schedulerData)
    {
        // The task may run before TrySpawn returns: it publishes itself first thing.
        Task? task = Task.TrySpawn(Run, new TaskOptions { Name = "user", StackBytes = KernelStackBytes, Data = this, SchedulerData = schedulerData });
        if (task is null) return Errno.ENOMEM;
        _task = task;
        return Errno.None;
    }

    private const int KernelStackBytes = 64 * 1024;

    private void Run()
    {
        Volatile.Write(ref _task, Task.Current);
        OnStart();
        Prologue?.Invoke(this);
        Prologue = null;
        if (HasWork) DoWork();
        while (!IsEnding)
        {
            switch (UserMode.Execute(Context, Memory.Space))
            {
                case ReturnReason.UserSyscall:
                    SyscallTable.Dispatch(this);
                    // ERESTARTSYS to ERESTART_RESTARTBLOCK: what becomes of the call is decided with the signal that interrupted it.
                    if ((ulong)(Context.SyscallResult + (long)Errno.ERESTART_RESTARTBLOCK) <= Errno.ERESTART_RESTARTBLOCK - Errno.ERESTARTSYS) OnInterruptedCall();
                    break;
                case ReturnReason.UserException:
                    OnException(Context.Exception);
                    break;
                case ReturnReason.KernelEvent:
                    OnKernelEvent();
                    break;
            }
            if (HasWork) DoWork();
            SyscallNumber = -1;
        }
        OnEnd();
    }

    private void OnInterruptedCall()
    {
        if (SyscallNumber >= 0) Notify(Work.Restart);
    }

    /// <summary>A system call threw: a defect of this kernel. The process ends, the system goes on.</summary>
    public long OnDefect(Exception defect)
    {
        Log.Error($"defect in system call {SyscallNumber} of process {Process.Pid.Number}: {defect}");
        Process.Kill(Signal.SIGKILL);
        return -(long)Errno.EFAULT;
    }
}
