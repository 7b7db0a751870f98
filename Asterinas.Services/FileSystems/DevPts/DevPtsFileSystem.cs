using System;
using System.Collections.Generic;
using System.Globalization;
using Asterinas.Services.Devices;
using Asterinas.Services.Devices.Tty;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.FileSystems.DevPts;

/// <summary>
/// devpts (man 4 pts): the slaves of pseudo-terminals, and the node "ptmx" that makes them. Each mount is an instance of its own, as on Linux since 4.7.
/// </summary>
internal sealed class DevPtsFileSystem : FileSystem, IPtyRegistry
{
    private const int DefaultMaximum = 1 << 20;
    private static readonly DeviceNumber s_masterDevice = new(5, 2);

    private readonly SpinLock _lock = new("devpts");
    private readonly SortedDictionary<int, DevPtsSlave> _slaves = [];
    private readonly DevPtsRoot _root;
    private uint? _uid, _gid;
    private int _mode = 0x180, _masterMode, _maximum = DefaultMaximum;

    private DevPtsFileSystem()
    {
        _root = new DevPtsRoot(this);
        Master = new DevPtsMaster(this, s_masterDevice);
    }

    public override string TypeName => "devpts";
    public override ulong Magic => 0x1CD1;
    public override Inode Root => _root;

    /// <summary>The node "ptmx" in its root.</summary>
    public Inode Master { get; }

    /// <summary>An instance. EINVAL for an option that it does not know.</summary>
    public static Result<FileSystem> Create(string options, string source)
    {
        var fileSystem = new DevPtsFileSystem { Source = source };
        Errno error = fileSystem.Remount(options);
        return error == Errno.None ? fileSystem : error;
    }

    /// <summary>Registers /dev/ptmx, which serves the instance that is mounted on "pts" beside it.</summary>
    public static void Initialize() =>
        DeviceRegistry.Register(InodeType.CharacterDevice, s_masterDevice, "ptmx", 0x1B6, static (path, flags, thread) =>
        {
            Result<Dentry> pts = DentryCache.Lookup(path.Dentry.Parent, "pts"u8);
            if (!pts.IsOk || pts.Value.Inode is null) return Errno.ENODEV;
            VfsPath mounted = MountNamespace.Cross(new VfsPath(path.Mount, pts.Value));
            return mounted.Mount?.FileSystem is DevPtsFileSystem instance ? instance.OpenMaster(mounted.Mount, path, flags, thread) : Errno.ENODEV;
        });

    public override Errno Remount(string options)
    {
        foreach (string option in options.Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            int equals = option.IndexOf('=');
            string name = equals < 0 ? option : option[..equals], text = equals < 0 ? "" : option[(equals + 1)..];
            switch (name)
            {
                case "newinstance":
                    break;
                case "uid" when uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint uid):
                    _uid = uid;
                    break;
                case "gid" when uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint gid):
                    _gid = gid;
                    break;
                case "mode" when TryParseOctal(text, out int mode):
                    _mode = mode;
                    break;
                case "ptmxmode" when TryParseOctal(text, out int mode):
                    _masterMode = mode;
                    Master.SetPermissions(mode);
                    break;
                case "max" when int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int maximum) && maximum <= DefaultMaximum:
                    _maximum = maximum;
                    break;
                default:
                    return Errno.EINVAL;
            }
        }
        return Errno.None;
    }

    public override string Options
    {
        get
        {
            string text = "";
            if (_uid is { } uid) text += $",uid={uid}";
            if (_gid is { } gid) text += $",gid={gid}";
            text += $",mode={Octal(_mode)},ptmxmode={Octal(_masterMode)}";
            return _maximum == DefaultMaximum ? text : text + $",max={_maximum}";
        }
    }

    /// <summary>Makes a pseudo-terminal and opens its master. ENOSPC when there are too many. May block.</summary>
    public Result<OpenFile> OpenMaster(Mount? mount, VfsPath path, OpenFlags flags, Thread thread)
    {
        Pty pty;
        using (SpinLock.Guard guard = _lock.Lock())
        {
            int number = 0;
            foreach (int taken in _slaves.Keys)
            {
                if (taken != number) break;
                number++;
            }
            if (number >= _maximum) return Errno.ENOSPC;
            pty = new Pty(number, this);
            _slaves.Add(number, new DevPtsSlave(this, pty, _mode, _uid ?? thread.Credentials.FsUid, _gid ?? thread.Credentials.FsGid));
        }
        return new PtyMaster(pty, mount, path, flags);
    }

    /// <inheritdoc/>
    public Result<VfsPath> FindSlave(int number, Mount? mount)
    {
        Result<Dentry> found = DentryCache.Lookup(RootDentry, System.Text.Encoding.ASCII.GetBytes(number.ToString(CultureInfo.InvariantCulture)));
        return !found.IsOk ? found.Error : found.Value.Inode is null ? Errno.ENOENT : new VfsPath(mount, found.Value);
    }

    /// <inheritdoc/>
    public void Remove(int number)
    {
        DevPtsSlave? slave;
        using (SpinLock.Guard guard = _lock.Lock()) _slaves.Remove(number, out slave);
        slave?.ChangeLinks(-1);
    }

    internal DevPtsSlave? Find(int number)
    {
        using SpinLock.Guard guard = _lock.Lock();
        return _slaves.GetValueOrDefault(number);
    }

    // The first slave from a number on; null for none.
    internal DevPtsSlave? Next(int from)
    {
        using SpinLock.Guard guard = _lock.Lock();
        foreach ((int number, DevPtsSlave slave) in _slaves)
        {
            if (number >= from) return slave;
        }
        return null;
    }

    private static string Octal(int mode) => Convert.ToString(mode, 8).PadLeft(3, '0');

    private static bool TryParseOctal(string text, out int value)
    {
        value = 0;
        if (text.Length is 0 or > 5) return false;
        foreach (char c in text)
        {
            if (c is < '0' or > '7') return false;
            value = 8 * value + c - '0';
        }
        return value <= 0xFFF;
    }
}
