using System;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Services.Devices;
using Asterinas.Services.FileSystems;
using Asterinas.Services.FileSystems.DevTmpFs;
using Asterinas.Services.FileSystems.Initramfs;
using Asterinas.Services.FileSystems.TmpFs;
using Asterinas.Services.Vfs;

namespace Asterinas.Services;

/// <summary>What is there before the first program.</summary>
internal static class KernelSetup
{
    /// <summary>The first mount namespace.</summary>
    public static MountNamespace RootMounts { get; } = new(TmpFs.Create("mode=0755", "rootfs", "rootfs").Value);

    /// <summary>Makes the root file system and unpacks the initramfs.</summary>
    public static VfsPath MakeRoot()
    {
        BuiltInDevices.Initialize();
        BuiltInFileSystems.Initialize();
        FileSystem rootFileSystem = RootMounts.Root.FileSystem;
        // What Linux' own built-in archive holds.
        Dentry root = rootFileSystem.RootDentry;
        Dentry dev = Make(root, "dev"u8, new NewInode { Type = InodeType.Directory, Permissions = 0x1ED });
        Make(dev, "console"u8, new NewInode { Type = InodeType.CharacterDevice, Permissions = 0x180, Device = new DeviceNumber(5, 1) });
        Make(root, "root"u8, new NewInode { Type = InodeType.Directory, Permissions = 0x1C0 });
        int files = Initramfs.Unpack(rootFileSystem);
        if (files > 0) Log.Info($"initramfs: {files} files");
        return RootMounts.RootPath;
    }

    /// <summary>Opens the console as descriptors 0, 1 and 2.</summary>
    public static void OpenConsole(Thread thread)
    {
        Result<OpenFile> opened = FileOpener.Open(thread, thread.FileSystem.Root, "/dev/console"u8, OpenFlags.ReadWrite | OpenFlags.LargeFile, 0);
        if (!opened.IsOk)
        {
            Log.Error($"Warning: unable to open an initial console (error -{(int)opened.Error}).");
            return;
        }
        for (int descriptor = 0; descriptor < 3; descriptor++)
        {
            opened.Value.AddReference();
            if (!thread.Files.Add(opened.Value, closeOnExec: false, limit: 3).IsOk) opened.Value.Release();
        }
        opened.Value.Release();
    }

    /// <summary>Mounts a file system on a directory of the first tree, which is made if need be.</summary>
    private static void Mount(FileSystem fileSystem, ReadOnlySpan<byte> name)
    {
        Dentry point = Make(RootMounts.Root.FileSystem.RootDentry, name, new NewInode { Type = InodeType.Directory, Permissions = 0x1ED });
        var mount = new Mount(null, fileSystem, fileSystem.RootDentry, MountFlags.RelativeAccessTime);
        Errno error = MountNamespace.Attach(mount, MountNamespace.Cross(new VfsPath(RootMounts.Root, point)));
        if (error == Errno.None) return;
        Log.Error($"mount {fileSystem.TypeName}: error -{(int)error}");
        mount.Detach();
    }

    private static Dentry Make(Dentry parent, ReadOnlySpan<byte> name, in NewInode attributes)
    {
        Inode directory = parent.Inode!;
        using Mutex.Guard guard = directory.Lock.Lock();
        Dentry dentry = DentryCache.LookupLocked(parent, name).Value;
        if (dentry.Inode is null) DentryCache.SetInode(dentry, directory.Create(name, attributes).Value);
        return dentry;
    }

    /// <summary>Mounts what a command expects, and makes the console pass bytes as they are.</summary>
    public static void PrepareForCommand(Thread thread) => Mount(DevTmpFs.Instance, "dev"u8);

    /// <summary>Makes a new session with the console as its terminal.</summary>
    public static void TakeConsole(Thread thread)
    {
    }

    /// <summary>Waits until the console has shown everything.</summary>
    public static void Flush()
    {
    }
}
