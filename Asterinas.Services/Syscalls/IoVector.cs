using System;
using System.Buffers.Binary;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Memory;

namespace Asterinas.Services.Syscalls;

/// <summary>Arrays of struct iovec (man 3 iovec), and the limits of one transfer.</summary>
internal static class IoVector
{
    /// <summary>Most segments (UIO_MAXIOV).</summary>
    public const int MostSegments = 1024;
    /// <summary>Segments of a buffer that most calls need; more get one from the heap.</summary>
    public const int FewSegments = 8;
    /// <summary>Most bytes of one transfer (MAX_RW_COUNT).</summary>
    public const long MostBytes = 0x7FFFF000;
    private const int SegmentBytes = 16;

    /// <summary>Whether a range lies in user space; what is there is another question.</summary>
    public static bool IsUserRange(ulong start, ulong length) => length <= AddressSpace.EndAddress && start <= AddressSpace.EndAddress - length;

    /// <summary>Length of a transfer: EINVAL for a negative one, EFAULT for a buffer outside of user space; else limited to <see cref="MostBytes"/>.</summary>
    public static Errno CheckBuffer(ulong start, ulong length, out long limited)
    {
        limited = 0;
        if ((long)length < 0) return Errno.EINVAL;
        if (!IsUserRange(start, length)) return Errno.EFAULT;
        limited = Math.Min((long)length, MostBytes);
        return Errno.None;
    }

    /// <summary>Reads the segments of a call. EINVAL, EFAULT. The sum is limited to <see cref="MostBytes"/>.</summary>
    public static Errno Read(Thread thread, UserAddress address, long count, Span<UserSegment> few, out ReadOnlySpan<UserSegment> segments)
    {
        segments = default;
        if (count is < 0 or > MostSegments) return Errno.EINVAL;
        Span<UserSegment> all = count <= few.Length ? few[..(int)count] : new UserSegment[count];
        Span<byte> bytes = stackalloc byte[FewSegments * SegmentBytes];
        long left = MostBytes;
        for (int done = 0; done < all.Length;)
        {
            int step = Math.Min(FewSegments, all.Length - done);
            Span<byte> chunk = bytes[..(step * SegmentBytes)];
            if (thread.Memory.Read(new UserAddress(address.Value + (ulong)done * SegmentBytes), chunk) != Errno.None) return Errno.EFAULT;
            for (int i = 0; i < step; i++, done++)
            {
                ulong start = BinaryPrimitives.ReadUInt64LittleEndian(chunk[(i * SegmentBytes)..]);
                ulong length = BinaryPrimitives.ReadUInt64LittleEndian(chunk[(i * SegmentBytes + 8)..]);
                if ((long)length < 0) return Errno.EINVAL;
                if (!IsUserRange(start, length)) return Errno.EFAULT;
                long limited = Math.Min((long)length, left);
                left -= limited;
                all[done] = new UserSegment(start, (ulong)limited);
            }
        }
        segments = all;
        return Errno.None;
    }
}
