using System;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Memory;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>sendfile, copy_file_range, splice, tee, vmsplice: bytes from one file to another by way of a buffer of the kernel.</summary>
internal static class TransferSyscalls
{
    private const int ChunkBytes = 16384;
    private const uint SpliceFlags = 0xF, SpliceNonBlocking = 2;

    public static void Register()
    {
        SyscallTable.Add(40, "sendfile", SendFile);
        SyscallTable.Add(275, "splice", Splice);
        SyscallTable.Add(276, "tee", Tee);
        SyscallTable.Add(278, "vmsplice", VectorSplice, "SPLICE_F_GIFT gives no pages away: they are copied");
        SyscallTable.Add(326, "copy_file_range", CopyFileRange);
    }

    // ---- where one side of a transfer is: an offset of the program's, or the file's own position

    private static Errno ReadOffset(Thread thread, UserAddress address, OpenFile file, out long offset)
    {
        offset = 0;
        if (address.Value == 0)
        {
            if (!file.IsSeekable) return Errno.None;
            using Mutex.Guard guard = file.LockPosition();
            offset = file.PositionLocked;
            return Errno.None;
        }
        Errno error = thread.Memory.Read(address, out offset);
        if (error != Errno.None) return error;
        return !file.IsSeekable ? Errno.ESPIPE : offset < 0 ? Errno.EINVAL : Errno.None;
    }

    private static Errno WriteOffset(Thread thread, UserAddress address, OpenFile file, long offset)
    {
        if (address.Value != 0) return thread.Memory.Write(address, offset);
        if (!file.IsSeekable) return Errno.None;
        using Mutex.Guard guard = file.LockPosition();
        file.PositionLocked = offset;
        return Errno.None;
    }

    // ---- from file to file

    private static long SendFile(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        Errno error = thread.Files.Get(a.Int(1), out FileHandle from);
        if (error != Errno.None) return -(long)error;
        using (from)
        {
            error = thread.Files.Get(a.Int(0), out FileHandle to);
            if (error != Errno.None) return -(long)error;
            using (to)
            {
                if (!from.File.IsReadable || !to.File.IsWritable) return -(long)Errno.EBADF;
                error = ReadOffset(thread, a.Address(2), from.File, out long offset);
                if (error != Errno.None) return -(long)error;
                if ((long)a.A3 < 0 || !from.File.IsSeekable || (to.File.Flags & OpenFlags.Append) != 0) return -(long)Errno.EINVAL;
                error = ReadOffset(thread, default, to.File, out long target);
                if (error != Errno.None) return -(long)error;
                long start = target;
                Result<long> moved = Copy(from.File, offset, to.File, ref target, (long)Math.Min(a.A3, (ulong)IoVector.MostBytes));
                if (!moved.IsOk) return -(long)moved.Error;
                WriteOffset(thread, default, to.File, start + moved.Value);
                error = WriteOffset(thread, a.Address(2), from.File, offset + moved.Value);
                return error != Errno.None ? -(long)error : moved.Value;
            }
        }
    }

    private static long CopyFileRange(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        Errno error = thread.Files.Get(a.Int(0), out FileHandle from);
        if (error != Errno.None) return -(long)error;
        using (from)
        {
            error = thread.Files.Get(a.Int(2), out FileHandle to);
            if (error != Errno.None) return -(long)error;
            using (to)
            {
                error = ReadOffset(thread, a.Address(1), from.File, out long offset);
                if (error != Errno.None) return -(long)error;
                error = ReadOffset(thread, a.Address(3), to.File, out long target);
                if (error != Errno.None) return -(long)error;
                if (a.UInt(5) != 0) return -(long)Errno.EINVAL;
                error = CheckRange(from.File, to.File, offset, target, in a, out long length);
                if (error != Errno.None) return -(long)error;
                long start = target;
                Result<long> moved = Copy(from.File, offset, to.File, ref target, length);
                if (!moved.IsOk) return -(long)moved.Error;
                error = WriteOffset(thread, a.Address(1), from.File, offset + moved.Value);
                if (error == Errno.None) error = WriteOffset(thread, a.Address(3), to.File, start + moved.Value);
                return error != Errno.None ? -(long)error : moved.Value;
            }
        }
    }

    private static Errno CheckRange(OpenFile from, OpenFile to, long offset, long target, in SyscallArguments a, out long length)
    {
        length = (long)Math.Min(a.A4, (ulong)IoVector.MostBytes);
        if (from.Inode.IsDirectory || to.Inode.IsDirectory) return Errno.EISDIR;
        if (from.Inode.Type != InodeType.Regular || to.Inode.Type != InodeType.Regular) return Errno.EINVAL;
        if (!from.IsReadable || !to.IsWritable || (to.Flags & OpenFlags.Append) != 0) return Errno.EBADF;
        if ((long)a.A4 < 0 || length > long.MaxValue - offset || length > long.MaxValue - target) return Errno.EOVERFLOW;
        length = Math.Max(Math.Min(length, from.Inode.Size - offset), 0);
        return ReferenceEquals(from.Inode, to.Inode) && offset < target + length && target < offset + length ? Errno.EINVAL : Errno.None;
    }

    // Moves bytes until the source ends, the target takes no more, or enough was moved.
    private static Result<long> Copy(OpenFile from, long offset, OpenFile to, ref long target, long length)
    {
        var buffer = new byte[Math.Min(ChunkBytes, Math.Max(length, 1))];
        long done = 0;
        while (done < length)
        {
            var sink = new IoSink(buffer.AsSpan(0, (int)Math.Min(buffer.Length, length - done)));
            Result<long> read = from.ReadAt(ref sink, offset + done);
            if (!read.IsOk) return done > 0 ? done : read;
            if (read.Value == 0) break;
            var source = new IoSource(buffer.AsSpan(0, (int)read.Value));
            Result<long> written = to.WriteAt(ref source, ref target);
            if (!written.IsOk) return done > 0 ? done : written;
            done += written.Value;
            target += written.Value;
            if (written.Value < read.Value) break;
            Task.YieldIfNeeded();
        }
        return done;
    }

    // ---- pipes

    private static long Splice(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        uint flags = a.UInt(5);
        if ((flags & ~SpliceFlags) != 0) return -(long)Errno.EINVAL;
        if (a.A4 == 0) return 0;
        Errno error = thread.Files.Get(a.Int(0), out FileHandle from);
        if (error != Errno.None) return -(long)error;
        using (from)
        {
            error = thread.Files.Get(a.Int(2), out FileHandle to);
            if (error != Errno.None) return -(long)error;
            using (to)
            {
                if (!from.File.IsReadable || !to.File.IsWritable) return -(long)Errno.EBADF;
                var source = from.File as IPipeEnd;
                var target = to.File as IPipeEnd;
                if (source is null && target is null) return -(long)Errno.EINVAL;
                if ((source is not null && a.A1 != 0) || (target is not null && a.A3 != 0)) return -(long)Errno.ESPIPE;
                if (source is not null && target is not null && ReferenceEquals(source.Pipe, target.Pipe)) return -(long)Errno.EINVAL;
                bool nonBlocking = (flags & SpliceNonBlocking) != 0;
                long length = (long)Math.Min(a.A4, (ulong)IoVector.MostBytes);
                return SyscallAnswer.From(source is not null
                    ? FromPipe(thread, source, nonBlocking || from.File.IsNonBlocking, to.File, target, a.Address(3), nonBlocking || to.File.IsNonBlocking, length)
                    : ToPipe(thread, from.File, a.Address(1), target!, nonBlocking || to.File.IsNonBlocking, length));
            }
        }
    }

    private static Result<long> FromPipe(Thread thread, IPipeEnd source, bool nonBlocking, OpenFile to, IPipeEnd? target, UserAddress offsetAddress, bool targetNonBlocking, long length)
    {
        if (target is null && (to.Flags & OpenFlags.Append) != 0) return Errno.EINVAL;
        Errno error = ReadOffset(thread, offsetAddress, to, out long offset);
        if (error != Errno.None) return error;
        var buffer = new byte[ChunkBytes];
        long done = 0;
        while (done < length)
        {
            Result<long> ready = source.WaitForData(nonBlocking || done > 0);
            if (!ready.IsOk || ready.Value == 0)
            {
                if (done == 0 && !ready.IsOk) return ready;
                break;
            }
            if (target is not null)
            {
                Result<long> room = target.WaitForRoom(targetNonBlocking || done > 0);
                if (!room.IsOk)
                {
                    if (done > 0) break;
                    if (room.Error == Errno.EPIPE) Ipc.PipeFile.SendBrokenPipe(thread);
                    return room;
                }
                length = Math.Min(length, done + room.Value);
            }
            Result<long> written;
            using (Mutex.Guard guard = source.LockForReading())
            {
                int count = source.Peek(buffer.AsSpan(0, (int)Math.Min(buffer.Length, length - done)));
                if (count == 0) continue;
                var bytes = new IoSource(buffer.AsSpan(0, count));
                // Nothing may wait while the pipe is locked: what finds no room stays where it is.
                written = target is not null ? target.WriteSome(ref bytes, true) : to.WriteAt(ref bytes, ref offset);
                if (written.Value > 0) source.Discard((int)written.Value);
            }
            if (!written.IsOk)
            {
                if (done == 0) return written;
                break;
            }
            done += written.Value;
            offset += written.Value;
        }
        if (target is null && done > 0 && (error = WriteOffset(thread, offsetAddress, to, offset)) != Errno.None) return error;
        return done;
    }

    private static Result<long> ToPipe(Thread thread, OpenFile from, UserAddress offsetAddress, IPipeEnd target, bool nonBlocking, long length)
    {
        Errno error = ReadOffset(thread, offsetAddress, from, out long offset);
        if (error != Errno.None) return error;
        var buffer = new byte[ChunkBytes];
        long done = 0;
        while (done < length)
        {
            Result<long> room = target.WaitForRoom(nonBlocking || done > 0);
            if (!room.IsOk)
            {
                if (done > 0) break;
                if (room.Error == Errno.EPIPE) Ipc.PipeFile.SendBrokenPipe(thread);
                return room;
            }
            var sink = new IoSink(buffer.AsSpan(0, (int)Math.Min(Math.Min(buffer.Length, length - done), Math.Max(room.Value, 1))));
            Result<long> read = from.ReadAt(ref sink, offset);
            if (!read.IsOk || read.Value == 0)
            {
                if (done == 0 && !read.IsOk) return read;
                break;
            }
            var bytes = new IoSource(buffer.AsSpan(0, (int)read.Value));
            // What was read from something without position must not be lost: it waits for room.
            Result<long> written = target.WriteSome(ref bytes, nonBlocking && from.IsSeekable);
            if (!written.IsOk)
            {
                if (done == 0) return written;
                break;
            }
            done += written.Value;
            offset += written.Value;
            if (!from.IsSeekable || written.Value < read.Value) break;
        }
        if (done > 0 && (error = WriteOffset(thread, offsetAddress, from, offset)) != Errno.None) return error;
        return done;
    }

    private static long Tee(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        uint flags = a.UInt(3);
        if ((flags & ~SpliceFlags) != 0) return -(long)Errno.EINVAL;
        if (a.A2 == 0) return 0;
        Errno error = thread.Files.Get(a.Int(0), out FileHandle from);
        if (error != Errno.None) return -(long)error;
        using (from)
        {
            error = thread.Files.Get(a.Int(1), out FileHandle to);
            if (error != Errno.None) return -(long)error;
            using (to)
            {
                if (!from.File.IsReadable || !to.File.IsWritable) return -(long)Errno.EBADF;
                if (from.File is not IPipeEnd source || to.File is not IPipeEnd target || ReferenceEquals(source.Pipe, target.Pipe)) return -(long)Errno.EINVAL;
                bool nonBlocking = (flags & SpliceNonBlocking) != 0;
                Result<long> ready = source.WaitForData(nonBlocking || from.File.IsNonBlocking);
                if (!ready.IsOk || ready.Value == 0) return SyscallAnswer.From(ready);
                Result<long> room = target.WaitForRoom(nonBlocking || to.File.IsNonBlocking);
                if (!room.IsOk)
                {
                    if (room.Error == Errno.EPIPE) Ipc.PipeFile.SendBrokenPipe(thread);
                    return -(long)room.Error;
                }
                var buffer = new byte[(int)Math.Min(Math.Min((ulong)ready.Value, a.A2), (ulong)room.Value)];
                int count;
                using (Mutex.Guard guard = source.LockForReading()) count = source.Peek(buffer);
                var bytes = new IoSource(buffer.AsSpan(0, count));
                return SyscallAnswer.From(target.WriteSome(ref bytes, true));
            }
        }
    }

    private static long VectorSplice(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        uint flags = a.UInt(3);
        if ((flags & ~SpliceFlags) != 0) return -(long)Errno.EINVAL;
        Errno error = thread.Files.Get(a.Int(0), out FileHandle handle);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            if (handle.File is not IPipeEnd pipe) return -(long)Errno.EBADF;
            error = IoVector.Read(thread, a.Address(1), a.Long(2), stackalloc UserSegment[IoVector.FewSegments], out ReadOnlySpan<UserSegment> segments);
            if (error != Errno.None) return -(long)error;
            bool nonBlocking = (flags & SpliceNonBlocking) != 0 || handle.File.IsNonBlocking;
            if (!handle.File.IsWritable)
            {
                Result<long> ready = pipe.WaitForData(nonBlocking);
                if (!ready.IsOk) return -(long)ready.Error;
                var sink = new IoSink(thread.Memory, segments);
                return SyscallAnswer.From(handle.File.Read(ref sink));
            }
            var source = new IoSource(thread.Memory, segments);
            if (source.Remaining == 0) return 0;
            Result<long> written = pipe.WriteSome(ref source, nonBlocking);
            if (written.Error == Errno.EPIPE) Ipc.PipeFile.SendBrokenPipe(thread);
            return SyscallAnswer.From(written);
        }
    }
}
