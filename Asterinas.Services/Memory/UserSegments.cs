using System;
using System.Buffers.Binary;
using Asterinas.Ostd.Memory;

namespace Asterinas.Services.Memory;

/// <summary>Reads arrays of struct iovec.</summary>
internal static class UserSegments
{
    private const int SegmentBytes = 16;

    /// <summary>Most bytes that one call moves: MAX_RW_COUNT of Linux.</summary>
    public const long MostBytes = 0x7FFFF000;

    /// <summary>Fills the span from user memory. EFAULT; EINVAL when a length is negative or the sum overflows. May block.</summary>
    public static Errno Read(AddressSpace space, UserAddress address, Span<UserSegment> segments)
    {
        Span<byte> bytes = stackalloc byte[SegmentBytes];
        long sum = 0;
        for (int i = 0; i < segments.Length; i++)
        {
            if (space.Read(new UserAddress(address.Value + (ulong)(i * SegmentBytes)), bytes) != Errno.None) return Errno.EFAULT;
            ulong start = BinaryPrimitives.ReadUInt64LittleEndian(bytes), length = BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]);
            if (length > long.MaxValue || (long)length > long.MaxValue - sum) return Errno.EINVAL;
            sum += (long)length;
            segments[i] = new UserSegment(start, length);
        }
        return Errno.None;
    }
}
