using Asterinas.Ostd.Memory;
using Asterinas.Services.Memory;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>read, write, their vectored and positioned variants, lseek.</summary>
internal static class ReadWriteSyscalls
{
    // RWF_ flags of preadv2(2) and pwritev2(2).
    private const int HighPriority = 1, DataSync = 2, Sync = 4, NoWait = 8, Append = 16, NoAppend = 32;

    public static void Register()
    {
        SyscallTable.Add(0, "read", Read);
        SyscallTable.Add(1, "write", Write);
        SyscallTable.Add(8, "lseek", Seek);
        SyscallTable.Add(17, "pread64", ReadAt);
        SyscallTable.Add(18, "pwrite64", WriteAt);
        SyscallTable.Add(19, "readv", ReadVector);
        SyscallTable.Add(20, "writev", WriteVector);
        SyscallTable.Add(295, "preadv", ReadVectorAt);
        SyscallTable.Add(296, "pwritev", WriteVectorAt);
        SyscallTable.Add(327, "preadv2", ReadVectorAt2, "RWF_NOWAIT on files without position, RWF_NOAPPEND");
        SyscallTable.Add(328, "pwritev2", WriteVectorAt2, "RWF_NOWAIT on files without position, RWF_NOAPPEND");
    }

    private static long Read(in SyscallArguments a)
    {
        Errno error = a.Thread.Files.Get(a.Int(0), out FileHandle handle);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            if (!handle.File.IsReadable) return -(long)Errno.EBADF;
            error = IoVector.CheckBuffer(a.A1, a.A2, out long length);
            if (error != Errno.None) return -(long)error;
            var sink = new IoSink(a.Thread.Memory, a.Address(1), length);
            return SyscallAnswer.From(handle.File.Read(ref sink));
        }
    }

    private static long Write(in SyscallArguments a)
    {
        Errno error = a.Thread.Files.Get(a.Int(0), out FileHandle handle);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            if (!handle.File.IsWritable) return -(long)Errno.EBADF;
            error = IoVector.CheckBuffer(a.A1, a.A2, out long length);
            if (error != Errno.None) return -(long)error;
            var source = new IoSource(a.Thread.Memory, a.Address(1), length);
            return SyscallAnswer.From(handle.File.Write(ref source));
        }
    }

    private static long Seek(in SyscallArguments a)
    {
        Errno error = a.Thread.Files.Get(a.Int(0), out FileHandle handle);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            int whence = a.Int(2);
            if (whence is < 0 or > 4) return -(long)Errno.EINVAL;
            return SyscallAnswer.From(handle.File.Seek(a.Long(1), whence));
        }
    }

    private static long ReadAt(in SyscallArguments a)
    {
        long position = a.Long(3);
        if (position < 0) return -(long)Errno.EINVAL;
        Errno error = a.Thread.Files.Get(a.Int(0), out FileHandle handle);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            if (!handle.File.IsSeekable) return -(long)Errno.ESPIPE;
            if (!handle.File.IsReadable) return -(long)Errno.EBADF;
            error = IoVector.CheckBuffer(a.A1, a.A2, out long length);
            if (error != Errno.None) return -(long)error;
            var sink = new IoSink(a.Thread.Memory, a.Address(1), length);
            return SyscallAnswer.From(handle.File.ReadAt(ref sink, position));
        }
    }

    private static long WriteAt(in SyscallArguments a)
    {
        long position = a.Long(3);
        if (position < 0) return -(long)Errno.EINVAL;
        Errno error = a.Thread.Files.Get(a.Int(0), out FileHandle handle);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            if (!handle.File.IsSeekable) return -(long)Errno.ESPIPE;
            if (!handle.File.IsWritable) return -(long)Errno.EBADF;
            error = IoVector.CheckBuffer(a.A1, a.A2, out long length);
            if (error != Errno.None) return -(long)error;
            var source = new IoSource(a.Thread.Memory, a.Address(1), length);
            return SyscallAnswer.From(handle.File.WriteAt(ref source, ref position));
        }
    }

    private static long ReadVector(in SyscallArguments a) => ReadSegments(a, a.Long(2), null, 0);
    private static long WriteVector(in SyscallArguments a) => WriteSegments(a, a.Long(2), null, 0);

    // On 64-bit machines the lower half of the offset holds all of it.
    private static long ReadVectorAt(in SyscallArguments a) => a.Long(3) < 0 ? -(long)Errno.EINVAL : ReadSegments(a, a.Long(2), a.Long(3), 0);
    private static long WriteVectorAt(in SyscallArguments a) => a.Long(3) < 0 ? -(long)Errno.EINVAL : WriteSegments(a, a.Long(2), a.Long(3), 0);

    private static long ReadVectorAt2(in SyscallArguments a)
    {
        long position = a.Long(3);
        if (position < -1) return -(long)Errno.EINVAL;
        return ReadSegments(a, a.Long(2), position == -1 ? null : position, a.Int(5));
    }

    private static long WriteVectorAt2(in SyscallArguments a)
    {
        long position = a.Long(3);
        if (position < -1) return -(long)Errno.EINVAL;
        return WriteSegments(a, a.Long(2), position == -1 ? null : position, a.Int(5));
    }

    private static long ReadSegments(in SyscallArguments a, long count, long? position, int flags)
    {
        Errno error = a.Thread.Files.Get(a.Int(0), out FileHandle handle);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            OpenFile file = handle.File;
            if (position is not null && !file.IsSeekable) return -(long)Errno.ESPIPE;
            if (!file.IsReadable) return -(long)Errno.EBADF;
            error = IoVector.Read(a.Thread, a.Address(1), count, stackalloc UserSegment[IoVector.FewSegments], out System.ReadOnlySpan<UserSegment> segments);
            if (error != Errno.None) return -(long)error;
            if ((flags & ~(HighPriority | DataSync | Sync | NoWait)) != 0 || ((flags & NoWait) != 0 && !file.IsSeekable)) return -(long)Errno.EOPNOTSUPP;
            var sink = new IoSink(a.Thread.Memory, segments);
            return SyscallAnswer.From(position is { } at ? file.ReadAt(ref sink, at) : file.Read(ref sink));
        }
    }

    private static long WriteSegments(in SyscallArguments a, long count, long? position, int flags)
    {
        Errno error = a.Thread.Files.Get(a.Int(0), out FileHandle handle);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            OpenFile file = handle.File;
            if (position is not null && !file.IsSeekable) return -(long)Errno.ESPIPE;
            if (!file.IsWritable) return -(long)Errno.EBADF;
            error = IoVector.Read(a.Thread, a.Address(1), count, stackalloc UserSegment[IoVector.FewSegments], out System.ReadOnlySpan<UserSegment> segments);
            if (error != Errno.None) return -(long)error;
            if ((flags & ~(HighPriority | DataSync | Sync | NoWait | Append)) != 0 || ((flags & NoWait) != 0 && !file.IsSeekable)) return -(long)Errno.EOPNOTSUPP;
            var source = new IoSource(a.Thread.Memory, segments);
            long at = (flags & Append) != 0 ? OpenFile.AtEnd : position ?? 0;
            Result<long> result = position is null ? file.Write(ref source, (flags & Append) != 0) : file.WriteAt(ref source, ref at);
            if (result.Value > 0 && (flags & (DataSync | Sync)) != 0 && (error = file.Sync((flags & Sync) == 0)) != Errno.None) return -(long)error;
            return SyscallAnswer.From(result);
        }
    }
}
