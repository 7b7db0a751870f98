using System;
using System.Buffers.Text;
using Asterinas.Services.Devices.Tty;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.FileSystems.DevPts;

/// <summary>The root directory: "ptmx", and a number for each slave. Nothing can be made in it.</summary>
internal sealed class DevPtsRoot(DevPtsFileSystem fileSystem) : Inode(fileSystem, 1, InodeType.Directory, 0x1ED, 0, 0)
{
    // Positions: "." at 0, ".." at 1, ptmx at 2, slave n at n + 3.
    private const int FirstSlave = 3;

    // Names come and go by themselves.
    public override bool IsCacheable => false;

    public override Result<Inode> Lookup(ReadOnlySpan<byte> name)
    {
        if (name.SequenceEqual("ptmx"u8)) return fileSystem.Master;
        if (name.Length > 1 && name[0] == '0') return Errno.ENOENT;
        if (!Utf8Parser.TryParse(name, out int number, out int used) || used != name.Length || number < 0 || name[0] is < (byte)'0' or > (byte)'9') return Errno.ENOENT;
        return fileSystem.Find(number) is { } slave ? slave : Errno.ENOENT;
    }

    public override Result<long> ReadDirectory(long position, IDirectorySink sink)
    {
        if (position <= 0)
        {
            if (!sink.Add("."u8, Number, InodeType.Directory, 1)) return 0;
            position = 1;
        }
        if (position == 1)
        {
            if (!sink.Add(".."u8, Number, InodeType.Directory, 2)) return 1;
            position = 2;
        }
        if (position == 2)
        {
            if (!sink.Add("ptmx"u8, fileSystem.Master.Number, InodeType.CharacterDevice, FirstSlave)) return 2;
            position = FirstSlave;
        }
        Span<byte> name = stackalloc byte[12];
        while (position - FirstSlave <= int.MaxValue && fileSystem.Next((int)(position - FirstSlave)) is { } slave)
        {
            Utf8Formatter.TryFormat(slave.Pty.Number, name, out int length);
            if (!sink.Add(name[..length], slave.Number, InodeType.CharacterDevice, slave.Pty.Number + FirstSlave + 1)) return position;
            position = slave.Pty.Number + FirstSlave + 1;
        }
        return position;
    }
}

/// <summary>The node "ptmx": opening it makes a pseudo-terminal.</summary>
internal sealed class DevPtsMaster(DevPtsFileSystem fileSystem, DeviceNumber device) : Inode(fileSystem, 2, InodeType.CharacterDevice, 0, 0, 0)
{
    public override DeviceNumber Device => device;

    public override Result<OpenFile> Open(VfsPath path, OpenFlags flags, Thread thread) => fileSystem.OpenMaster(path.Mount, path, flags, thread);
}

/// <summary>The slave of a pseudo-terminal.</summary>
internal sealed class DevPtsSlave(DevPtsFileSystem fileSystem, Pty pty, int permissions, uint uid, uint gid)
    : Inode(fileSystem, (ulong)pty.Number + 3, InodeType.CharacterDevice, permissions, uid, gid)
{
    public Pty Pty => pty;

    public override DeviceNumber Device => pty.Device;

    public override Result<OpenFile> Open(VfsPath path, OpenFlags flags, Thread thread) => TtyFile.Open(pty, path, flags, thread);
}
