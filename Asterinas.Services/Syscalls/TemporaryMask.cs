using Asterinas.Ostd.Memory;
using Asterinas.Services.Signals;

namespace Asterinas.Services.Syscalls;

/// <summary>The signal mask that ppoll, pselect6 and epoll_pwait set for as long as they wait.</summary>
internal static class TemporaryMask
{
    /// <summary>Reads the mask and makes it the thread's, until the call is over. EINVAL for another size than 8, EFAULT.</summary>
    public static Errno Apply(Thread thread, UserAddress address, ulong size)
    {
        if (size != 8) return Errno.EINVAL;
        if (thread.Memory.Read(address, out ulong bits) != Errno.None) return Errno.EFAULT;
        thread.BeginTemporaryMask(new SignalSet(bits) & ~SignalSet.Unblockable);
        return Errno.None;
    }

    /// <summary>The call is over: the old mask comes back, unless a signal is still to be delivered under the temporary one.</summary>
    public static long Finish(Thread thread, long answer)
    {
        thread.EndTemporaryMask(answer is -(long)Errno.ERESTARTNOHAND or -(long)Errno.EINTR);
        return answer;
    }
}
