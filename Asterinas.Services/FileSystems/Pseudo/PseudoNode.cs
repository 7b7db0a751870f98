using System;
using System.Collections.Generic;
using System.Text;
using System.Threading;
using Asterinas.Ostd.Sync;
using Asterinas.Services.Memory;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.FileSystems.Pseudo;

/// <summary>A file system whose files are made of kernel data when they are read: /proc and /sys.</summary>
internal abstract class PseudoFileSystem : FileSystem
{
    private long _lastNumber;

    /// <summary>A number for a new inode.</summary>
    public ulong NextNumber() => (ulong)Interlocked.Increment(ref _lastNumber);

    public override FileSystemStatistics Statistics => new(4096, 0, 0, 0, 0, 0, 255);
}

/// <summary>A directory with fixed entries; derived ones add entries that come and go.</summary>
internal class PseudoDirectory : Inode
{
    // Positions of getdents: 0 and 1 are "." and "..", then the fixed entries, then what a derived class adds.
    protected const long FirstFixed = 2;
    private readonly List<(byte[] Name, Inode Inode)> _entries = [];
    private readonly SpinLock _lock = new("pseudo directory");

    public PseudoDirectory(PseudoFileSystem fileSystem, int permissions = 0x16D, uint uid = 0, uint gid = 0)
        : base(fileSystem, fileSystem.NextNumber(), InodeType.Directory, permissions, uid, gid)
    {
    }

    protected PseudoFileSystem Pseudo => (PseudoFileSystem)FileSystem;

    /// <summary>Number of fixed entries.</summary>
    protected int FixedCount => _entries.Count;

    /// <summary>Adds a fixed entry and returns it. The name may not be there yet.</summary>
    public TInode Add<TInode>(string name, TInode inode) where TInode : Inode
    {
        using SpinLock.Guard guard = _lock.Lock();
        _entries.Add((Encoding.UTF8.GetBytes(name), inode));
        if (inode.IsDirectory) ChangeLinks(1);
        return inode;
    }

    /// <summary>Adds a directory.</summary>
    public PseudoDirectory AddDirectory(string name) => Add(name, new PseudoDirectory(Pseudo));

    /// <summary>Adds a file that can be read.</summary>
    public void AddFile(string name, Func<Thread, string> read, int permissions = 0x124) => Add(name, new PseudoFile(Pseudo, (thread, text) => text.Append(read(thread)), null, permissions));

    /// <summary>Adds a file that is built piece by piece.</summary>
    public void AddFile(string name, Action<Thread, StringBuilder> read, int permissions = 0x124) => Add(name, new PseudoFile(Pseudo, read, null, permissions));

    /// <summary>Adds a file that can be read and written.</summary>
    public void AddFile(string name, Func<Thread, string> read, PseudoWrite write, int permissions = 0x1A4) =>
        Add(name, new PseudoFile(Pseudo, (thread, text) => text.Append(read(thread)), write, permissions));

    /// <summary>Adds a symbolic link.</summary>
    public void AddLink(string name, Func<Thread, string?> target) => Add(name, new PseudoLink(Pseudo, target));

    public override Result<Inode> Lookup(ReadOnlySpan<byte> name)
    {
        using SpinLock.Guard guard = _lock.Lock();
        foreach ((byte[] entry, Inode inode) in _entries)
        {
            if (name.SequenceEqual(entry)) return inode;
        }
        return Errno.ENOENT;
    }

    public override Result<long> ReadDirectory(long position, IDirectorySink sink)
    {
        if (position == 0)
        {
            if (!sink.Add("."u8, Number, InodeType.Directory, 1)) return 0L;
            position = 1;
        }
        if (position == 1)
        {
            if (!sink.Add(".."u8, Number, InodeType.Directory, FirstFixed)) return 1L;
            position = FirstFixed;
        }
        for (int i = (int)(position - FirstFixed); i < _entries.Count; i++)
        {
            (byte[] name, Inode inode) = _entries[i];
            if (!sink.Add(name, inode.Number, inode.Type, FirstFixed + i + 1)) return FirstFixed + i;
            position = FirstFixed + i + 1;
        }
        return position;
    }

    public override Result<OpenFile> Open(VfsPath path, OpenFlags flags, Thread thread) => new DirectoryFile(path, flags);
}

/// <summary>Takes what a program wrote to a pseudo file.</summary>
/// <param name="thread">Who wrote.</param>
/// <param name="text">What, at most a page.</param>
internal delegate Errno PseudoWrite(Thread thread, ReadOnlySpan<byte> text);

/// <summary>A file whose contents are made when it is read from the start.</summary>
internal sealed class PseudoFile(PseudoFileSystem fileSystem, Action<Thread, StringBuilder> read, PseudoWrite? write, int permissions, uint uid = 0, uint gid = 0)
    : Inode(fileSystem, fileSystem.NextNumber(), InodeType.Regular, permissions, uid, gid)
{
    /// <summary>Makes bytes that are no text; used in place of the text when set.</summary>
    public Func<Thread, Result<byte[]>>? ReadBytes { get; init; }

    public override Result<OpenFile> Open(VfsPath path, OpenFlags flags, Thread thread)
    {
        if (write is null && (flags & OpenFlags.AccessMask) != OpenFlags.ReadOnly) return Errno.EACCES;
        return new PseudoOpenFile(path, flags, this);
    }

    public override Errno Truncate(long size) => write is null ? Errno.EINVAL : Errno.None;

    public override Errno SetPermissions(int permissions) => Errno.EPERM;

    public override Errno SetOwner(uint uid, uint gid, int permissions) => Errno.EPERM;

    internal Result<byte[]> Make(Thread thread)
    {
        if (ReadBytes is not null) return ReadBytes(thread);
        var text = new StringBuilder();
        read(thread, text);
        return Encoding.Latin1.GetBytes(text.ToString());
    }

    internal Errno Take(Thread thread, ReadOnlySpan<byte> text) => write is null ? Errno.EINVAL : write(thread, text);
}

/// <summary>A snapshot of a pseudo file: made at the first read, and again when it is read from the start.</summary>
internal sealed class PseudoOpenFile(VfsPath path, OpenFlags flags, PseudoFile inode) : OpenFile(path, flags)
{
    private const int MostWritten = 4096;
    private byte[]? _snapshot;

    public override bool IsSeekable => true;

    public override Result<long> ReadAt(ref IoSink sink, long position)
    {
        byte[]? bytes = Volatile.Read(ref _snapshot);
        if (bytes is null || position == 0)
        {
            Result<byte[]> made = inode.Make(Thread.Current!);
            if (!made.IsOk) return made.Error;
            bytes = made.Value;
            Volatile.Write(ref _snapshot, bytes);
        }
        if (position < 0) return Errno.EINVAL;
        if (position >= bytes.Length) return 0L;
        int count = (int)Math.Min(bytes.Length - position, sink.Remaining);
        int done = sink.Write(bytes.AsSpan((int)position, count));
        return done == 0 && count > 0 ? Errno.EFAULT : done;
    }

    public override Result<long> WriteAt(ref IoSource source, ref long position)
    {
        var text = new byte[(int)Math.Min(source.Remaining, MostWritten)];
        int count = source.Read(text);
        if (count < text.Length) return Errno.EFAULT;
        Errno error = inode.Take(Thread.Current!, text);
        return error == Errno.None ? count : error;
    }

    public override Errno Truncate(long size) => inode.Truncate(size);

    protected override Result<long> SeekTarget(long position, long offset, int whence) => whence switch
    {
        0 => offset < 0 ? Errno.EINVAL : offset,
        1 => position + offset < 0 ? Errno.EINVAL : position + offset,
        _ => Errno.EINVAL,
    };
}

/// <summary>A symbolic link whose target depends on who looks.</summary>
internal sealed class PseudoLink(PseudoFileSystem fileSystem, Func<Thread, string?> target, uint uid = 0, uint gid = 0)
    : Inode(fileSystem, fileSystem.NextNumber(), InodeType.SymbolicLink, 0x1FF, uid, gid)
{
    /// <summary>Where following the link leads, when that is no path; null for an ordinary link.</summary>
    public Func<Thread, Result<VfsPath>>? Follow { get; init; }

    public override Result<byte[]> ReadLink() => target(Thread.Current!) is { } text ? Encoding.UTF8.GetBytes(text) : Errno.ENOENT;

    public override Result<VfsPath>? FollowMagicLink(Thread thread) => Follow?.Invoke(thread);

    public override Errno SetPermissions(int permissions) => Errno.EOPNOTSUPP;
}
