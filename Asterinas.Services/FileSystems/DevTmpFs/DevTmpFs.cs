using System;
using System.Text;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Services.Devices;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.FileSystems.DevTmpFs;

/// <summary>/dev: a tmpfs, one for the system, in which the nodes of registered devices appear and vanish by themselves.</summary>
internal static class DevTmpFs
{
    private static readonly FileSystem s_instance = Create();

    /// <summary>The one instance. It stays when nobody has it mounted.</summary>
    public static FileSystem Instance => s_instance;

    private static FileSystem Create()
    {
        FileSystem fileSystem = TmpFs.TmpFs.Create("mode=0755", "devtmpfs", "devtmpfs").Value;
        fileSystem.AddMount();
        DeviceRegistry.Listen(driver => Add(fileSystem, driver), driver => Remove(fileSystem, driver));
        return fileSystem;
    }

    private static void Add(FileSystem fileSystem, DeviceDriver driver)
    {
        if (driver.Name.Length == 0) return;
        Dentry directory = fileSystem.RootDentry;
        string[] parts = driver.Name.Split('/');
        for (int i = 0; i < parts.Length; i++)
        {
            bool isLast = i == parts.Length - 1;
            NewInode attributes = isLast
                ? new NewInode { Type = driver.Type, Permissions = driver.Permissions, Device = driver.Number }
                : new NewInode { Type = InodeType.Directory, Permissions = 0x1ED };
            Result<Dentry> made = Ensure(directory, Encoding.UTF8.GetBytes(parts[i]), attributes);
            if (!made.IsOk)
            {
                Log.Warning($"devtmpfs: no node for {driver.Name}: {made.Error}");
                return;
            }
            directory = made.Value;
        }
    }

    private static Result<Dentry> Ensure(Dentry parent, byte[] name, in NewInode attributes)
    {
        Inode directory = parent.Inode!;
        using Mutex.Guard guard = directory.Lock.Lock();
        Result<Dentry> found = DentryCache.LookupLocked(parent, name);
        if (!found.IsOk || found.Value.Inode is not null) return found;
        Result<Inode> made = directory.Create(name, attributes);
        if (!made.IsOk) return made.Error;
        DentryCache.SetInode(found.Value, made.Value);
        FileEvents.OnEntry(directory, name, made.Value, InodeEvents.Create);
        return found;
    }

    // The node goes, unless somebody replaced it by something else.
    private static void Remove(FileSystem fileSystem, DeviceDriver driver)
    {
        if (driver.Name.Length == 0) return;
        Dentry parent = fileSystem.RootDentry;
        string[] parts = driver.Name.Split('/');
        foreach (string part in parts.AsSpan(0, parts.Length - 1))
        {
            Result<Dentry> next = DentryCache.Lookup(parent, Encoding.UTF8.GetBytes(part));
            if (!next.IsOk || next.Value.Inode is not { IsDirectory: true }) return;
            parent = next.Value;
        }
        Inode directory = parent.Inode!;
        Inode node;
        using (Mutex.Guard guard = directory.Lock.Lock())
        {
            Result<Dentry> found = DentryCache.LookupLocked(parent, Encoding.UTF8.GetBytes(parts[^1]));
            if (!found.IsOk || found.Value.Inode is not { } inode || inode.Type != driver.Type || inode.Device != driver.Number) return;
            node = inode;
            if (directory.Unlink(found.Value.Name, inode) != Errno.None) return;
            DentryCache.Unlink(found.Value);
            FileEvents.OnEntry(directory, found.Value.Name, inode, InodeEvents.Delete);
        }
        node.EvictIfUnused();
    }
}
