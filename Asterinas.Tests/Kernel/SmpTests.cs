using System;
using System.Collections.Generic;
using System.Threading;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Smp;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.Tasks;
using Asterinas.Ostd.Timers;
using Asterinas.Ostd.User;
using Reg = Asterinas.Ostd.User.Register;
using Task = Asterinas.Ostd.Tasks.Task;

namespace Asterinas.Tests.Kernel;

/// <summary>Several CPUs: they all run tasks, are woken by interrupts, forget translations before frames are freed. With one CPU the same tests run on it alone.</summary>
internal static class SmpTests
{
    private const ulong Millisecond = 1000000;

    public static void Register()
    {
        Program.Add("Cpus_all_run_tasks_and_wake_each_other", AllRun);
        Program.Add("Affinity_changes_move_a_running_task", AffinityMoves);
        Program.Add("User_pages_that_are_unmapped_are_gone_on_all_cpus", Shootdown);
        Program.Add("Cpus_that_flush_each_other_do_not_wait_in_a_circle", FlushEachOther);
        Program.Add("User_vector_state_follows_a_task_from_cpu_to_cpu", VectorStateMigrates);
    }

    public static void Join(params ReadOnlySpan<Task> tasks)
    {
        foreach (Task task in tasks)
        {
            Expect.Equal(WaitResult.Woken, task.Join(120000 * Millisecond), $"join of {task.Name}");
            if (task.Failure is { } failure) throw new TestFailure($"{task.Name}: {failure}");
        }
    }

    /// <summary>A task for each CPU, tied to it.</summary>
    public static Task[] OnEachCpu(Action<int> entry)
    {
        var tasks = new Task[CpuSet.Online.Count];
        for (int i = 0; i < tasks.Length; i++)
        {
            int cpu = i;
            tasks[i] = Task.Spawn(() => entry(cpu), new TaskOptions { Name = $"cpu {cpu}", Affinity = new CpuSet(1UL << cpu) });
        }
        return tasks;
    }

    private static void AllRun()
    {
        int cpus = CpuSet.Online.Count;
        Expect.Equal(Program.ExpectedCpus, cpus, "CPUs online");
        var number = new CpuLocal<int>(static cpu => cpu);
        Task[] tasks = OnEachCpu(cpu =>
        {
            for (int round = 0; round < 100; round++)
            {
                Expect.Equal(cpu, number.Value, "the CPU that a task runs on");
                if (round % 2 == 0) Task.Yield(); else Task.Sleep(100000);
            }
        });
        Join(tasks);
        // Halted CPUs: each wake-up is an interrupt. A token goes round.
        int turn = 0;
        var queue = new Ostd.Sync.WaitQueue();
        const int Rounds = 200;
        tasks = OnEachCpu(cpu =>
        {
            for (int round = 0; round < Rounds; round++)
            {
                queue.WaitInterruptible(0, _ => Volatile.Read(ref turn) % cpus == cpu);
                Interlocked.Increment(ref turn);
                queue.WakeAll();
            }
        });
        Join(tasks);
        Expect.Equal(Rounds * cpus, turn, "turns of the token");
    }

    private static void AffinityMoves()
    {
        int cpus = CpuSet.Online.Count, stop = 0;
        var number = new CpuLocal<int>(static cpu => cpu);
        int seen = -1;
        Task runner = Task.Spawn(() =>
        {
            while (Volatile.Read(ref stop) == 0)
            {
                Volatile.Write(ref seen, number.Value);
                Task.YieldIfNeeded();
            }
        });
        for (int round = 0; round < 40; round++)
        {
            int target = round % cpus;
            runner.SetAffinity(new CpuSet(1UL << target));
            ulong end = Clock.MonotonicNs + 5000 * Millisecond;
            while (Volatile.Read(ref seen) != target && Clock.MonotonicNs < end) Task.Yield();
            Expect.Equal(target, Volatile.Read(ref seen), "the CPU that the task runs on after a change of its affinity");
        }
        Volatile.Write(ref stop, 1);
        Join(runner);
        // The caller itself is on the new CPU when the call returns.
        for (int cpu = 0; cpu < cpus; cpu++)
        {
            Task.Current.SetAffinity(new CpuSet(1UL << cpu));
            Expect.Equal(cpu, number.Value, "the caller's CPU");
        }
        Task.Current.SetAffinity(null);
    }

    // A program on each CPU reads one page in a loop; the page is replaced under it. A stale translation would show the old frame's contents after it was freed and filled anew.
    private static void Shootdown()
    {
        byte[] code =
        [
            0x48, 0x8B, 0x07,       // loop: mov rax, [rdi]
            0x48, 0x39, 0xF0,       //       cmp rax, rsi
            0x76, 0xF8,             //       jbe loop           ; at most the value known to be current: look again
            0x0F, 0x05,             //       syscall
        ];
        const int Rounds = 200;
        using var program = new UserProgram(code);
        var page = new VirtualRange(new UserAddress(UserProgram.Data), PageSize.Small);
        var poisoned = new List<Frame>();
        int stop = 0;
        ulong published = 0;
        program.Write64(UserProgram.Data, 0);
        Task[] readers = OnEachCpu(_ =>
        {
            UserContext context = UserProgram.NewContext();
            ulong known = 0;
            while (Volatile.Read(ref stop) == 0)
            {
                context.InstructionPointer = UserProgram.Code;
                context[Reg.Rdi] = UserProgram.Data;
                context[Reg.Rsi] = known;
                ReturnReason reason = UserMode.Execute(context, program.Space);
                if (reason == ReturnReason.KernelEvent || (reason == ReturnReason.UserException && context.Exception.Vector == UserException.PageFault))
                {
                    Task.YieldIfNeeded();
                    continue;
                }
                Expect.True(reason == ReturnReason.UserSyscall, $"{reason} {context.Exception}");
                ulong value = context[Reg.Rax];
                Expect.True(value != ulong.MaxValue, "a reader saw the contents of a page after it was unmapped");
                Expect.True(value > known && value <= Volatile.Read(ref published), $"value {value} after {known}");
                known = value;
            }
        });
        for (ulong round = 1; round <= Rounds; round++)
        {
            using Frame next = Frame.Allocate();
            next.Writer().TryWrite(round);
            VmCursor cursor = program.Space.Cursor(page);
            using Frame old = cursor.GetFrame()!;
            Expect.Equal(MapStatus.Mapped, cursor.Unmap(PageSize.Small, out long pages), "unmap");
            Expect.Equal(1L, pages, "pages");
            old.Writer().TryWrite(ulong.MaxValue);      // nobody may see this any more
            Volatile.Write(ref published, round);
            cursor.Seek(page.Start);
            Expect.Equal(MapStatus.Mapped, cursor.Map(next, new PageProperty(PageAccess.ReadWrite)), "map");
            if (round % 16 == 0) Task.Sleep(Millisecond); else Task.Yield();
        }
        Volatile.Write(ref stop, 1);
        program.Write64(UserProgram.Data, published = Rounds + 1);
        foreach (Task reader in readers) reader.Interrupt();
        Join(readers);
    }

    private static void FlushEachOther()
    {
        using VmSpace shared = VmSpace.Create();
        int cpus = CpuSet.Online.Count;
        ulong end = Clock.MonotonicNs + 1000 * Millisecond;
        long rounds = 0;
        Task[] tasks = OnEachCpu(cpu =>
        {
            using VmSpace own = VmSpace.Create();
            var range = new VirtualRange(new UserAddress(0x10000000 + (ulong)cpu * 0x10000000), 8 * PageSize.Small);
            using Frame frame = Frame.Allocate();
            while (Clock.MonotonicNs < end)
            {
                foreach (VmSpace space in (VmSpace[])[shared, own])
                {
                    space.Activate();
                    VmCursor cursor = space.Cursor(range);
                    for (int i = 0; i < 8; i++) Expect.Equal(MapStatus.Mapped, cursor.Map(frame, new PageProperty(PageAccess.ReadWrite)), "map");
                    cursor.Seek(range.Start);
                    cursor.Unmap(8 * PageSize.Small, out long pages);
                    Expect.Equal(8L, pages, "pages that were mapped");
                }
                // The kernel's half too: stacks come and go, and the collector's pages.
                if (Interlocked.Increment(ref rounds) % 64 == cpu) GC.Collect(2, GCCollectionMode.Aggressive, blocking: true, compacting: true);
                Task.YieldIfNeeded();
            }
            VmSpace.Deactivate();
        });
        Join(tasks);
        Log.Info($"flushes: {rounds} rounds on {cpus} CPUs");
        Expect.True(rounds > cpus, "rounds");
    }

    private static void VectorStateMigrates()
    {
        byte[] code =
        [
            0xC5, 0xFE, 0x6F, 0x07,             //       vmovdqu ymm0, [rdi]
            0xC5, 0x7E, 0x6F, 0x7F, 0x20,       //       vmovdqu ymm15, [rdi+32]
            0x0F, 0x05,                         // loop: syscall
            0xC5, 0xFE, 0x7F, 0x46, 0x40,       //       vmovdqu [rsi+64], ymm0
            0xC5, 0x7E, 0x7F, 0x7E, 0x60,       //       vmovdqu [rsi+96], ymm15
            0xEB, 0xF2,                         //       jmp loop
        ];
        int cpus = CpuSet.Online.Count;
        var tasks = new Task[2 * cpus];
        for (int i = 0; i < tasks.Length; i++)
        {
            ulong seed = (ulong)i * 1000 + 17;
            int first = i;
            tasks[i] = Task.Spawn(() =>
            {
                using var program = new UserProgram(code);
                for (ulong offset = 0; offset < 64; offset += 8) program.Write64(UserProgram.Data + offset, seed + offset);
                program.Context[Reg.Rdi] = program.Context[Reg.Rsi] = UserProgram.Data;
                program.RunToSyscall();
                for (int round = 0; round < 50; round++)
                {
                    Task.Current.SetAffinity(new CpuSet(1UL << ((first + round) % cpus)));
                    program.RunToSyscall();
                    for (ulong offset = 0; offset < 64; offset += 8)
                    {
                        Expect.Equal(seed + offset, program.Read64(UserProgram.Data + 64 + offset), "vector register after a move");
                        program.Write64(UserProgram.Data + 64 + offset, 0);
                    }
                }
            });
        }
        Join(tasks);
    }
}
