using System.Runtime.CompilerServices;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Smp;
using Asterinas.Ostd.Tasks;
using Asterinas.Ostd.Timers;

namespace Asterinas.Tests.Kernel;

/// <summary>Policies that do not return: the watchdog names them and ends the machine. Each is a boot of its own.</summary>
internal static class HungPolicies
{
    public static void Scheduler()
    {
        Ostd.Tasks.Scheduler.Inject(new HungScheduler());
        // On the last CPU: with several, not the one that has the watchdog.
        Task.Spawn(static () => Task.Sleep(1000), new TaskOptions { Affinity = new CpuSet(1UL << (CpuSet.Online.Count - 1)) }).Join();
    }

    public static void FrameAllocator()
    {
        Ostd.Memory.FrameAllocator.Inject(new HungFrameAllocator(), 16);
        Frame.Allocate().Dispose();
    }

    public static void SlabAllocator()
    {
        SlabHeap.Inject(new HungSlabAllocator());
        SlabHeap.TryAllocate(64);
    }

    /// <summary>The panic's text stays whole although every other CPU writes too.</summary>
    public static void PanicBesideBusyCpus()
    {
        Task[] tasks = SmpTests.OnEachCpu(static cpu =>
        {
            for (int line = 0; ; line++)
            {
                Log.Info($"CPU {cpu} line {line}");
                Task.YieldIfNeeded();
            }
        });
        Task.Sleep(50000000);
        Panic.Fail($"beside {tasks.Length} busy CPUs");
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void NeverReturn()
    {
        while (Clock.MonotonicNs != 0) { }
    }

    private sealed class HungScheduler : IScheduler, ILocalRunQueue
    {
        private readonly FifoScheduler _honest = new();
        private int _calls;

        public Task? Current => _honest.GetLocalRunQueue(0).Current;

        public int Enqueue(Task task, EnqueueReason reason)
        {
            if (++_calls > 2) NeverReturn();
            return _honest.Enqueue(task, reason);
        }

        public ILocalRunQueue GetLocalRunQueue(int cpu) => _honest.GetLocalRunQueue(cpu);

        public bool UpdateCurrent(UpdateReason reason) => false;

        public Task? PickNext() => null;

        public Task? DequeueCurrent() => null;
    }

    private sealed class HungFrameAllocator : IFrameAllocator
    {
        public PhysicalAddress? Allocate(FrameLayout layout)
        {
            NeverReturn();
            return null;
        }

        public void Deallocate(PhysicalAddress start, int pageCount)
        {
        }

        public void AddFreeMemory(PhysicalAddress start, int pageCount)
        {
        }
    }

    private sealed class HungSlabAllocator : ISlabAllocator
    {
        public HeapSlot? Allocate(int size)
        {
            NeverReturn();
            return null;
        }

        public void Deallocate(HeapSlot slot)
        {
        }
    }
}
