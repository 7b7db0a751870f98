using System;
using System.Runtime.CompilerServices;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.User;

namespace Asterinas.Services.Syscalls;

/// <summary>The six arguments of a system call as the program left them in its registers (man 2 syscall), and the thread that makes the call.</summary>
internal readonly ref struct SyscallArguments(Thread thread)
{
    private readonly UserContext _context = thread.Context;

    /// <summary>The calling thread.</summary>
    public Thread Thread { get; } = thread;

    /// <summary>First argument (RDI).</summary>
    public ulong A0 => _context[Register.Rdi];
    /// <summary>Second argument (RSI).</summary>
    public ulong A1 => _context[Register.Rsi];
    /// <summary>Third argument (RDX).</summary>
    public ulong A2 => _context[Register.Rdx];
    /// <summary>Fourth argument (R10).</summary>
    public ulong A3 => _context[Register.R10];
    /// <summary>Fifth argument (R8).</summary>
    public ulong A4 => _context[Register.R8];
    /// <summary>Sixth argument (R9).</summary>
    public ulong A5 => _context[Register.R9];

    /// <summary>An argument that the C prototype calls <c>int</c>: the upper half of the register is ignored.</summary>
    /// <param name="index">0 to 5.</param>
    public int Int(int index) => (int)_context.SyscallArgument(index);

    /// <summary>An argument that the C prototype calls <c>unsigned int</c>.</summary>
    /// <param name="index">0 to 5.</param>
    public uint UInt(int index) => (uint)_context.SyscallArgument(index);

    /// <summary>An argument that the C prototype calls <c>long</c>.</summary>
    /// <param name="index">0 to 5.</param>
    public long Long(int index) => (long)_context.SyscallArgument(index);

    /// <summary>An argument that is a pointer; nothing is checked.</summary>
    /// <param name="index">0 to 5.</param>
    public UserAddress Address(int index) => new(_context.SyscallArgument(index));
}

/// <summary>Serves a system call. The answer is a value, or a negated <see cref="Errno"/>.</summary>
/// <param name="arguments">Arguments and caller.</param>
internal delegate long SyscallHandler(in SyscallArguments arguments);

/// <summary>Makes answers of system calls.</summary>
internal static class SyscallAnswer
{
    /// <summary>0, or the negated error.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static long From(Errno error) => -(long)error;

    /// <summary>The value, or the negated error.</summary>
    public static long From(Result<long> result) => result.IsOk ? result.Value : -(long)result.Error;

    /// <summary>The value, or the negated error.</summary>
    public static long From(Result<int> result) => result.IsOk ? result.Value : -(long)result.Error;

    /// <summary>The value, or the negated error.</summary>
    public static long From(Result<ulong> result) => result.IsOk ? (long)result.Value : -(long)result.Error;
}
