using System;
using System.Buffers.Binary;
using Asterinas.Services.Ipc;
using Asterinas.Services.Time;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>epoll_create(2), epoll_ctl(2), epoll_wait(2) and their variants.</summary>
internal static class EpollSyscalls
{
    private const int Add = 1, Delete = 2, Modify = 3;
    private const int EventBytes = 12;

    public static void Register()
    {
        SyscallTable.Add(213, "epoll_create", static (in SyscallArguments a) => a.Int(0) <= 0 ? -(long)Errno.EINVAL : Create(a.Thread, 0));
        SyscallTable.Add(232, "epoll_wait", static (in SyscallArguments a) => Wait(a, MillisecondDeadline(a.Int(3))));
        SyscallTable.Add(233, "epoll_ctl", Control, "EPOLLWAKEUP has no effect: the machine does not sleep", "ENOSPC: there is no limit on watches");
        SyscallTable.Add(281, "epoll_pwait", static (in SyscallArguments a) => WaitWithMask(a, MillisecondDeadline(a.Int(3))));
        SyscallTable.Add(291, "epoll_create1", static (in SyscallArguments a) => Create(a.Thread, a.Int(0)));
        SyscallTable.Add(441, "epoll_pwait2", WaitPrecisely);
    }

    private static long Create(Thread thread, int flags)
    {
        if ((flags & ~(int)OpenFlags.CloseOnExec) != 0) return -(long)Errno.EINVAL;
        return PipeSyscalls.Install(thread, new Epoll(), flags != 0);
    }

    private static long Control(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        int operation = a.Int(1), descriptor = a.Int(2);
        Span<byte> bytes = stackalloc byte[EventBytes];
        if (operation != Delete && thread.Memory.Read(a.Address(3), bytes) != Errno.None) return -(long)Errno.EFAULT;
        Errno error = thread.Files.Get(a.Int(0), out FileHandle handle);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            error = thread.Files.Get(descriptor, out FileHandle target);
            if (error != Errno.None) return -(long)error;
            using (target)
            {
                if (!target.File.IsPollable) return -(long)Errno.EPERM;
                if (handle.File is not Epoll epoll || ReferenceEquals(target.File, epoll)) return -(long)Errno.EINVAL;
                uint events = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
                var flags = (EpollFlags)events & EpollFlags.All;
                var wanted = (PollEvents)(events & ~(uint)EpollFlags.All);
                ulong data = BinaryPrimitives.ReadUInt64LittleEndian(bytes[4..]);
                return SyscallAnswer.From(operation switch
                {
                    Add => epoll.Add(target.File, descriptor, wanted, flags, data),
                    Modify => epoll.Modify(target.File, descriptor, wanted, flags, data),
                    Delete => epoll.Remove(target.File, descriptor),
                    _ => Errno.EINVAL,
                });
            }
        }
    }

    private static ulong MillisecondDeadline(int milliseconds) => milliseconds < 0 ? ulong.MaxValue : UserTime.DeadlineAfter(milliseconds * 1000000L);

    private static long Wait(in SyscallArguments a, ulong deadline)
    {
        int most = a.Int(2);
        if (most <= 0 || most > int.MaxValue / EventBytes) return -(long)Errno.EINVAL;
        Errno error = a.Thread.Files.Get(a.Int(0), out FileHandle handle);
        if (error != Errno.None) return -(long)error;
        using (handle) return handle.File is Epoll epoll ? SyscallAnswer.From(epoll.Wait(a.Thread, a.Address(1), most, deadline)) : -(long)Errno.EINVAL;
    }

    private static long WaitPrecisely(in SyscallArguments a)
    {
        ulong deadline = ulong.MaxValue;
        if (a.A3 != 0)
        {
            Errno error = UserTime.ReadTimespec(a.Thread.Memory, a.Address(3), out long nanoseconds);
            if (error != Errno.None) return -(long)error;
            deadline = UserTime.DeadlineAfter(nanoseconds);
        }
        return WaitWithMask(a, deadline);
    }

    private static long WaitWithMask(in SyscallArguments a, ulong deadline)
    {
        if (a.A4 == 0) return Wait(a, deadline);
        Errno error = TemporaryMask.Apply(a.Thread, a.Address(4), a.A5);
        return error != Errno.None ? -(long)error : TemporaryMask.Finish(a.Thread, Wait(a, deadline));
    }
}
