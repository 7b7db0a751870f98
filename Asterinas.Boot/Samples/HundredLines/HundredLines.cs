using System;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Tasks;
using Asterinas.Ostd.User;

namespace HundredLines;

/// <summary>
/// A kernel in about a hundred lines of safe C#. It makes an address space, loads an assembly program into it, runs the program in ring 3 and serves its two system
/// calls with Linux' numbers. docs/hundred-lines.md explains it line by line.
/// </summary>
internal static class Program
{
    private const ulong Write = 1, Exit = 60;                           // system calls (x86-64 ABI)
    private const long Fault = -14, BadDescriptor = -9, NoSuchCall = -38; // EFAULT, EBADF, ENOSYS

    private static readonly UserAddress s_codeStart = new(0x400000);
    private static readonly VirtualRange s_stack = new(new UserAddress(0x7F0000000000), 4 * PageSize.Small);

    private static readonly byte[] s_hello =
    [
        0xB8, 0x01, 0x00, 0x00, 0x00,                   //         mov  eax, 1            ; write
        0xBF, 0x01, 0x00, 0x00, 0x00,                   //         mov  edi, 1            ; to standard output
        0x48, 0x8D, 0x35, 0x10, 0x00, 0x00, 0x00,       //         lea  rsi, [rip + message]
        0xBA, 0x0E, 0x00, 0x00, 0x00,                   //         mov  edx, 14           ; bytes
        0x0F, 0x05,                                     //         syscall
        0xB8, 0x3C, 0x00, 0x00, 0x00,                   //         mov  eax, 60           ; exit
        0x31, 0xFF,                                     //         xor  edi, edi          ; with status 0
        0x0F, 0x05,                                     //         syscall
        .. "Hello, world!\n"u8,                         // message: .ascii "Hello, world!\n"
    ];

    private static int Main()
    {
        using VmSpace space = VmSpace.Create();
        Load(space, s_hello);
        var context = new UserContext { InstructionPointer = s_codeStart.Value, StackPointer = s_stack.End.Value };
        int status = 0;
        Task program = Task.Spawn(() => status = Run(space, context), new TaskOptions { Name = "hello" });
        program.Join();
        return program.Failure is null ? status : 1;
    }

    /// <summary>Puts the program into new frames and maps them for the user: code to read and execute, stack to read and write.</summary>
    private static void Load(VmSpace space, ReadOnlySpan<byte> program)
    {
        using Frame code = Frame.Allocate();
        code.Writer().Write(program);
        VmCursor cursor = space.Cursor(new VirtualRange(s_codeStart, PageSize.Small));
        Check(cursor.Map(code, new PageProperty(PageAccess.ReadExecute)));
        cursor = space.Cursor(s_stack);
        while (!cursor.IsAtEnd)
        {
            using Frame stack = Frame.Allocate();
            Check(cursor.Map(stack, new PageProperty(PageAccess.ReadWrite)));
        }
    }

    private static void Check(MapStatus status)
    {
        if (status != MapStatus.Mapped) throw new InvalidOperationException($"mapping failed: {status}");
    }

    /// <summary>The life of a user thread: run until something happens, answer it, run on. Returns the exit status.</summary>
    private static int Run(VmSpace space, UserContext context)
    {
        while (true)
        {
            switch (UserMode.Execute(context, space))
            {
                case ReturnReason.UserSyscall when context.SyscallNumber == Exit:
                    return (int)context.SyscallArgument(0) & 0xFF;
                case ReturnReason.UserSyscall when context.SyscallNumber == Write:
                    context.SyscallResult = WriteConsole(space, context.SyscallArgument(0), context.SyscallArgument(1), context.SyscallArgument(2));
                    break;
                case ReturnReason.UserSyscall:
                    context.SyscallResult = NoSuchCall;
                    break;
                case ReturnReason.UserException:
                    Log.Error($"the program faulted: {context.Exception} at 0x{context.InstructionPointer:x}");
                    return 128 + 11;                    // as if killed by SIGSEGV
                case ReturnReason.KernelEvent:
                    Task.YieldIfNeeded();
                    break;
            }
        }
    }

    /// <summary>write(2) for descriptor 1. The user's pointer may be anything: what cannot be read ends the copy early.</summary>
    private static long WriteConsole(VmSpace space, ulong descriptor, ulong address, ulong count)
    {
        if (descriptor != 1) return BadDescriptor;
        Span<byte> buffer = stackalloc byte[256];
        VmReader reader = space.Reader(new UserAddress(address), (long)Math.Min(count, (ulong)buffer.Length));
        int copied = reader.Read(buffer);
        if (copied == 0 && count != 0) return Fault;
        KernelConsole.Write(buffer[..copied]);
        return copied;
    }
}
