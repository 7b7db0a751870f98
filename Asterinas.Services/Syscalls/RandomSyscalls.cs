using System;
using Asterinas.Services.Devices;
using Asterinas.Services.Memory;

namespace Asterinas.Services.Syscalls;

/// <summary>getrandom(2).</summary>
internal static class RandomSyscalls
{
    private const uint NonBlock = 1, Random = 2, Insecure = 4;

    public static void Register() => SyscallTable.Add(318, "getrandom", GetRandom, "", "EAGAIN: the generator is seeded before the first program runs");

    private static long GetRandom(in SyscallArguments a)
    {
        uint flags = a.UInt(2);
        if ((flags & ~(NonBlock | Random | Insecure)) != 0 || (flags & (Random | Insecure)) == (Random | Insecure)) return -(long)Errno.EINVAL;
        long count = (long)Math.Min(a.A1, (ulong)UserSegments.MostBytes), done = 0;
        var sink = new IoSink(a.Thread.Memory, a.Address(0), count);
        Span<byte> bytes = stackalloc byte[256];
        while (done < count)
        {
            int step = (int)Math.Min(count - done, bytes.Length);
            RandomGenerator.Fill(bytes[..step]);
            int copied = sink.Write(bytes[..step]);
            done += copied;
            if (copied < step) return done > 0 ? done : -(long)Errno.EFAULT;
            Task.YieldIfNeeded();
        }
        return done;
    }
}
