using System;
using System.Buffers.Binary;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>getdents, getdents64, getcwd, chdir, fchdir, chroot.</summary>
internal static class DirectorySyscalls
{
    public static void Register()
    {
        SyscallTable.Add(78, "getdents", GetEntriesOld);
        SyscallTable.Add(79, "getcwd", GetWorkingDirectory);
        SyscallTable.Add(80, "chdir", ChangeDirectory);
        SyscallTable.Add(81, "fchdir", ChangeDirectoryByDescriptor);
        SyscallTable.Add(161, "chroot", ChangeRoot);
        SyscallTable.Add(217, "getdents64", GetEntries);
    }

    // ---- getdents

    private static long GetEntriesOld(in SyscallArguments a) => GetEntries(a, isOld: true);
    private static long GetEntries(in SyscallArguments a) => GetEntries(a, isOld: false);

    private static long GetEntries(in SyscallArguments a, bool isOld)
    {
        Errno error = a.Thread.Files.Get(a.Int(0), out FileHandle handle);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            if (!IoVector.IsUserRange(a.A1, a.UInt(2))) return -(long)Errno.EFAULT;
            var sink = new EntryEncoder((int)Math.Min(a.UInt(2), EntryEncoder.MostBytes), isOld);
            // What does not arrive is reported again: the position moves only over entries that the program has.
            long before = 0;
            if (handle.File.IsSeekable)
            {
                using Mutex.Guard guard = handle.File.LockPosition();
                before = handle.File.PositionLocked;
            }
            error = handle.File.ReadDirectory(sink);
            if (error != Errno.None) return -(long)error;
            if (sink.Written.IsEmpty) return sink.IsTooSmall ? -(long)Errno.EINVAL : 0;
            error = a.Thread.Memory.Write(a.Address(1), sink.Written);
            if (error == Errno.None) return sink.Written.Length;
            if (handle.File.IsSeekable) handle.File.Seek(before, 0);
            return -(long)error;
        }
    }

    /// <summary>struct linux_dirent64, and the old struct linux_dirent, whose type stands in the last byte (man 2 getdents).</summary>
    private sealed class EntryEncoder(int bytes, bool isOld) : IDirectorySink
    {
        public const uint MostBytes = 32768;
        private readonly byte[] _buffer = new byte[bytes];
        private int _length;

        public ReadOnlySpan<byte> Written => _buffer.AsSpan(0, _length);
        public bool IsTooSmall { get; private set; }

        public bool Add(ReadOnlySpan<byte> name, ulong number, InodeType type, long nextPosition)
        {
            int nameStart = isOld ? 18 : 19;
            int size = (nameStart + name.Length + (isOld ? 2 : 1) + 7) & ~7;
            if (size > _buffer.Length - _length)
            {
                IsTooSmall = true;
                return false;
            }
            Span<byte> entry = _buffer.AsSpan(_length, size);
            BinaryPrimitives.WriteUInt64LittleEndian(entry, number);
            BinaryPrimitives.WriteInt64LittleEndian(entry[8..], nextPosition);
            BinaryPrimitives.WriteUInt16LittleEndian(entry[16..], (ushort)size);
            entry[isOld ? size - 1 : 18] = (byte)((int)type >> 12);
            name.CopyTo(entry[nameStart..]);
            _length += size;
            return true;
        }
    }

    // ---- where a process is

    private static long GetWorkingDirectory(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        VfsPath current = thread.FileSystem.Current;
        if (PathText.IsGone(current)) return -(long)Errno.ENOENT;
        Span<byte> buffer = stackalloc byte[PathText.MostBytes];
        // Before a path outside of the root comes a word that is no path (man 3 getcwd).
        const int Prefix = 13;
        Errno error = PathText.Write(current, thread.FileSystem.Root, buffer[Prefix..^1], out ReadOnlySpan<byte> path, out bool isReachable);
        if (error != Errno.None) return -(long)error;
        int start = buffer.Length - 1 - path.Length;
        if (!isReachable)
        {
            start -= Prefix;
            "(unreachable)"u8.CopyTo(buffer[start..]);
        }
        ReadOnlySpan<byte> answer = buffer[start..];
        if ((ulong)answer.Length > a.A1) return -(long)Errno.ERANGE;
        error = thread.Memory.Write(a.Address(0), answer);
        return error != Errno.None ? -(long)error : answer.Length;
    }

    private static long ChangeDirectory(in SyscallArguments a)
    {
        Errno error = PathArgument.Resolve(a.Thread, PathArgument.WorkingDirectory, a.Address(0), WalkFlags.Follow, out VfsPath place);
        if (error == Errno.None) error = Enter(a.Thread, place);
        if (error == Errno.None) a.Thread.FileSystem.Current = place;
        return -(long)error;
    }

    private static long ChangeDirectoryByDescriptor(in SyscallArguments a)
    {
        Errno error = a.Thread.Files.Get(a.Int(0), out FileHandle handle, allowPath: true);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            VfsPath place = handle.File.Path;
            error = Enter(a.Thread, place);
            if (error == Errno.None) a.Thread.FileSystem.Current = place;
            return -(long)error;
        }
    }

    private static long ChangeRoot(in SyscallArguments a)
    {
        Errno error = PathArgument.Resolve(a.Thread, PathArgument.WorkingDirectory, a.Address(0), WalkFlags.Follow, out VfsPath place);
        if (error == Errno.None) error = Enter(a.Thread, place);
        if (error == Errno.None && !a.Thread.Credentials.Has(Capability.SysChroot)) error = Errno.EPERM;
        if (error == Errno.None) a.Thread.FileSystem.Root = place;
        return -(long)error;
    }

    private static Errno Enter(Thread thread, VfsPath place) => place.Inode.IsDirectory ? AccessRights.Check(thread, place.Inode, Permission.Execute) : Errno.ENOTDIR;
}
