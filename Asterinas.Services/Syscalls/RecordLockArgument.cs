using System;
using System.Buffers.Binary;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>Record locks of fcntl(2): struct flock, and what it means for a file.</summary>
internal static class RecordLockArgument
{
    private const int Bytes = 32;
    private const short ReadLock = 0, WriteLock = 1, Unlock = 2;

    /// <summary>F_GETLK, F_OFD_GETLK.</summary>
    public static Errno Get(Thread thread, OpenFile file, UserAddress address, bool isOpenFile)
    {
        Span<byte> bytes = stackalloc byte[Bytes];
        Errno error = Read(thread, file, address, bytes, isOpenFile, out RecordLock wanted);
        if (error != Errno.None) return error;
        if (wanted.Kind == LockKind.None && !isOpenFile) return Errno.EINVAL;
        if (FileLocks.Of(file.Inode).Find(wanted) is { } other)
        {
            BinaryPrimitives.WriteInt16LittleEndian(bytes, other.Kind == LockKind.Read ? ReadLock : WriteLock);
            BinaryPrimitives.WriteInt16LittleEndian(bytes[2..], 0);
            BinaryPrimitives.WriteInt64LittleEndian(bytes[8..], other.Start);
            BinaryPrimitives.WriteInt64LittleEndian(bytes[16..], other.End == long.MaxValue ? 0 : other.End - other.Start + 1);
            BinaryPrimitives.WriteInt32LittleEndian(bytes[24..], other.Process?.Pid.NumberIn(thread.Namespaces.Pid) ?? -1);
        }
        else
        {
            BinaryPrimitives.WriteInt16LittleEndian(bytes, Unlock);
        }
        return thread.Memory.Write(address, bytes);
    }

    /// <summary>F_SETLK, F_SETLKW and their OFD variants. May block.</summary>
    public static Errno Set(Thread thread, OpenFile file, int descriptor, UserAddress address, bool isOpenFile, bool mayWait)
    {
        Errno error = Read(thread, file, address, stackalloc byte[Bytes], isOpenFile, out RecordLock wanted);
        if (error != Errno.None) return error;
        if ((wanted.Kind == LockKind.Read && !file.IsReadable) || (wanted.Kind == LockKind.Write && !file.IsWritable)) return Errno.EBADF;
        if (wanted.Kind == LockKind.None && file.Inode.Locks is null) return Errno.None;
        FileLocks locks = FileLocks.Of(file.Inode);
        error = locks.Set(wanted, mayWait, checksDeadlock: !isOpenFile);
        if (error != Errno.None || isOpenFile || wanted.Kind == LockKind.None || !thread.Files.IsShared) return error;
        // Another thread may have closed the descriptor meanwhile: its close found no lock to drop.
        if (thread.Files.Get(descriptor, out FileHandle handle) == Errno.None)
        {
            using (handle)
            {
                if (ReferenceEquals(handle.File, file)) return Errno.None;
            }
        }
        locks.Set(wanted with { Kind = LockKind.None }, false, false);
        return Errno.EBADF;
    }

    private static Errno Read(Thread thread, OpenFile file, UserAddress address, Span<byte> bytes, bool isOpenFile, out RecordLock wanted)
    {
        wanted = default;
        Errno error = thread.Memory.Read(address, bytes);
        if (error != Errno.None) return error;
        LockKind kind;
        switch (BinaryPrimitives.ReadInt16LittleEndian(bytes))
        {
            case ReadLock: kind = LockKind.Read; break;
            case WriteLock: kind = LockKind.Write; break;
            case Unlock: kind = LockKind.None; break;
            default: return Errno.EINVAL;
        }
        if (isOpenFile && BinaryPrimitives.ReadInt32LittleEndian(bytes[24..]) != 0) return Errno.EINVAL;
        long start;
        switch (BinaryPrimitives.ReadInt16LittleEndian(bytes[2..]))
        {
            case 0: start = 0; break;
            case 1:
                using (Mutex.Guard guard = file.LockPosition()) start = file.PositionLocked;
                break;
            case 2: start = file.Inode.Size; break;
            default: return Errno.EINVAL;
        }
        long offset = BinaryPrimitives.ReadInt64LittleEndian(bytes[8..]), length = BinaryPrimitives.ReadInt64LittleEndian(bytes[16..]);
        if (offset > long.MaxValue - start) return Errno.EOVERFLOW;
        start += offset;
        if (start < 0) return Errno.EINVAL;
        long end = long.MaxValue;
        if (length > 0)
        {
            if (length - 1 > long.MaxValue - start) return Errno.EOVERFLOW;
            end = start + length - 1;
        }
        else if (length < 0)
        {
            if (start + length < 0) return Errno.EINVAL;
            end = start - 1;
            start += length;
        }
        wanted = isOpenFile ? new RecordLock(file, null, kind, start, end) : new RecordLock(thread.Files, thread.Process, kind, start, end);
        return Errno.None;
    }
}
