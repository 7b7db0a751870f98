using System;
using System.Threading;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.FileSystems.TmpFs;

/// <summary>A regular file of tmpfs.</summary>
internal sealed class TmpRegular(TmpFs fileSystem, ulong number, int permissions, uint uid, uint gid)
    : RegularInode(fileSystem, number, permissions, uid, gid, fileSystem, null, 0)
{
    private int _seals = (int)FileSeals.Seal;
    private AttributeSet? _attributes;

    public override long Blocks => Cache.PageCount * 8;

    public override FileSeals? Seals
    {
        get => (FileSeals)Volatile.Read(ref _seals);
        set => Volatile.Write(ref _seals, (int)value!);
    }

    protected override bool HasAttributes => true;
    protected override AttributeSet? Attributes(bool mustMake) => AttributesOf(ref _attributes, mustMake);

    internal static AttributeSet? AttributesOf(ref AttributeSet? field, bool mustMake) =>
        Volatile.Read(ref field) ?? (mustMake ? Interlocked.CompareExchange(ref field, new AttributeSet(), null) ?? field : null);

    public override void Evict()
    {
        base.Evict();
        ((TmpFs)FileSystem).UnchargeInode();
    }
}

/// <summary>A symbolic link.</summary>
internal sealed class TmpLink(TmpFs fileSystem, ulong number, uint uid, uint gid, byte[] target) : Inode(fileSystem, number, InodeType.SymbolicLink, 0x1FF, uid, gid)
{
    private AttributeSet? _attributes;

    public override long Size => target.Length;
    public override long Blocks => 0;
    public override Result<byte[]> ReadLink() => target;
    protected override bool HasAttributes => true;
    protected override AttributeSet? Attributes(bool mustMake) => TmpRegular.AttributesOf(ref _attributes, mustMake);
    public override void Evict() => ((TmpFs)FileSystem).UnchargeInode();
}

/// <summary>A device, a FIFO, a socket: only what stands behind it has contents.</summary>
internal sealed class TmpNode(TmpFs fileSystem, ulong number, InodeType type, int permissions, uint uid, uint gid, DeviceNumber device)
    : Inode(fileSystem, number, type, permissions, uid, gid)
{
    private AttributeSet? _attributes;

    public override DeviceNumber Device => device;
    protected override bool HasAttributes => true;
    protected override AttributeSet? Attributes(bool mustMake) => TmpRegular.AttributesOf(ref _attributes, mustMake);
    public override void Evict() => ((TmpFs)FileSystem).UnchargeInode();
}
