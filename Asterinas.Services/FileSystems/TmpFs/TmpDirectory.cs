using System;
using System.Collections.Generic;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.FileSystems.TmpFs;

/// <summary>
/// A directory of tmpfs: its entries by name, and in the order of their positions. A position is given once and never again, so a reader that comes back finds its place whatever
/// happened meanwhile. All under the inode's Lock.
/// </summary>
internal sealed class TmpDirectory : Inode
{
    private sealed class Entry(byte[] name, Inode inode, long position)
    {
        public readonly byte[] Name = name;
        public Inode Inode = inode;
        public readonly long Position = position;
        public bool IsGone;
    }

    private const long FirstPosition = 2;        // behind "." and ".."
    private const int BytesPerEntry = 20;        // what Linux reports as a directory's size

    private readonly Dictionary<byte[], Entry> _byName = new(NameComparer.Instance);
    private readonly List<Entry> _byPosition = [];
    private long _nextPosition = FirstPosition;
    private int _goneCount;
    private TmpDirectory _parent;
    private AttributeSet? _attributes;

    public TmpDirectory(TmpFs fileSystem, ulong number, int permissions, uint uid, uint gid, TmpDirectory? parent)
        : base(fileSystem, number, InodeType.Directory, permissions, uid, gid) => _parent = parent ?? this;

    private TmpFs Tmp => (TmpFs)FileSystem;

    public override long Size => (_byName.Count + 2) * BytesPerEntry;
    public override long Blocks => 0;
    protected override bool HasAttributes => true;
    protected override AttributeSet? Attributes(bool mustMake) => TmpRegular.AttributesOf(ref _attributes, mustMake);
    public override void Evict() => Tmp.UnchargeInode();

    public override Result<Inode> Lookup(ReadOnlySpan<byte> name) => Find(name) is { } entry ? entry.Inode : Errno.ENOENT;

    public override Result<Inode> Create(ReadOnlySpan<byte> name, in NewInode attributes)
    {
        if (!Tmp.TryChargeInode()) return Errno.ENOSPC;
        ulong number = Tmp.NextNumber();
        Inode inode = attributes.Type switch
        {
            InodeType.Directory => new TmpDirectory(Tmp, number, attributes.Permissions, attributes.Uid, attributes.Gid, this),
            InodeType.Regular => new TmpRegular(Tmp, number, attributes.Permissions, attributes.Uid, attributes.Gid),
            InodeType.SymbolicLink => new TmpLink(Tmp, number, attributes.Uid, attributes.Gid, attributes.LinkTarget.ToArray()),
            _ => new TmpNode(Tmp, number, attributes.Type, attributes.Permissions, attributes.Uid, attributes.Gid, attributes.Device),
        };
        Add(name, inode);
        if (inode.IsDirectory) ChangeLinks(1);
        TouchModify();
        return inode;
    }

    public override Result<Inode> CreateTemporary(in NewInode attributes)
    {
        Result<TmpRegular> made = Tmp.CreateUnnamed(attributes.Permissions, attributes.Uid, attributes.Gid);
        return made.IsOk ? made.Value : made.Error;
    }

    public override Errno Link(ReadOnlySpan<byte> name, Inode target)
    {
        Add(name, target);
        target.ChangeLinks(1);
        TouchModify();
        return Errno.None;
    }

    public override Errno Unlink(ReadOnlySpan<byte> name, Inode target)
    {
        Remove(Find(name)!);
        target.ChangeLinks(-1);
        TouchModify();
        return Errno.None;
    }

    public override Errno RemoveDirectory(ReadOnlySpan<byte> name, Inode target)
    {
        if (((TmpDirectory)target)._byName.Count != 0) return Errno.ENOTEMPTY;
        Remove(Find(name)!);
        target.ChangeLinks(-2);
        ChangeLinks(-1);
        TouchModify();
        return Errno.None;
    }

    public override Errno Rename(ReadOnlySpan<byte> name, Inode target, Inode newDirectory, ReadOnlySpan<byte> newName, Inode? replaced, bool isExchange)
    {
        var to = (TmpDirectory)newDirectory;
        Entry source = Find(name)!;
        if (isExchange)
        {
            Entry other = to.Find(newName)!;
            source.Inode = replaced!;
            other.Inode = target;
            if (replaced is TmpDirectory down) down.Enter(this, to);
        }
        else if (replaced is not null)
        {
            if (replaced is TmpDirectory directory)
            {
                if (directory._byName.Count != 0) return Errno.ENOTEMPTY;
                directory.ChangeLinks(-2);
                to.ChangeLinks(-1);
            }
            else
            {
                replaced.ChangeLinks(-1);
            }
            to.Find(newName)!.Inode = target;
            Remove(source);
        }
        else
        {
            to.Add(newName, target);
            Remove(source);
        }
        if (target is TmpDirectory moved) moved.Enter(to, this);
        TouchModify();
        if (!ReferenceEquals(to, this)) to.TouchModify();
        return Errno.None;
    }

    public override Result<long> ReadDirectory(long position, IDirectorySink sink)
    {
        if (position == 0)
        {
            if (!sink.Add("."u8, Number, InodeType.Directory, 1)) return 0;
            position = 1;
        }
        if (position == 1)
        {
            if (!sink.Add(".."u8, _parent.Number, InodeType.Directory, FirstPosition)) return 1;
            position = FirstPosition;
        }
        for (int index = IndexAtOrAfter(position); index < _byPosition.Count; index++)
        {
            Entry entry = _byPosition[index];
            if (entry.IsGone) continue;
            if (!sink.Add(entry.Name, entry.Inode.Number, entry.Inode.Type, entry.Position + 1)) return entry.Position;
            position = entry.Position + 1;
        }
        return position;
    }

    /// <summary>The file system is unmounted for good: everything in it gives its memory back.</summary>
    internal void EvictAll()
    {
        var pending = new Stack<TmpDirectory>();
        pending.Push(this);
        while (pending.TryPop(out TmpDirectory? directory))
        {
            foreach (Entry entry in directory._byName.Values)
            {
                if (entry.Inode is TmpDirectory below) pending.Push(below); else entry.Inode.EvictWithNames();
            }
            directory._byName.Clear();
            directory._byPosition.Clear();
            Task.YieldIfNeeded();
        }
    }

    private Entry? Find(ReadOnlySpan<byte> name) => _byName.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(name, out Entry? entry) ? entry : null;

    private void Add(ReadOnlySpan<byte> name, Inode inode)
    {
        var entry = new Entry(name.ToArray(), inode, _nextPosition);
        _byPosition.EnsureCapacity(_byPosition.Count + 1);
        _byName.Add(entry.Name, entry);
        _byPosition.Add(entry);
        _nextPosition++;
    }

    private void Remove(Entry entry)
    {
        _byName.Remove(entry.Name);
        entry.IsGone = true;
        _goneCount++;
        if (_goneCount <= 32 || _goneCount <= _byPosition.Count / 2) return;
        _byPosition.RemoveAll(static candidate => candidate.IsGone);
        _goneCount = 0;
    }

    // Its ".." leads somewhere else.
    private void Enter(TmpDirectory to, TmpDirectory from)
    {
        if (ReferenceEquals(to, from)) return;
        _parent = to;
        from.ChangeLinks(-1);
        to.ChangeLinks(1);
    }

    private int IndexAtOrAfter(long position)
    {
        int low = 0, high = _byPosition.Count;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (_byPosition[middle].Position < position) low = middle + 1; else high = middle;
        }
        return low;
    }

    private sealed class NameComparer : IEqualityComparer<byte[]>, IAlternateEqualityComparer<ReadOnlySpan<byte>, byte[]>
    {
        public static readonly NameComparer Instance = new();

        public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);
        public int GetHashCode(byte[] name) => GetHashCode(name.AsSpan());
        public bool Equals(ReadOnlySpan<byte> alternate, byte[] other) => alternate.SequenceEqual(other);
        public byte[] Create(ReadOnlySpan<byte> alternate) => alternate.ToArray();

        public int GetHashCode(ReadOnlySpan<byte> name)
        {
            var hash = new HashCode();
            hash.AddBytes(name);
            return hash.ToHashCode();
        }
    }
}
