using Asterinas.Services.Memory;
using Asterinas.Services.Signals;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Processes;

/// <summary>What links a process has, at one moment.</summary>
internal readonly record struct ProcessLinks(Pid? Parent, Pid Group, Pid Session, int ThreadCount, DeviceNumber? Terminal, Pid? Foreground);

/// <summary>The process as others look at it: /proc, the out-of-memory killer.</summary>
internal sealed partial class Process
{
    /// <summary>Its thread with its own number; another one when that has ended, null when all have.</summary>
    public Thread? Leader
    {
        get
        {
            using SpinLock.Guard guard = SignalLock.Lock();
            foreach (Thread thread in Threads)
            {
                if (ReferenceEquals(thread.Pid, Pid)) return thread;
            }
            return Threads.Count > 0 ? Threads[0] : null;
        }
    }

    /// <summary>Its name, kept for a zombie.</summary>
    public byte[] LastName { get; set; } = [];

    /// <summary>oom_score_adj (man 5 proc): -1000 to 1000.</summary>
    public int OomAdjustment { get; set; }

    /// <summary>Whether it still has memory that an observer may use: <see cref="MemoryUser"/>.</summary>
    public bool HasMemory => !IsZombie && Memory.IsAlive;

    public ProcessLinks Links
    {
        get
        {
            using SpinLock.Guard guard = ProcessTree.Lock.Lock();
            Session session = Group.Session;
            return new ProcessLinks(Parent?.Pid, Group.Pid, session.Pid, Threads.Count, HasLeftTerminal ? null : session.Terminal?.Device, session.Terminal?.Foreground?.Pid);
        }
    }

    /// <summary>Signals that it ignores, and those that it catches, as sets.</summary>
    public (SignalSet Ignored, SignalSet Caught) ActionSets
    {
        get
        {
            SignalSet ignored = default, caught = default;
            for (int i = 1; i <= (int)Signal.Last; i++)
            {
                SignalAction action = Handlers[(Signal)i];
                if (action.IsIgnore) ignored |= SignalSet.Of((Signal)i);
                else if (action.IsHandler) caught |= SignalSet.Of((Signal)i);
            }
            return (ignored, caught);
        }
    }

    /// <summary>Signals that wait for the process as a whole.</summary>
    public SignalSet SharedPending
    {
        get
        {
            using SpinLock.Guard guard = SignalLock.Lock();
            return SharedSignals.Set;
        }
    }
}

/// <summary>The thread as others look at it.</summary>
internal sealed partial class Thread
{
    /// <summary>Whether it is about to be killed: waiting for something on its behalf is in vain.</summary>
    public bool HasFatalSignal => Process.IsExiting || Pending.Contains(Signal.SIGKILL);
}

/// <summary>Another process' memory in use: it stays until this is disposed.</summary>
internal readonly ref struct MemoryUser
{
    /// <summary>Takes part in the memory of a process, if it has any.</summary>
    public MemoryUser(Process process)
    {
        AddressSpace memory = process.Memory;
        Memory = memory.TryAddUser() ? memory : null;
    }

    /// <summary>Null when the process has none (any more).</summary>
    public AddressSpace? Memory { get; }

    public void Dispose() => Memory?.Release();
}
