using System.Runtime;

namespace Asterinas.Ostd.Runtime;

/// <summary>The C library's errno, one a thread. The numbers are Linux' (the archive was compiled against them).</summary>
// SAFETY: the word belongs to the running thread, or is a static before there is one; neither moves or goes away under the caller.
internal static unsafe class Errno
{
    public const int ENOENT = 2, ESRCH = 3, EINTR = 4, EBADF = 9, EAGAIN = 11, ENOMEM = 12, EBUSY = 16, EINVAL = 22, ERANGE = 34, ENOSYS = 38, ETIMEDOUT = 110;

    private static int s_early;

    [RuntimeExport("__errno_location")]
    private static int* Location()
    {
        PerCpu* cpu = X64.PerCpu();
        if (cpu == null || cpu->Current == null)
        {
            fixed (int* early = &s_early) return early;
        }
        return &cpu->Current->ErrnoValue;
    }

    public static void Set(int error) => *Location() = error;

    /// <summary>Sets errno and returns -1.</summary>
    public static int Fail(int error)
    {
        Set(error);
        return -1;
    }
}
