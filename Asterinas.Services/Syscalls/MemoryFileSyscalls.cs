using System;
using Asterinas.Services.FileSystems.TmpFs;
using Asterinas.Services.Processes;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>memfd_create: files in memory that only descriptors lead to. Handles of files (name_to_handle_at) are those of no file system here.</summary>
internal static class MemoryFileSyscalls
{
    private const uint CloseOnExec = 1, AllowSealing = 2, NoExecuteSeal = 8, Execute = 16;
    private const int MostNameBytes = 249;
    private static readonly TmpFs s_files = TmpFs.Create("size=0,nr_inodes=0", "tmpfs").Value;

    private static ReadOnlySpan<byte> NamePrefix => "memfd:"u8;

    public static void Register()
    {
        SyscallTable.Add(303, "name_to_handle_at", NameToHandle, "no file system has handles: EOPNOTSUPP");
        SyscallTable.Add(304, "open_by_handle_at", OpenByHandle, "no file system has handles: ESTALE");
        SyscallTable.Add(319, "memfd_create", Create, "MFD_HUGETLB");
    }

    private static long Create(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        uint flags = a.UInt(1);
        if ((flags & ~(CloseOnExec | AllowSealing | NoExecuteSeal | Execute)) != 0 || (flags & (NoExecuteSeal | Execute)) == (NoExecuteSeal | Execute)) return -(long)Errno.EINVAL;
        Span<byte> buffer = stackalloc byte[MostNameBytes + 1];
        Result<int> length = thread.Memory.ReadString(a.Address(0), buffer);
        if (!length.IsOk) return length.Error == Errno.ENAMETOOLONG ? -(long)Errno.EINVAL : -(long)length.Error;
        bool isExecutable = (flags & NoExecuteSeal) == 0;
        Credentials credentials = thread.Credentials;
        Result<TmpRegular> made = s_files.CreateUnnamed(isExecutable ? 0x1FF : 0x1B6, credentials.FsUid, credentials.FsGid);
        if (!made.IsOk) return -(long)made.Error;
        TmpRegular inode = made.Value;
        if ((flags & NoExecuteSeal) != 0) inode.Seals = FileSeals.Execute;
        else if ((flags & AllowSealing) != 0) inode.Seals = FileSeals.None;
        var name = new byte[NamePrefix.Length + length.Value];
        NamePrefix.CopyTo(name);
        buffer[..length.Value].CopyTo(name.AsSpan(NamePrefix.Length));
        var dentry = new Dentry(null, name, inode) { IsUnlinked = true };
        Result<OpenFile> opened = inode.Open(new VfsPath(null, dentry), OpenFlags.ReadWrite | OpenFlags.LargeFile, thread);
        if (!opened.IsOk) return -(long)opened.Error;
        Result<int> number = thread.Files.Add(opened.Value, (flags & CloseOnExec) != 0, thread.Process.Limits.Soft(Resource.OpenFiles));
        if (!number.IsOk) opened.Value.Release();
        return SyscallAnswer.From(number);
    }

    private static long NameToHandle(in SyscallArguments a)
    {
        var flags = (AtFlags)a.Int(4);
        if ((flags & ~(AtFlags.Follow | AtFlags.EmptyPath)) != 0) return -(long)Errno.EINVAL;
        WalkFlags walk = ((flags & AtFlags.Follow) != 0 ? WalkFlags.Follow : WalkFlags.None) | ((flags & AtFlags.EmptyPath) != 0 ? WalkFlags.AllowEmpty : WalkFlags.None);
        Errno error = PathArgument.Resolve(a.Thread, a.Int(0), a.Address(1), walk, out _);
        return -(long)(error != Errno.None ? error : Errno.EOPNOTSUPP);
    }

    private static long OpenByHandle(in SyscallArguments a)
    {
        if (!a.Thread.Credentials.Has(Capability.DacReadSearch)) return -(long)Errno.EPERM;
        Errno error = a.Thread.Memory.Read(a.Address(1), out uint bytes);
        if (error != Errno.None) return -(long)error;
        return -(long)(bytes is 0 or > 128 ? Errno.EINVAL : Errno.ESTALE);
    }
}
