using System;
using System.Buffers.Binary;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>How programs see what is known of a file: struct stat, statx and statfs of the x86-64 ABI.</summary>
internal static class StatusEncoding
{
    public const int StatBytes = 144, StatxBytes = 256, StatfsBytes = 120;

    // STATX_BASIC_STATS, STATX_BTIME, STATX_MNT_ID.
    private const uint Known = 0x7FF | 0x800 | 0x1000;
    private const ulong MountRoot = 0x2000;

    /// <summary>struct stat (man 3 stat).</summary>
    public static void Stat(Span<byte> to, Inode inode)
    {
        to[..StatBytes].Clear();
        inode.ReadTimes(out Timestamp access, out Timestamp modify, out Timestamp change);
        BinaryPrimitives.WriteUInt64LittleEndian(to, inode.FileSystem.Device.Encoded);
        BinaryPrimitives.WriteUInt64LittleEndian(to[8..], inode.Number);
        BinaryPrimitives.WriteInt64LittleEndian(to[16..], inode.LinkCount);
        BinaryPrimitives.WriteInt32LittleEndian(to[24..], inode.Mode);
        BinaryPrimitives.WriteUInt32LittleEndian(to[28..], inode.Uid);
        BinaryPrimitives.WriteUInt32LittleEndian(to[32..], inode.Gid);
        BinaryPrimitives.WriteUInt64LittleEndian(to[40..], inode.Device.Encoded);
        BinaryPrimitives.WriteInt64LittleEndian(to[48..], inode.Size);
        BinaryPrimitives.WriteInt64LittleEndian(to[56..], inode.BlockSize);
        BinaryPrimitives.WriteInt64LittleEndian(to[64..], inode.Blocks);
        BinaryPrimitives.WriteInt64LittleEndian(to[72..], access.Seconds);
        BinaryPrimitives.WriteUInt64LittleEndian(to[80..], access.Nanoseconds);
        BinaryPrimitives.WriteInt64LittleEndian(to[88..], modify.Seconds);
        BinaryPrimitives.WriteUInt64LittleEndian(to[96..], modify.Nanoseconds);
        BinaryPrimitives.WriteInt64LittleEndian(to[104..], change.Seconds);
        BinaryPrimitives.WriteUInt64LittleEndian(to[112..], change.Nanoseconds);
    }

    /// <summary>struct statx (man 2 statx). All that is known is filled in, whatever was asked for.</summary>
    public static void Statx(Span<byte> to, VfsPath path)
    {
        to[..StatxBytes].Clear();
        Inode inode = path.Inode;
        inode.ReadTimes(out Timestamp access, out Timestamp modify, out Timestamp change);
        BinaryPrimitives.WriteUInt32LittleEndian(to, Known);
        BinaryPrimitives.WriteInt32LittleEndian(to[4..], inode.BlockSize);
        if (path.Mount is { } mount && ReferenceEquals(mount.Root, path.Dentry)) BinaryPrimitives.WriteUInt64LittleEndian(to[8..], MountRoot);
        BinaryPrimitives.WriteInt32LittleEndian(to[16..], inode.LinkCount);
        BinaryPrimitives.WriteUInt32LittleEndian(to[20..], inode.Uid);
        BinaryPrimitives.WriteUInt32LittleEndian(to[24..], inode.Gid);
        BinaryPrimitives.WriteUInt16LittleEndian(to[28..], (ushort)inode.Mode);
        BinaryPrimitives.WriteUInt64LittleEndian(to[32..], inode.Number);
        BinaryPrimitives.WriteInt64LittleEndian(to[40..], inode.Size);
        BinaryPrimitives.WriteInt64LittleEndian(to[48..], inode.Blocks);
        BinaryPrimitives.WriteUInt64LittleEndian(to[56..], MountRoot);
        Time(to[64..], access);
        Time(to[80..], inode.BirthTime);
        Time(to[96..], change);
        Time(to[112..], modify);
        BinaryPrimitives.WriteUInt32LittleEndian(to[128..], inode.Device.Major);
        BinaryPrimitives.WriteUInt32LittleEndian(to[132..], inode.Device.Minor);
        BinaryPrimitives.WriteUInt32LittleEndian(to[136..], inode.FileSystem.Device.Major);
        BinaryPrimitives.WriteUInt32LittleEndian(to[140..], inode.FileSystem.Device.Minor);
        BinaryPrimitives.WriteUInt64LittleEndian(to[144..], (ulong)(path.Mount?.Id ?? 0));
    }

    /// <summary>struct statfs (man 2 statfs).</summary>
    public static void Statfs(Span<byte> to, FileSystem fileSystem, Mount? mount)
    {
        to[..StatfsBytes].Clear();
        FileSystemStatistics numbers = fileSystem.Statistics;
        BinaryPrimitives.WriteUInt64LittleEndian(to, fileSystem.Magic);
        BinaryPrimitives.WriteInt64LittleEndian(to[8..], numbers.BlockSize);
        BinaryPrimitives.WriteUInt64LittleEndian(to[16..], numbers.Blocks);
        BinaryPrimitives.WriteUInt64LittleEndian(to[24..], numbers.FreeBlocks);
        BinaryPrimitives.WriteUInt64LittleEndian(to[32..], numbers.AvailableBlocks);
        BinaryPrimitives.WriteUInt64LittleEndian(to[40..], numbers.Files);
        BinaryPrimitives.WriteUInt64LittleEndian(to[48..], numbers.FreeFiles);
        BinaryPrimitives.WriteUInt64LittleEndian(to[56..], fileSystem.Device.Encoded);
        BinaryPrimitives.WriteInt64LittleEndian(to[64..], numbers.MaxNameLength);
        BinaryPrimitives.WriteInt64LittleEndian(to[72..], numbers.BlockSize);
        BinaryPrimitives.WriteInt64LittleEndian(to[80..], FlagsOf(fileSystem, mount));
    }

    private static void Time(Span<byte> to, Timestamp time)
    {
        BinaryPrimitives.WriteInt64LittleEndian(to, time.Seconds);
        BinaryPrimitives.WriteUInt32LittleEndian(to[8..], time.Nanoseconds);
    }

    // ST_ flags: the lowest five are those of the mount; ST_VALID says that they are there.
    private static long FlagsOf(FileSystem fileSystem, Mount? mount)
    {
        const long Valid = 0x20, RelativeTime = 0x1000, NoSymbolicLinks = 0x2000;
        MountFlags flags = mount?.Flags ?? MountFlags.None;
        long result = Valid | (long)(flags & (MountFlags.ReadOnly | MountFlags.NoSetuid | MountFlags.NoDevices | MountFlags.NoExecute | MountFlags.NoAccessTime
            | MountFlags.NoDirectoryAccessTime));
        if (fileSystem.IsReadOnly) result |= 1;
        if ((flags & MountFlags.RelativeAccessTime) != 0) result |= RelativeTime;
        if ((flags & MountFlags.NoSymbolicLinks) != 0) result |= NoSymbolicLinks;
        return result;
    }
}
