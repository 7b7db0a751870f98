using System;
using System.Collections.Generic;
using System.Text;
using Asterinas.Ostd.Boot;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Services.Memory;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.FileSystems.Initramfs;

/// <summary>
/// Unpacks the initial RAM file system into the first root: cpio archives, plain or gzip, one after the other, with zeroes between. What cannot be unpacked ends it with a message;
/// what was unpacked before stays.
/// </summary>
internal sealed class Initramfs
{
    private const int MostNameBytes = 4096, MostLinks = 8;

    private readonly Dentry _root;
    // Files with several names, until the end of their archive.
    private readonly Dictionary<(uint, uint, uint), Inode> _links = [];
    private readonly List<(Inode Directory, Timestamp Time)> _directoryTimes = [];
    private readonly byte[] _buffer = new byte[65536];

    private Initramfs(Dentry root) => _root = root;

    /// <summary>Files unpacked.</summary>
    public int Count { get; private set; }

    /// <summary>Unpacks what the boot loader left. Returns the number of files; problems are logged. Runs once, before the first program.</summary>
    public static int Unpack(FileSystem into)
    {
        BootInfo boot = BootInfo.Current;
        if (boot.InitramfsLength == 0) return 0;
        var source = new BootImageStream(boot);
        var initramfs = new Initramfs(into.RootDentry);
        if (initramfs.UnpackAll(source) is { } problem) Log.Error($"initramfs: {problem} (at byte {source.Position} of {boot.InitramfsLength})");
        foreach ((Inode directory, Timestamp time) in initramfs._directoryTimes) directory.SetTimes(time, time);
        return initramfs.Count;
    }

    // Null, or what is wrong.
    private string? UnpackAll(BootImageStream source)
    {
        while (true)
        {
            ReadOnlySpan<byte> next = source.Peek(8);
            int zeroes = next.IndexOfAnyExcept((byte)0);
            if (zeroes != 0 && next.Length > 0)
            {
                source.Take(zeroes < 0 ? next.Length : zeroes);
                continue;
            }
            if (next.Length == 0) return null;
            string? problem;
            if (CpioEntry.IsHeader(next)) problem = UnpackArchive(source, source.Position);
            else if (next.StartsWith((ReadOnlySpan<byte>)[0x1F, 0x8B])) problem = UnpackCompressed(source);
            else problem = $"neither a cpio archive nor gzip, it begins with {Convert.ToHexString(next[..Math.Min(6, next.Length)])}";
            if (problem is not null) return problem;
        }
    }

    private string? UnpackCompressed(BootImageStream source)
    {
        var gzip = new GzipStream(source);
        Span<byte> probe = stackalloc byte[1];
        while (true)
        {
            string? problem = UnpackArchive(gzip, 0);
            if (problem is not null) return gzip.Problem ?? problem;
            // Zeroes fill the last block of an archive; another archive may follow.
            do
            {
                if (gzip.Read(probe) == 0) return gzip.Problem;
            }
            while (probe[0] == 0);
            if (probe[0] != '0') return "what follows an archive is none";
            _pendingByte = true;
        }
    }

    // The first byte of the next header was read already: it is always '0'.
    private bool _pendingByte;

    // One archive, to its trailer. Paddings count from where it begins.
    private string? UnpackArchive(ByteStream source, long start)
    {
        _links.Clear();
        byte[] header = new byte[CpioEntry.HeaderBytes];
        byte[] name = new byte[MostNameBytes];
        long position = start;
        while (true)
        {
            int had = 0;
            if (_pendingByte)
            {
                header[0] = (byte)'0';
                _pendingByte = false;
                had = 1;
            }
            if (source.Read(header.AsSpan(had)) < header.Length - had) return "an archive without trailer";
            if (!CpioEntry.IsHeader(header) || !CpioEntry.TryParse(header, out CpioEntry entry)) return "no cpio header where one should be";
            if (entry.NameBytes is 0 or > MostNameBytes) return $"a name of {entry.NameBytes} bytes";
            Span<byte> nameBytes = name.AsSpan(0, (int)entry.NameBytes);
            if (source.Read(nameBytes) < nameBytes.Length || nameBytes[^1] != 0) return "a name that does not end";
            position += CpioEntry.HeaderBytes + entry.NameBytes;
            int padding = CpioEntry.Padding(position - start);
            source.Skip(padding);
            position += padding;
            ReadOnlySpan<byte> path = nameBytes[..nameBytes.IndexOf((byte)0)];
            if (path.SequenceEqual("TRAILER!!!"u8)) return null;
            string? problem = UnpackEntry(source, entry, path);
            if (problem is not null) return $"{Encoding.UTF8.GetString(path)}: {problem}";
            position += entry.Size;
            padding = CpioEntry.Padding(position - start);
            source.Skip(padding);
            position += padding;
        }
    }

    private string? UnpackEntry(ByteStream source, in CpioEntry entry, ReadOnlySpan<byte> path)
    {
        var type = (InodeType)(entry.Mode & 0xF000);
        byte[] target = [];
        if (type == InodeType.SymbolicLink)
        {
            if (entry.Size is 0 or > MostNameBytes) return $"a link of {entry.Size} bytes";
            target = new byte[entry.Size];
            if (source.Read(target) < target.Length) return "its contents are cut off";
        }
        Errno error = Make(entry, type, path, target, out Inode? inode);
        if (error != Errno.None)
        {
            // As on Linux, a file whose directory is missing is no reason to give up the others.
            Log.Warning($"initramfs: {Encoding.UTF8.GetString(path)} is left out: {error}");
            return type == InodeType.SymbolicLink || source.Skip(entry.Size) ? null : "its contents are cut off";
        }
        Count++;
        if (type == InodeType.Regular)
        {
            string? problem = Fill(source, (RegularInode)inode!, entry.Size);
            if (problem is not null) return problem;
        }
        else if (type != InodeType.SymbolicLink && !source.Skip(entry.Size))
        {
            return "its contents are cut off";
        }
        var time = new Timestamp(entry.ModifyTime, 0);
        if (type == InodeType.Directory) _directoryTimes.Add((inode!, time)); else inode!.SetTimes(time, time);
        return null;
    }

    // A file with several names comes once with its contents, and with none the other times.
    private string? Fill(ByteStream source, RegularInode file, uint size)
    {
        long position = 0;
        while (position < size)
        {
            Span<byte> chunk = _buffer.AsSpan(0, (int)Math.Min(_buffer.Length, size - position));
            if (source.Read(chunk) < chunk.Length) return "its contents are cut off";
            using Mutex.Guard guard = file.Lock.Lock();
            var bytes = new IoSource(chunk);
            Result<long> written = file.Cache.Write(ref bytes, position);
            if (!written.IsOk || written.Value < chunk.Length) return "there is no memory left for it";
            position += chunk.Length;
        }
        return null;
    }

    private Errno Make(in CpioEntry entry, InodeType type, ReadOnlySpan<byte> path, byte[] target, out Inode? inode)
    {
        inode = null;
        Errno error = FindParent(path, out Dentry parent, out ReadOnlySpan<byte> name);
        if (error != Errno.None) return error;
        int permissions = (int)entry.Mode & 0xFFF;
        if (name.IsEmpty)
        {
            // The root itself.
            if (type != InodeType.Directory) return Errno.EEXIST;
            inode = parent.Inode!;
            return inode.SetOwner(entry.Uid, entry.Gid, permissions);
        }
        Inode directory = parent.Inode!;
        using Mutex.Guard guard = directory.Lock.Lock();
        Result<Dentry> found = DentryCache.LookupLocked(parent, name);
        if (!found.IsOk) return found.Error;
        Dentry dentry = found.Value;
        bool isShared = entry.Links >= 2 && type != InodeType.Directory;
        (uint, uint, uint) identity = (entry.Inode, entry.Major, entry.Minor);
        if (dentry.Inode is { } present)
        {
            if (present.Type == type && (type == InodeType.Directory || (type == InodeType.Regular && !isShared)))
            {
                inode = present;
                if (type == InodeType.Regular)
                {
                    using Mutex.Guard contents = present.Lock.Lock();
                    present.Truncate(0);
                }
                return present.SetOwner(entry.Uid, entry.Gid, permissions);
            }
            error = present.IsDirectory ? Errno.EEXIST : directory.Unlink(name, present);
            if (error != Errno.None) return error;
            DentryCache.Unlink(dentry);
            present.EvictIfUnused();
            found = DentryCache.LookupLocked(parent, name);
            if (!found.IsOk) return found.Error;
            dentry = found.Value;
        }
        if (isShared && _links.TryGetValue(identity, out inode) && inode.Type == type)
        {
            error = directory.Link(name, inode);
            if (error == Errno.None) DentryCache.SetInode(dentry, inode);
            return error;
        }
        var device = new DeviceNumber(entry.DeviceMajor, entry.DeviceMinor);
        Result<Inode> made = directory.Create(name, new NewInode { Type = type, Permissions = permissions, Uid = entry.Uid, Gid = entry.Gid, Device = device, LinkTarget = target });
        if (!made.IsOk) return made.Error;
        inode = made.Value;
        DentryCache.SetInode(dentry, inode);
        if (isShared) _links[identity] = inode;
        return Errno.None;
    }

    // Links on the way are followed; the last component is left over, empty for the root.
    private Errno FindParent(ReadOnlySpan<byte> path, out Dentry parent, out ReadOnlySpan<byte> name)
    {
        parent = _root;
        name = default;
        int links = 0;
        while (true)
        {
            path = path.Trim((byte)'/');
            if (path.StartsWith("./"u8))
            {
                path = path[2..];
                continue;
            }
            if (path.IsEmpty || path.SequenceEqual("."u8)) return Errno.None;
            int slash = path.IndexOf((byte)'/');
            ReadOnlySpan<byte> first = slash < 0 ? path : path[..slash];
            if (first.Length > 255) return Errno.ENAMETOOLONG;
            if (first.SequenceEqual(".."u8)) return Errno.EINVAL;
            if (slash < 0)
            {
                name = first;
                return Errno.None;
            }
            Errno error = Descend(ref parent, first, ref links);
            if (error != Errno.None) return error;
            path = path[(slash + 1)..];
        }
    }

    private Errno Descend(ref Dentry parent, ReadOnlySpan<byte> name, ref int links)
    {
        Result<Dentry> found = DentryCache.Lookup(parent, name);
        if (!found.IsOk) return found.Error;
        if (found.Value.Inode is not { } inode) return Errno.ENOENT;
        if (inode.Type == InodeType.SymbolicLink)
        {
            if (++links > MostLinks) return Errno.ELOOP;
            ReadOnlySpan<byte> target = inode.ReadLink().Value;
            if (target.StartsWith("/"u8)) parent = _root;
            while (!(target = target.TrimStart((byte)'/')).IsEmpty)
            {
                int slash = target.IndexOf((byte)'/');
                ReadOnlySpan<byte> first = slash < 0 ? target : target[..slash];
                target = slash < 0 ? default : target[slash..];
                if (first.SequenceEqual("."u8)) continue;
                if (first.SequenceEqual(".."u8))
                {
                    parent = parent.Parent;
                    continue;
                }
                Errno error = Descend(ref parent, first, ref links);
                if (error != Errno.None) return error;
            }
            return Errno.None;
        }
        if (!inode.IsDirectory) return Errno.ENOTDIR;
        parent = found.Value;
        return Errno.None;
    }
}
