using System.Threading;

namespace Asterinas.Services.Vfs;

/// <summary>Numbers of statfs(2).</summary>
internal readonly record struct FileSystemStatistics(long BlockSize, ulong Blocks, ulong FreeBlocks, ulong AvailableBlocks, ulong Files, ulong FreeFiles, int MaxNameLength);

/// <summary>A mounted file system: what Linux calls a superblock. May be mounted at several places.</summary>
internal abstract class FileSystem
{
    private static uint s_lastAnonymous;

    /// <summary>Name of its type, as in /proc/filesystems.</summary>
    public abstract string TypeName { get; }

    /// <summary>f_type of statfs(2).</summary>
    public abstract ulong Magic { get; }

    /// <summary>The root directory.</summary>
    public abstract Inode Root { get; }

    /// <summary>st_dev of its inodes: one of major 0 for those without a device.</summary>
    public DeviceNumber Device { get; } = new(0, Interlocked.Increment(ref s_lastAnonymous));

    /// <summary>What it was mounted from, for /proc/mounts.</summary>
    public string Source { get; init; } = "none";

    /// <summary>Its options for /proc/mounts, with a comma before each; empty for none.</summary>
    public virtual string Options => "";

    public virtual bool IsReadOnly { get; set; }

    public virtual FileSystemStatistics Statistics => new(4096, 0, 0, 0, 0, 0, 255);

    /// <summary>The dentry of the root, made once.</summary>
    public Dentry RootDentry => Volatile.Read(ref _rootDentry) ?? Interlocked.CompareExchange(ref _rootDentry, Dentry.CreateRoot(Root), null) ?? _rootDentry!;
    private Dentry? _rootDentry;
    private int _mounts;

    /// <summary>It is mounted once more.</summary>
    public void AddMount() => Interlocked.Increment(ref _mounts);

    /// <summary>A mount of it is gone, and everybody who used it; the last one ends the file system.</summary>
    public void DropMount()
    {
        if (Interlocked.Decrement(ref _mounts) != 0) return;
        Sync();
        DentryCache.Forget(this);
        OnUnmounted();
    }

    /// <summary>Nobody can reach it any more: it gives its memory or its device back.</summary>
    protected virtual void OnUnmounted()
    {
    }

    /// <summary>Changes options (mount(2) with MS_REMOUNT). EINVAL for those that it does not know.</summary>
    public virtual Errno Remount(string options) => Errno.None;

    /// <summary>Writes everything to the device.</summary>
    public virtual Errno Sync() => Errno.None;
}
