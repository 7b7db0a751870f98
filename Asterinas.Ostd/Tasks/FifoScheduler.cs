using System;
using System.Collections.Generic;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Sync;

namespace Asterinas.Ostd.Tasks;

/// <summary>The default policy: round robin with a time slice, one queue a CPU; a task goes to the CPU with the shortest queue that its affinity allows.</summary>
public sealed class FifoScheduler : IScheduler
{
    /// <summary>Nanoseconds that a task runs in user mode while others wait.</summary>
    public const ulong TimeSliceNs = 10000000;

    private readonly RunQueue[] _queues;

    /// <summary>Empty queues for every CPU.</summary>
    public FifoScheduler()
    {
        _queues = new RunQueue[Machine.CpuCount()];
        for (int i = 0; i < _queues.Length; i++) _queues[i] = new RunQueue(this, i);
    }

    /// <inheritdoc/>
    public int Enqueue(Task task, EnqueueReason reason)
    {
        int best = Choose(task);
        _queues[best].Add(task);
        return best;
    }

    /// <inheritdoc/>
    public ILocalRunQueue GetLocalRunQueue(int cpu) => _queues[cpu];

    private int Choose(Task task)
    {
        int best = -1;
        for (int cpu = 0; cpu < _queues.Length; cpu++)
        {
            if (task.Affinity is { } allowed && !allowed.Contains(cpu)) continue;
            if (best < 0 || _queues[cpu].Count < _queues[best].Count) best = cpu;
        }
        return Math.Max(best, 0);
    }

    private sealed class RunQueue(FifoScheduler scheduler, int cpu) : ILocalRunQueue
    {
        private readonly SpinLock _lock = new("fifo run queue");
        private readonly Queue<Task> _waiting = new(64);
        private ulong _sliceEnd;

        public Task? Current { get; private set; }

        public ulong SliceDeadlineNs => Current is null ? 0 : _sliceEnd;

        public int Count => _waiting.Count + (Current is null ? 0 : 1);

        public void Add(Task task)
        {
            using SpinLock.Guard guard = _lock.Lock();
            _waiting.Enqueue(task);
        }

        public bool UpdateCurrent(UpdateReason reason)
        {
            using SpinLock.Guard guard = _lock.Lock();
            bool expired = Machine.MonotonicNs() >= _sliceEnd;
            if (_waiting.Count != 0) return expired || reason != UpdateReason.Tick;
            if (expired) _sliceEnd = Machine.MonotonicNs() + TimeSliceNs;
            return false;
        }

        public Task? PickNext()
        {
            while (true)
            {
                Task? next;
                using (SpinLock.Guard guard = _lock.Lock())
                {
                    if (!_waiting.TryDequeue(out next)) return null;
                    if (next.Affinity is not { } allowed || allowed.Contains(cpu))
                    {
                        if (Current is not null) _waiting.Enqueue(Current);
                        Current = next;
                        _sliceEnd = Machine.MonotonicNs() + TimeSliceNs;
                        return next;
                    }
                }
                // Its affinity was changed while it waited here.
                Scheduler.RequestReschedule(scheduler.Enqueue(next, EnqueueReason.Wake));
            }
        }

        public Task? DequeueCurrent()
        {
            using SpinLock.Guard guard = _lock.Lock();
            Task? old = Current;
            Current = null;
            return old;
        }
    }
}
