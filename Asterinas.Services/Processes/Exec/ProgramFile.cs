using System;
using Asterinas.Services.Memory;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Processes.Exec;

/// <summary>Reading of program files.</summary>
internal static class ProgramFile
{
    /// <summary>Bytes of a file that decide what it is (BINPRM_BUF_SIZE).</summary>
    public const int StartBytes = 256;

    /// <summary>Opens a program that the caller may execute. ENOENT, EACCES, ETXTBSY, … May block.</summary>
    public static Result<OpenFile> Open(Thread thread, VfsPath start, ReadOnlySpan<byte> path, bool noFollow, bool allowEmpty) =>
        FileOpener.OpenExecutable(thread, start, path, (noFollow ? WalkFlags.None : WalkFlags.Follow) | (allowEmpty ? WalkFlags.AllowEmpty : WalkFlags.None));

    /// <summary>The kernel is done with a program's file. Memory that shows it keeps it, and as long as it is kept nobody may write to it.</summary>
    public static void Close(OpenFile file) => file.Release();

    /// <summary>The first bytes of a file: fewer for a shorter one. May block.</summary>
    public static Result<int> ReadStart(OpenFile file, Span<byte> buffer)
    {
        int done = 0;
        while (done < buffer.Length)
        {
            var sink = new IoSink(buffer[done..]);
            Result<long> read = file.ReadAt(ref sink, done);
            if (!read.IsOk) return read.Error;
            if (read.Value == 0) break;
            done += (int)read.Value;
        }
        return done;
    }

    /// <summary>Bytes at a position. EIO when the file ends before. May block.</summary>
    public static Errno ReadExactly(OpenFile file, long position, Span<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            var sink = new IoSink(buffer);
            Result<long> read = file.ReadAt(ref sink, position);
            if (!read.IsOk) return read.Error;
            if (read.Value == 0) return Errno.EIO;
            buffer = buffer[(int)read.Value..];
            position += read.Value;
        }
        return Errno.None;
    }
}
