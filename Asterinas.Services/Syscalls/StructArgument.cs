using System;
using Asterinas.Ostd.Memory;

namespace Asterinas.Services.Syscalls;

/// <summary>Structures that grow from one Linux version to the next: the program says how long its own is (clone3, sched_setattr, …).</summary>
internal static class StructArgument
{
    /// <summary>
    /// Reads what both sides know; the rest of a short one is zero. EFAULT; E2BIG when a longer one has something in the part that is not known here.
    /// </summary>
    public static Errno Read(Thread thread, UserAddress address, int size, Span<byte> known)
    {
        known.Clear();
        int common = Math.Min(size, known.Length);
        if (thread.Memory.Read(address, known[..common]) != Errno.None) return Errno.EFAULT;
        Span<byte> rest = stackalloc byte[64];
        for (int at = common; at < size;)
        {
            Span<byte> part = rest[..Math.Min(rest.Length, size - at)];
            if (thread.Memory.Read(new UserAddress(address.Value + (ulong)at), part) != Errno.None) return Errno.EFAULT;
            if (part.ContainsAnyExcept((byte)0)) return Errno.E2BIG;
            at += part.Length;
        }
        return Errno.None;
    }
}
