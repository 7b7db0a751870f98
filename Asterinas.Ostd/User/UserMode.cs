using System;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Memory;

namespace Asterinas.Ostd.User;

/// <summary>Why user mode was left.</summary>
public enum ReturnReason
{
    /// <summary>The program executed SYSCALL; number and arguments are in the context.</summary>
    UserSyscall = 0,
    /// <summary>The program caused a CPU exception; see <see cref="UserContext.Exception"/>.</summary>
    UserException = 1,
    /// <summary>Something happened that the kernel wants to look at: a timer, an interrupt, a request to reschedule.</summary>
    KernelEvent = 2,
}

/// <summary>User mode as a call that returns.</summary>
public static unsafe class UserMode
{
    // SAFETY: the platform layer may write a context's extended state until this thread executes another one or ends: it saves it when it switches threads.
    // This reference keeps the memory alive that long. Thread statics belong to the thread alone.
    [ThreadStatic]
    private static UserContext? s_last;

    /// <summary>
    /// Runs the program in ring 3 until it makes a system call, faults, or an event wants the kernel's attention. The thread is in preemptive mode meanwhile: it never
    /// delays a collection.
    /// </summary>
    /// <param name="context">Its registers; changed when the call returns.</param>
    /// <param name="space">Its address space; becomes the active one.</param>
    /// <returns>Why user mode was left.</returns>
    /// <exception cref="InvalidOperationException">Another task uses the context.</exception>
    public static ReturnReason Execute(UserContext context, VmSpace space)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentNullException.ThrowIfNull(space);
        using UserContext.Claim claim = context.Take();
        UserContext? last = s_last;
        if (!ReferenceEquals(last, context))
        {
            if (last is not null) Machine.UserSave(last.Frame);
            s_last = context;
        }
        space.Activate();
        var reason = (ReturnReason)Machine.UserExecute(context.Frame);
        GC.KeepAlive(context);
        return reason;
    }
}
