using System;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Services.Devices;
using Asterinas.Services.Devices.Tty;
using Asterinas.Services.Processes;
using Asterinas.Services.FileSystems;
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

    private static Dentry Make(Dentry parent, ReadOnlySpan<byte> name, in NewInode attributes)
    {
        Inode directory = parent.Inode!;
        using Mutex.Guard guard = directory.Lock.Lock();
        Dentry dentry = DentryCache.LookupLocked(parent, name).Value;
        if (dentry.Inode is null) DentryCache.SetInode(dentry, directory.Create(name, attributes).Value);
        return dentry;
    }

    // Mounts a file system on a directory of the root, which is made if need be. A kind that this kernel does not have is left out.
    private static void Mount(Thread thread, string type, ReadOnlySpan<byte> folder, ReadOnlySpan<byte> name, string options = "")
    {
        if (FileSystemRegistry.Find(type) is not { } kind) return;
        Result<FileSystem> made = kind.Create(thread, type, options);
        Errno error = made.Error;
        if (made.IsOk)
        {
            VfsPath parent = RootMounts.RootPath;
            if (!folder.IsEmpty) parent = MountNamespace.Cross(new VfsPath(parent.Mount, Make(parent.Dentry, folder, new NewInode { Type = InodeType.Directory, Permissions = 0x1ED })));
            Dentry point = Make(parent.Dentry, name, new NewInode { Type = InodeType.Directory, Permissions = 0x1ED });
            var mount = new Mount(null, made.Value, made.Value.RootDentry, MountFlags.RelativeAccessTime);
            error = MountNamespace.Attach(mount, new VfsPath(parent.Mount, point));
            if (error != Errno.None) mount.Detach();
        }
        if (error != Errno.None) Log.Error($"mount {type}: error -{(int)error}");
    }

    /// <summary>For one command instead of an init: mounts what programs expect, and makes the console pass bytes as they are when no person sits at it.</summary>
    public static void PrepareForCommand(Thread thread, KernelCommandLine options)
    {
        Mount(thread, "devtmpfs", [], "dev"u8);
        Mount(thread, "proc", [], "proc"u8);
        Mount(thread, "sysfs", [], "sys"u8);
        Mount(thread, "devpts", "dev"u8, "pts"u8);
        Mount(thread, "tmpfs", "dev"u8, "shm"u8, "mode=1777");
        Mount(thread, "tmpfs", [], "tmp"u8, "mode=1777");
        if (options.IsConsoleRaw) ConsoleTty.Instance.PassThrough();
    }

    /// <summary>Makes a new session with the console as its terminal. Called by a process that leads no group.</summary>
    public static void TakeConsole(Thread thread)
    {
        if (thread.Process.StartSession() == Errno.None) ConsoleTty.Instance.TakeControl(thread.Process, isStealing: false);
    }
}
