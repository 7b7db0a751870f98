using System;
using System.Runtime;

namespace Asterinas.Ostd.Runtime;

/// <summary>
/// Streams and files under the runtime: 1 and 2 are the console; nothing else exists, so opening fails with ENOENT and using fails with EBADF.
/// Processes do not exist either: what the runtime would start to write a dump fails with ENOSYS, and says so once.
/// </summary>
// SAFETY: only console output touches a caller's buffer: it is read for the size that the caller states (man 3 fwrite) or up to its zero.
internal static unsafe class StdioPlugs
{
    private static uint s_reported;

    public static bool Put(nint stream, byte* text, nuint length)
    {
        if (stream is not (1 or 2))
        {
            Errno.Set(Errno.EBADF);
            return false;
        }
        Console.Write(text, length);
        return true;
    }

    [RuntimeExport("write")] private static nint Write(int descriptor, byte* text, nuint length) => Put(descriptor, text, length) ? (nint)length : -1;
    [RuntimeExport("fwrite")] private static nuint WriteStream(byte* data, nuint size, nuint count, nint stream) => Put(stream, data, size * count) ? count : 0;
    [RuntimeExport("fputs")] private static int PutText(byte* text, nint stream) => Put(stream, text, StringPlugs.Length(text)) ? 0 : -1;
    [RuntimeExport("fflush")] private static int Flush(nint stream) => 0;         // nothing is buffered

    [RuntimeExport("fopen64")] private static void* OpenStream(byte* path, byte* mode) => Absent();
    [RuntimeExport("fopen")] private static void* OpenStream32(byte* path, byte* mode) => Absent();
    [RuntimeExport("opendir")] private static void* OpenDirectory(byte* path) => Absent();
    [RuntimeExport("open64")] private static int Open(byte* path, int flags) => Errno.Fail(Errno.ENOENT);
    [RuntimeExport("open")] private static int Open32(byte* path, int flags) => Errno.Fail(Errno.ENOENT);
    [RuntimeExport("statfs64")] private static int FileSystem(byte* path, void* result) => Errno.Fail(Errno.ENOENT);

    [RuntimeExport("close")] private static int Close(int descriptor) => Errno.Fail(Errno.EBADF);
    [RuntimeExport("read")] private static nint Read(int descriptor, byte* buffer, nuint count) => Errno.Fail(Errno.EBADF);
    [RuntimeExport("fclose")] private static int CloseStream(nint stream) => Errno.Fail(Errno.EBADF);
    [RuntimeExport("fgetc")] private static int GetCharacter(nint stream) => Errno.Fail(Errno.EBADF);
    [RuntimeExport("__getdelim")] private static nint GetDelimited(byte** line, nuint* capacity, int delimiter, nint stream) => Errno.Fail(Errno.EBADF);
    [RuntimeExport("readdir64")]
    private static void* ReadDirectory(nint directory)
    {
        Errno.Set(Errno.EBADF);
        return null;
    }

    [RuntimeExport("closedir")] private static int CloseDirectory(nint directory) => Errno.Fail(Errno.EBADF);

    [RuntimeExport("__xstat64")] private static int Status(int version, byte* path, void* result) => Errno.Fail(Errno.ENOENT);
    [RuntimeExport("__lxstat64")] private static int LinkStatus(int version, byte* path, void* result) => Errno.Fail(Errno.ENOENT);
    [RuntimeExport("readlink")] private static nint ReadLink(byte* path, byte* buffer, nuint count) => Errno.Fail(Errno.ENOENT);
    [RuntimeExport("unlink")] private static int Unlink(byte* path) => Errno.Fail(Errno.ENOENT);
    [RuntimeExport("access")] private static int Access(byte* path, int mode) => Errno.Fail(Errno.ENOENT);
    [RuntimeExport("getcwd")] private static void* CurrentDirectory(byte* buffer, nuint count) => Absent();
    [RuntimeExport("__fxstat64")] private static int DescriptorStatus(int version, int descriptor, void* result) => Errno.Fail(Errno.EBADF);
    [RuntimeExport("fstatfs64")] private static int DescriptorFileSystem(int descriptor, void* result) => Errno.Fail(Errno.EBADF);
    [RuntimeExport("fallocate64")] private static int Allocate(int descriptor, int mode, long offset, long length) => Errno.Fail(Errno.EBADF);
    [RuntimeExport("ftruncate64")] private static int Truncate(int descriptor, long length) => Errno.Fail(Errno.EBADF);
    [RuntimeExport("flock")] private static int LockFile(int descriptor, int operation) => Errno.Fail(Errno.EBADF);
    [RuntimeExport("lseek64")] private static long Seek(int descriptor, long offset, int origin) => Errno.Fail(Errno.EBADF);
    [RuntimeExport("pread64")] private static nint ReadAt(int descriptor, void* buffer, nuint count, long offset) => Errno.Fail(Errno.EBADF);
    [RuntimeExport("posix_fadvise64")] private static int AdviseFile(int descriptor, long offset, long length, int advice) => Errno.EBADF;
    [RuntimeExport("geteuid")] private static uint EffectiveUser() => 0;
    [RuntimeExport("getegid")] private static uint EffectiveGroup() => 0;
    [RuntimeExport("getgroups")] private static int Groups(int count, uint* list) => 0;

    [RuntimeExport("fork")] private static int Fork() => Unsupported(0, "fork"u8);
    [RuntimeExport("execv")] private static int Execute(byte* path, byte** arguments) => Unsupported(1, "execv"u8);
    [RuntimeExport("waitpid")] private static int WaitProcess(int process, int* status, int options) => Unsupported(2, "waitpid"u8);
    [RuntimeExport("pipe")] private static int Pipe(int* descriptors) => Unsupported(3, "pipe"u8);
    [RuntimeExport("dup2")] private static int Duplicate(int from, int to) => Unsupported(4, "dup2"u8);
    [RuntimeExport("prctl")] private static int ProcessControl(int option, ulong argument) => Unsupported(5, "prctl"u8);

    private static void* Absent()
    {
        Errno.Set(Errno.ENOENT);
        return null;
    }

    private static int Unsupported(int number, ReadOnlySpan<byte> name)
    {
        if ((s_reported & 1u << number) == 0)
        {
            s_reported |= 1u << number;
            Console.Write("runtime plug not supported: "u8);
            Console.Write(name);
            Console.Write("\n"u8);
        }
        return Errno.Fail(Errno.ENOSYS);
    }
}
