using System;
using System.Collections.Generic;
using Asterinas.Ostd.Sync;

namespace Asterinas.Services.Vfs;

/// <summary>Makes or finds a file system to mount. EINVAL for options that it does not know, ENODEV, ENOTBLK, …</summary>
/// <param name="thread">Who mounts.</param>
/// <param name="source">The first argument of mount(2); empty for none.</param>
/// <param name="options">Its last argument; empty for none.</param>
internal delegate Result<FileSystem> FileSystemMaker(Thread thread, string source, string options);

/// <summary>The types that mount(2) knows, as in /proc/filesystems.</summary>
internal static class FileSystemTypes
{
    private static readonly SpinLock s_lock = new("file-system types");
    private static readonly List<(string Name, bool NeedsDevice, FileSystemMaker Make)> s_types =
    [
        ("tmpfs", false, static (_, source, options) => Tmp(source, options, "tmpfs")),
        ("ramfs", false, static (_, source, options) => Tmp(source, options, "ramfs")),
        ("devtmpfs", false, static (_, _, _) => FileSystems.DevTmpFs.DevTmpFs.Instance),
    ];

    /// <summary>Adds a type.</summary>
    public static void Register(string name, bool needsDevice, FileSystemMaker make)
    {
        using SpinLock.Guard guard = s_lock.Lock();
        s_types.Add((name, needsDevice, make));
    }

    /// <summary>Who makes file systems of a type; null when nobody does.</summary>
    public static FileSystemMaker? Find(string name)
    {
        using SpinLock.Guard guard = s_lock.Lock();
        foreach ((string known, _, FileSystemMaker make) in s_types)
        {
            if (known == name) return make;
        }
        return null;
    }

    /// <summary>All types, and whether each is on a device.</summary>
    public static (string Name, bool NeedsDevice)[] Snapshot()
    {
        using SpinLock.Guard guard = s_lock.Lock();
        var all = new (string, bool)[s_types.Count];
        for (int i = 0; i < all.Length; i++) all[i] = (s_types[i].Name, s_types[i].NeedsDevice);
        return all;
    }

    private static Result<FileSystem> Tmp(string source, string options, string type)
    {
        Result<FileSystems.TmpFs.TmpFs> made = FileSystems.TmpFs.TmpFs.Create(options, type, source.Length == 0 ? "none" : source);
        return made.IsOk ? made.Value : made.Error;
    }
}
