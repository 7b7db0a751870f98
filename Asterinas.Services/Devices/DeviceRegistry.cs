using System;
using System.Collections.Generic;
using Asterinas.Ostd.Sync;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Devices;

/// <summary>A driver of one device number, and the node that /dev has for it.</summary>
/// <param name="Type">Character or block device.</param>
/// <param name="Number">Its number.</param>
/// <param name="Name">Path below /dev; empty for a device without a node there.</param>
/// <param name="Permissions">Of the node.</param>
/// <param name="Open">Opens it; permissions were checked. May block.</param>
internal sealed record DeviceDriver(InodeType Type, DeviceNumber Number, string Name, int Permissions, Func<VfsPath, OpenFlags, Thread, Result<OpenFile>> Open);

/// <summary>
/// Which driver serves a device number: what opening a device inode asks, on any file system. Nodes of registered devices appear in every devtmpfs.
/// </summary>
internal static class DeviceRegistry
{
    private static readonly SpinLock s_lock = new("device registry");
    private static readonly Dictionary<(InodeType, DeviceNumber), DeviceDriver> s_drivers = [];
    private static Action<DeviceDriver>? s_onRegistered;
    private static Action<DeviceDriver>? s_onUnregistered;

    /// <summary>Registers a driver. Twice the same number is a defect.</summary>
    public static void Register(InodeType type, DeviceNumber number, string name, int permissions, Func<VfsPath, OpenFlags, Thread, Result<OpenFile>> open)
    {
        var driver = new DeviceDriver(type, number, name, permissions, open);
        Action<DeviceDriver>? tell;
        using (SpinLock.Guard guard = s_lock.Lock())
        {
            if (!s_drivers.TryAdd((type, number), driver)) throw new InvalidOperationException($"{type} {number.Major}:{number.Minor} has a driver already");
            tell = s_onRegistered;
        }
        tell?.Invoke(driver);
    }

    /// <summary>The device is gone: its number answers ENXIO from now on, its node vanishes.</summary>
    public static void Unregister(InodeType type, DeviceNumber number)
    {
        DeviceDriver? driver;
        Action<DeviceDriver>? tell;
        using (SpinLock.Guard guard = s_lock.Lock())
        {
            if (!s_drivers.Remove((type, number), out driver)) return;
            tell = s_onUnregistered;
        }
        tell?.Invoke(driver);
    }

    /// <summary>Who serves a number; null for nobody.</summary>
    public static DeviceDriver? Find(InodeType type, DeviceNumber number)
    {
        using SpinLock.Guard guard = s_lock.Lock();
        return s_drivers.GetValueOrDefault((type, number));
    }

    /// <summary>Opens what stands behind a device inode. ENXIO without a driver. May block.</summary>
    public static Result<OpenFile> Open(InodeType type, DeviceNumber number, VfsPath path, OpenFlags flags, Thread thread) =>
        Find(type, number) is { } driver ? driver.Open(path, flags, thread) : Errno.ENXIO;

    /// <summary>All drivers, in no order.</summary>
    public static DeviceDriver[] Snapshot()
    {
        using SpinLock.Guard guard = s_lock.Lock();
        return [.. s_drivers.Values];
    }

    /// <summary>Tells of every driver, those there already and those to come, and of those that go. One listener: devtmpfs.</summary>
    internal static void Listen(Action<DeviceDriver> onRegistered, Action<DeviceDriver> onUnregistered)
    {
        DeviceDriver[] present;
        using (SpinLock.Guard guard = s_lock.Lock())
        {
            s_onRegistered = onRegistered;
            s_onUnregistered = onUnregistered;
            present = [.. s_drivers.Values];
        }
        foreach (DeviceDriver driver in present) onRegistered(driver);
    }
}
