using System;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Tasks;
using Asterinas.Ostd.Timers;
using Asterinas.Ostd.User;
using Reg = Asterinas.Ostd.User.Register;

namespace Asterinas.Tests.Kernel;

/// <summary>User mode as a call that returns: registers, extended state, exceptions, preemption, hostile values, user copies.</summary>
internal static class UserModeTests
{
    private const ulong KernelText = 0xFFFFFFFF80200000, GcHeap = 0x7F8000000000;

    public static void Register()
    {
        Program.Add("User_registers_pass_through_system_calls", Registers);
        Program.Add("User_segment_bases_are_the_programs_own", SegmentBases);
        Program.Add("User_vector_state_survives_task_switches", VectorState);
        Program.Add("User_extended_state_can_be_read_and_written", ExtendedState);
        Program.Add("User_exceptions_are_reported_with_vector_and_address", Exceptions);
        Program.Add("User_addresses_outside_user_space_fault", OutsideUserSpace);
        Program.Add("User_loops_are_preempted", Preemption);
        Program.Add("User_contexts_of_random_bytes_do_no_harm", RandomContexts);
        Program.Add("User_copies_answer_faults_with_short_counts", Copies);
        Program.Add("User_spaces_that_are_disposed_cannot_run", Disposed);
    }

    private static void Registers()
    {
        using var program = new UserProgram(
        [
            0x48, 0x93,             // xchg rax, rbx
            0x48, 0x87, 0xF2,       // xchg rdx, rsi
            0x48, 0x87, 0xEF,       // xchg rdi, rbp
            0x4D, 0x87, 0xC8,       // xchg r8, r9
            0x4D, 0x87, 0xE2,       // xchg r10, r12
            0x4D, 0x87, 0xF5,       // xchg r13, r14
            0x49, 0x87, 0xE7,       // xchg r15, rsp
            0x0F, 0x05,             // syscall
        ]);
        (Reg, Reg)[] pairs =
        [
            (Reg.Rax, Reg.Rbx), (Reg.Rdx, Reg.Rsi), (Reg.Rdi, Reg.Rbp), (Reg.R8, Reg.R9),
            (Reg.R10, Reg.R12), (Reg.R13, Reg.R14), (Reg.R15, Reg.Rsp),
        ];
        UserContext context = program.Context;
        for (ulong round = 1; round < 100; round++)
        {
            ulong Value(Reg register) => 0x9E3779B97F4A7C15 * (round * 64 + (ulong)register);
            context.InstructionPointer = UserProgram.Code;
            foreach ((Reg a, Reg b) in pairs)
            {
                context[a] = Value(a);
                context[b] = Value(b);
            }
            program.RunToSyscall();
            foreach ((Reg a, Reg b) in pairs)
            {
                Expect.Equal(Value(b), context[a], $"{a} after the exchange");
                Expect.Equal(Value(a), context[b], $"{b} after the exchange");
            }
            Expect.Equal(UserProgram.Code + 22, context.InstructionPointer, "RIP after SYSCALL");
        }
    }

    private static void SegmentBases()
    {
        using var program = new UserProgram(
        [
            0x64, 0x48, 0x8B, 0x04, 0x25, 0, 0, 0, 0,       // mov rax, fs:[0]
            0x65, 0x48, 0x8B, 0x1C, 0x25, 0, 0, 0, 0,       // mov rbx, gs:[0]
            0xF3, 0x48, 0x0F, 0xAE, 0xD7,                   // wrfsbase rdi
            0xF3, 0x48, 0x0F, 0xAE, 0xDE,                   // wrgsbase rsi
            0x0F, 0x05,                                     // syscall
            0x64, 0x48, 0x8B, 0x04, 0x25, 0, 0, 0, 0,       // mov rax, fs:[0]
            0x0F, 0x05,                                     // syscall
        ]);
        program.Write64(UserProgram.Data, 111);
        program.Write64(UserProgram.Data + 8, 222);
        program.Write64(UserProgram.Data + 16, 333);
        UserContext context = program.Context;
        context[Reg.FsBase] = UserProgram.Data;
        context[Reg.GsBase] = UserProgram.Data + 8;
        context[Reg.Rdi] = UserProgram.Data + 16;
        context[Reg.Rsi] = UserProgram.Data + 24;
        program.RunToSyscall();
        Expect.Equal(111UL, context[Reg.Rax], "fs:[0]");
        Expect.Equal(222UL, context[Reg.Rbx], "gs:[0]");
        Expect.Equal(UserProgram.Data + 16, context[Reg.FsBase], "FS base after WRFSBASE");
        Expect.Equal(UserProgram.Data + 24, context[Reg.GsBase], "GS base after WRGSBASE");
        program.RunToSyscall();
        Expect.Equal(333UL, context[Reg.Rax], "fs:[0] with the new base");
    }

    // Two programs hold different YMM registers; they and the kernel's own use of XMM alternate.
    private static void VectorState()
    {
        Expect.True(UserContext.ExtendedStateBytes > 576, "this CPU has AVX");
        byte[] code =
        [
            0xC5, 0xFE, 0x6F, 0x07,             //       vmovdqu ymm0, [rdi]
            0xC5, 0x7E, 0x6F, 0x7F, 0x20,       //       vmovdqu ymm15, [rdi+32]
            0x0F, 0x05,                         // loop: syscall
            0xC5, 0xFE, 0x7F, 0x46, 0x40,       //       vmovdqu [rsi+64], ymm0
            0xC5, 0x7E, 0x7F, 0x7E, 0x60,       //       vmovdqu [rsi+96], ymm15
            0xEB, 0xF2,                         //       jmp loop
        ];
        var tasks = new Task[3];
        for (int i = 0; i < tasks.Length; i++)
        {
            ulong seed = (ulong)i * 1000 + 17;
            tasks[i] = Task.Spawn(() =>
            {
                using var program = new UserProgram(code);
                for (ulong offset = 0; offset < 64; offset += 8) program.Write64(UserProgram.Data + offset, seed + offset);
                program.Context[Reg.Rdi] = program.Context[Reg.Rsi] = UserProgram.Data;
                program.RunToSyscall();
                for (int round = 0; round < 50; round++)
                {
                    Task.Yield();
                    GC.KeepAlive($"{round} {seed}".GetHashCode(StringComparison.Ordinal));      // the kernel uses XMM registers itself
                    program.RunToSyscall();
                    for (ulong offset = 0; offset < 64; offset += 8)
                    {
                        Expect.Equal(seed + offset, program.Read64(UserProgram.Data + 64 + offset), $"vector register bytes at {offset} in round {round}");
                        program.Write64(UserProgram.Data + 64 + offset, 0);
                    }
                }
            });
        }
        foreach (Task task in tasks)
        {
            task.Join();
            if (task.Failure is { } failure) throw failure;
        }
    }

    private static void ExtendedState()
    {
        byte[] code =
        [
            0xF3, 0x0F, 0x7F, 0x0E,             // movdqu [rsi], xmm1
            0xF3, 0x0F, 0x6F, 0x17,             // movdqu xmm2, [rdi]
            0xD9, 0xE8,                         // fld1
            0x0F, 0x05,                         // syscall
            0xC5, 0xFE, 0x7F, 0x0E,             // vmovdqu [rsi], ymm1
            0x0F, 0x05,                         // syscall
        ];
        using var program = new UserProgram(code);
        UserContext context = program.Context;
        byte[] image = new byte[UserContext.ExtendedStateBytes];
        context.ReadExtendedState(image);
        for (int i = 0; i < 16; i++) image[160 + 16 + i] = (byte)(0xA0 + i);        // XMM1
        image[512] = 3;
        context.WriteExtendedState(image);
        context[Reg.Rsi] = UserProgram.Data;
        context[Reg.Rdi] = UserProgram.Data + 64;
        program.Write64(UserProgram.Data + 64, 0x1122334455667788);
        program.Write64(UserProgram.Data + 72, 0x99AABBCCDDEEFF00);
        program.RunToSyscall();
        Expect.Equal(0xA7A6A5A4A3A2A1A0, program.Read64(UserProgram.Data), "XMM1 low");
        Expect.Equal(0xAFAEADACABAAA9A8, program.Read64(UserProgram.Data + 8), "XMM1 high");
        context.ReadExtendedState(image);
        Expect.Equal(0x1122334455667788UL, BitConverter.ToUInt64(image, 160 + 32), "XMM2 low in the image");
        Expect.Equal((ushort)0x3FFF, BitConverter.ToUInt16(image, 32 + 8), "ST(0) holds one");

        // A copy (fork) has the same state and the original keeps its own; a signal frame's image may hold anything.
        UserContext copy = UserProgram.NewContext();
        copy.CopyFrom(context);
        byte[] ofCopy = new byte[image.Length];
        copy.ReadExtendedState(ofCopy);
        Expect.True(image.AsSpan().SequenceEqual(ofCopy), "the copy's state is the original's");
        new Random(4).NextBytes(ofCopy);
        context.WriteExtendedState(ofCopy);
        program.RunToSyscall();
        Expect.Throws<ArgumentException>(() => context.WriteExtendedState(new byte[100]));
        Expect.Throws<ArgumentException>(() => context.ReadExtendedState(new byte[100]));
    }

    private static void Exceptions()
    {
        (string What, int Vector, ulong Address, ulong Error, byte[] Code)[] cases =
        [
            ("ud2", 6, 0, 0, [0x0F, 0x0B]),
            ("division by zero", 0, 0, 0, [0x31, 0xC9, 0xF7, 0xF1]),
            ("int3", 3, 0, 0, [0xCC]),
            ("hlt", 13, 0, 0, [0xF4]),
            ("cli", 13, 0, 0, [0xFA]),
            ("in al, dx", 13, 0, 0, [0xEC]),
            ("rdmsr", 13, 0, 0, [0x0F, 0x32]),
            ("mov rax, cr3", 13, 0, 0, [0x0F, 0x20, 0xD8]),
            ("non-canonical read", 13, 0, 0, [0x48, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x8A, 0x00]),
            ("read of an unmapped page", 14, 0x1234, 4, [0x8A, 0x04, 0x25, 0x34, 0x12, 0, 0]),
            ("write to an unmapped page", 14, 0x1234, 6, [0x88, 0x04, 0x25, 0x34, 0x12, 0, 0]),
            ("write to code", 14, UserProgram.Code, 7, [0x88, 0x04, 0x25, 0, 0, 0x40, 0]),
            ("jump to data", 14, UserProgram.Data, 0x15, [0xB8, 0, 0, 0x60, 0, 0xFF, 0xE0]),
        ];
        foreach ((string what, int vector, ulong address, ulong error, byte[] code) in cases)
        {
            using var program = new UserProgram(code);
            Expect.Equal(ReturnReason.UserException, program.Run(), what);
            Expect.Equal(new UserException(vector, error, address), program.Context.Exception, what);
        }
        // The error code of INT n is 8n + 2 on a CPU (SDM vol. 3 §6.13), 16n + 2 in QEMU's long mode: only the vector is checked.
        using var gate = new UserProgram([0xCD, 0x20]);
        Expect.Equal(ReturnReason.UserException, gate.Run(), "int 0x20");
        Expect.Equal(13, gate.Context.Exception.Vector, "int 0x20");
        // A single step after each instruction (TF), and INT3 leaves RIP behind the instruction.
        using var stepped = new UserProgram([0x90, 0x90, 0xCC]);
        stepped.Context[Reg.Rflags] = 0x100;
        Expect.Equal(ReturnReason.UserException, stepped.Run(), "single step");
        Expect.Equal(1, stepped.Context.Exception.Vector, "vector of a single step");
        Expect.Equal(UserProgram.Code + 1, stepped.Context.InstructionPointer, "RIP after a step");
        stepped.Context[Reg.Rflags] = 0;
        Expect.Equal(ReturnReason.UserException, stepped.Run(), "breakpoint");
        Expect.Equal(UserProgram.Code + 3, stepped.Context.InstructionPointer, "RIP after INT3");
    }

    private static void OutsideUserSpace()
    {
        byte[] read = [0x8A, 0x06], write = [0x88, 0x06];          // mov al, [rsi] / mov [rsi], al
        foreach (ulong address in new[] { KernelText, GcHeap, GcHeap + (64UL << 20), 0xFFFF800000000000UL, 0xFFFFFFFFFFFFFFFFUL, 0UL })
        {
            foreach (byte[] code in new[] { read, write })
            {
                using var program = new UserProgram(code);
                program.Context[Reg.Rsi] = address;
                Expect.Equal(ReturnReason.UserException, program.Run(), $"access to {address:x}");
                Expect.Equal(14, program.Context.Exception.Vector, $"vector for {address:x}");
                Expect.Equal(address, program.Context.Exception.FaultAddress, "CR2");
            }
            using var jump = new UserProgram([0x90]);
            jump.Context.InstructionPointer = address;
            Expect.Equal(ReturnReason.UserException, jump.Run(), $"jump to {address:x}");
        }
        // SYSCALL as the very last instruction of user space would return to a non-canonical or kernel address.
        using var edge = new UserProgram([0x90]);
        edge.Map(GcHeap - PageSize.Small, PageAccess.ReadWrite | PageAccess.Execute, default);
        VmWriter writer = edge.Space.Writer(new UserAddress(GcHeap - 2), 2);
        Expect.Equal(2, writer.Write([0x0F, 0x05]), "bytes at the end of user space");
        edge.Context.InstructionPointer = GcHeap - 2;
        Expect.Equal(ReturnReason.UserSyscall, edge.Run(), "system call at the end");
        Expect.Equal(GcHeap, edge.Context.InstructionPointer, "RIP behind user space");
        Expect.Equal(ReturnReason.UserException, edge.Run(), "running on from there");
        Expect.Equal(UserException.GeneralProtection, edge.Context.Exception.Vector, "vector");
    }

    private static void Preemption()
    {
        byte[] loop = [0x48, 0xFF, 0x07, 0xEB, 0xFB];               // inc qword [rdi]; jmp
        bool stop = false;
        var programs = new UserProgram[3];
        var tasks = new Task[programs.Length];
        for (int i = 0; i < tasks.Length; i++)
        {
            UserProgram program = programs[i] = new UserProgram(loop);
            program.Context[Reg.Rdi] = UserProgram.Data;
            tasks[i] = Task.Spawn(() =>
            {
                while (!stop)
                {
                    Expect.Equal(ReturnReason.KernelEvent, UserMode.Execute(program.Context, program.Space), "what ends an endless loop");
                    Task.YieldIfNeeded();
                }
            });
        }
        ulong before = Clock.MonotonicNs;
        Task.Sleep(200000000);
        ulong slept = Clock.MonotonicNs - before;
        Expect.True(slept >= 200000000, $"slept {slept} ns of 200 ms");
        stop = true;
        // One that has a CPU alone has no ticks: an interrupt of the task brings it back.
        foreach (Task task in tasks) task.Interrupt();
        foreach (Task task in tasks)
        {
            task.Join();
            if (task.Failure is { } failure) throw failure;
        }
        foreach (UserProgram program in programs)
        {
            Expect.True(program.Read64(UserProgram.Data) > 1000, "each loop had its share");
            program.Dispose();
        }
    }

    private static void RandomContexts()
    {
        var random = new Random(20261124);
        byte[] image = new byte[UserContext.ExtendedStateBytes];
        int exceptions = 0, calls = 0;
        byte[] code = new byte[PageSize.Small];
        for (int round = 0; round < 40; round++)
        {
            random.NextBytes(code);
            using var program = new UserProgram(code);
            for (int run = 0; run < 50; run++)
            {
                for (var register = Reg.Rax; register <= Reg.GsBase; register++)
                {
                    program.Context[register] = random.Next(3) switch
                    {
                        0 => (ulong)random.NextInt64(long.MinValue, long.MaxValue),
                        1 => UserProgram.Code + (ulong)random.Next(PageSize.Small),
                        _ => UserProgram.Data + (ulong)random.Next(PageSize.Small),
                    };
                }
                if (run % 5 == 0)
                {
                    random.NextBytes(image);
                    program.Context.WriteExtendedState(image);
                }
                var deadline = new Timer(static () => { });
                deadline.Set(Clock.MonotonicNs + 2000000);          // an endless loop by chance ends there
                switch (UserMode.Execute(program.Context, program.Space))
                {
                    case ReturnReason.UserException:
                        exceptions++;
                        break;
                    case ReturnReason.UserSyscall:
                        calls++;
                        break;
                }
                deadline.Cancel();
                Task.YieldIfNeeded();
            }
        }
        Expect.True(exceptions > 1000, $"{exceptions} exceptions, {calls} system calls of 2,000 runs");
    }

    private static void Copies()
    {
        using var program = new UserProgram([0x0F, 0x05]);
        program.Map(UserProgram.Data + PageSize.Small, PageAccess.Read, default);
        byte[] buffer = new byte[3 * PageSize.Small];
        for (int pass = 0; pass < 2; pass++)
        {
            if (pass == 1) program.RunToSyscall();                  // now the space is active: the CPU's own tables are walked
            Expect.Equal(pass == 1, program.Space.IsActive, "the space is active");
            Expect.Equal(2 * PageSize.Small, program.Space.Reader(new UserAddress(UserProgram.Data), buffer.Length).Read(buffer), "read to the end of the mapping");
            Expect.Equal(PageSize.Small - 3, program.Space.Writer(new UserAddress(UserProgram.Data + 3), 8192).Write(buffer), "write to the read-only page");
            Expect.Equal(1, program.Space.Reader(new UserAddress(UserProgram.Data + 2 * PageSize.Small - 1), 10).Read(buffer), "one byte before the end");
            foreach (ulong address in new[] { KernelText, GcHeap, GcHeap - 1, 0UL, 0x7FFFFFFFFFFFUL, 0xFFFF888000000000UL, ulong.MaxValue })
            {
                Expect.Equal(0, program.Space.Reader(new UserAddress(address), 16).Read(buffer), $"read at {address:x}");
                Expect.Equal(0, program.Space.Writer(new UserAddress(address), 16).Write(buffer.AsSpan(0, 16)), $"write at {address:x}");
                Expect.Equal(0L, program.Space.Writer(new UserAddress(address), 16).Fill(16), $"clear at {address:x}");
                Expect.True(!program.Space.CompareExchange32(new UserAddress(address & ~3UL), 0, 1, out _), $"exchange at {address:x}");
            }
            program.Write64(UserProgram.Data, 5);
            Expect.True(program.Space.CompareExchange32(new UserAddress(UserProgram.Data), 5, 6, out uint found) && found == 5, "exchange");
            Expect.True(program.Space.CompareExchange32(new UserAddress(UserProgram.Data), 5, 7, out found) && found == 6, "failed exchange tells the value");
            Expect.True(!program.Space.CompareExchange32(new UserAddress(UserProgram.Data + 2), 0, 1, out _), "misaligned");
            Expect.True(!program.Space.CompareExchange32(new UserAddress(UserProgram.Data + PageSize.Small), 0, 1, out _), "read-only");
        }
    }

    private static void Disposed()
    {
        var program = new UserProgram([0x0F, 0x05]);
        program.RunToSyscall();
        program.Dispose();
        Expect.True(!program.Space.IsActive, "a disposed space is not active");
        Expect.Throws<ObjectDisposedException>(() => program.Run());
        Expect.Throws<ObjectDisposedException>(() => program.Space.Cursor(new VirtualRange(new UserAddress(UserProgram.Code), PageSize.Small)));
        VmSpace.Deactivate();
    }
}
