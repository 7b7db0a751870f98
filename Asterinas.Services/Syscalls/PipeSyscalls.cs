using System;
using System.Buffers.Binary;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Ipc;
using Asterinas.Services.Processes;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>pipe(2) and pipe2(2).</summary>
internal static class PipeSyscalls
{
    public static void Register()
    {
        SyscallTable.Add(22, "pipe", static (in SyscallArguments a) => Create(a.Thread, a.Address(0), OpenFlags.ReadOnly));
        SyscallTable.Add(293, "pipe2", static (in SyscallArguments a) => Create(a.Thread, a.Address(0), (OpenFlags)a.Int(1)), "O_NOTIFICATION_PIPE");
    }

    private static long Create(Thread thread, UserAddress address, OpenFlags flags)
    {
        if ((flags & ~(OpenFlags.CloseOnExec | OpenFlags.NonBlock | OpenFlags.Direct)) != 0) return -(long)Errno.EINVAL;
        (PipeFile read, PipeFile write) = PipeFile.CreatePair(thread, flags);
        return SyscallAnswer.From(InstallPair(thread, address, read, write, (flags & OpenFlags.CloseOnExec) != 0));
    }

    /// <summary>Gives two new files descriptors, and writes those to user memory. On failure both files are closed. EMFILE, EFAULT.</summary>
    public static Errno InstallPair(Thread thread, UserAddress address, OpenFile first, OpenFile second, bool closeOnExec)
    {
        ulong limit = thread.Process.Limits.Soft(Resource.OpenFiles);
        Result<int> a = thread.Files.Add(first, closeOnExec, limit);
        Result<int> b = a.IsOk ? thread.Files.Add(second, closeOnExec, limit) : a.Error;
        Errno error = b.Error;
        if (error == Errno.None)
        {
            Span<byte> bytes = stackalloc byte[8];
            BinaryPrimitives.WriteInt32LittleEndian(bytes, a.Value);
            BinaryPrimitives.WriteInt32LittleEndian(bytes[4..], b.Value);
            error = thread.Memory.Write(address, bytes);
            if (error == Errno.None) return error;
        }
        // Another thread may have closed them already: only what is still there is taken out.
        if (a.IsOk) thread.Files.Remove(a.Value)?.Release(); else first.Release();
        if (b.IsOk) thread.Files.Remove(b.Value)?.Release(); else second.Release();
        return error;
    }

    /// <summary>Gives a new file a descriptor. On failure the file is closed. EMFILE.</summary>
    public static long Install(Thread thread, OpenFile file, bool closeOnExec)
    {
        Result<int> added = thread.Files.Add(file, closeOnExec, thread.Process.Limits.Soft(Resource.OpenFiles));
        if (!added.IsOk) file.Release();
        return SyscallAnswer.From(added);
    }
}
