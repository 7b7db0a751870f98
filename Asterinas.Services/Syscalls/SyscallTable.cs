using System;
using System.Threading;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.User;

namespace Asterinas.Services.Syscalls;

/// <summary>
/// How much of a system call's manual page is there; docs/syscalls.md is generated from it. <see cref="Lacks"/> is empty for a complete one: then each flag and errno of
/// the page has a regression case, or stands in <see cref="Exceptions"/> with the reason why it has none.
/// </summary>
/// <param name="Number">The call's number on x86-64.</param>
/// <param name="Name">Its name in the manual.</param>
/// <param name="Handler">Serves it.</param>
/// <param name="Lacks">What lacks, in a few words; empty for nothing.</param>
/// <param name="Exceptions">Flags and errors without a case, and why; empty for none.</param>
internal sealed record SyscallEntry(int Number, string Name, SyscallHandler Handler, string Lacks, string Exceptions);

/// <summary>
/// The dispatch table: declarative, filled once at boot by the families of calls (<c>Register</c> in each file of this folder). A number that nobody registered answers
/// ENOSYS and is logged once.
/// </summary>
internal sealed partial class SyscallTable
{
    /// <summary>Numbers that the table has room for.</summary>
    public const int Capacity = 512;

    private static readonly SyscallEntry?[] s_entries = new SyscallEntry?[Capacity];
    private static readonly SyscallHandler?[] s_handlers = new SyscallHandler?[Capacity];
    private static readonly int[] s_reported = new int[Capacity];

    /// <summary>The entry of a number; null when there is none.</summary>
    public static SyscallEntry? Entry(int number) => (uint)number < Capacity ? s_entries[number] : null;

    /// <summary>Declares a call. Twice the same number is a defect.</summary>
    public static void Add(int number, string name, SyscallHandler handler, string lacks = "", string exceptions = "")
    {
        if (s_entries[number] is { } other) throw new InvalidOperationException($"system call {number} is both {other.Name} and {name}");
        s_entries[number] = new SyscallEntry(number, name, handler, lacks, exceptions);
        s_handlers[number] = handler;
    }

    /// <summary>Serves the system call that the thread's context holds, and leaves the answer there.</summary>
    public static void Dispatch(Thread thread)
    {
        UserContext context = thread.Context;
        ulong number = context.SyscallNumber;
        SyscallHandler? handler = number < Capacity ? s_handlers[(int)number] : null;
        thread.SyscallNumber = (long)number;
        context.SyscallResult = handler is null ? Absent(number) : Call(handler, thread);
    }

    // The filter keeps exceptions off the hot path: no frame above this one has to be aware of them.
    private static long Call(SyscallHandler handler, Thread thread)
    {
        try
        {
            return handler(new SyscallArguments(thread));
        }
        catch (OutOfMemoryException)
        {
            // Every call allocates before it changes anything (design of record, chapter 3).
            return -(long)Errno.ENOMEM;
        }
        catch (Exception defect)
        {
            return thread.OnDefect(defect);
        }
    }

    private static long Absent(ulong number)
    {
        if (number >= Capacity || Interlocked.Exchange(ref s_reported[(int)number], 1) == 0)
        {
            if (number < Capacity) Log.Warning($"system call {number} is not implemented");
        }
        return -(long)Errno.ENOSYS;
    }
}
