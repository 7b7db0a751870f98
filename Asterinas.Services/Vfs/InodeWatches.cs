using System;
using System.Threading;
using Asterinas.Ostd.Sync;

namespace Asterinas.Services.Vfs;

/// <summary>What happens to files, with the numbers of inotify(7).</summary>
[Flags]
internal enum InodeEvents : uint
{
    None = 0,
    Access = 0x1,
    Modify = 0x2,
    Attributes = 0x4,
    CloseWrite = 0x8,
    CloseNoWrite = 0x10,
    Open = 0x20,
    MovedFrom = 0x40,
    MovedTo = 0x80,
    Create = 0x100,
    Delete = 0x200,
    DeleteSelf = 0x400,
    MoveSelf = 0x800,
    All = 0xFFF,
    Unmount = 0x2000,
    Overflow = 0x4000,
    Ignored = 0x8000,
    OnlyDirectory = 0x1000000,
    DontFollow = 0x2000000,
    ExcludeUnlinked = 0x4000000,
    MaskCreate = 0x10000000,
    MaskAdd = 0x20000000,
    IsDirectory = 0x40000000,
    OneShot = 0x80000000,
}

/// <summary>Somebody who wants to know what happens to an inode and, when it is a directory, to what is in it.</summary>
internal abstract class InodeWatch
{
    /// <summary>Something happened. Must be short and must not block.</summary>
    /// <param name="events">One event, perhaps with <see cref="InodeEvents.IsDirectory"/>.</param>
    /// <param name="cookie">Connects the two halves of a rename; else 0.</param>
    /// <param name="name">The entry of the directory that it happened to; empty for the inode itself.</param>
    /// <param name="isUnlinked">Whether the entry has no name any more.</param>
    public abstract void OnEvent(InodeEvents events, uint cookie, ReadOnlySpan<byte> name, bool isUnlinked);
}

/// <summary>The watches on an inode. Replaced as a whole, so that events read them without a lock.</summary>
internal sealed class InodeWatches
{
    private readonly SpinLock _lock = new("inode watches");
    private InodeWatch[] _watches = [];

    /// <summary>The watches of an inode, made if there are none yet.</summary>
    public static InodeWatches Of(Inode inode) =>
        Volatile.Read(ref inode.Watches) ?? Interlocked.CompareExchange(ref inode.Watches, new InodeWatches(), null) ?? inode.Watches;

    public InodeWatch[] All => Volatile.Read(ref _watches);

    public void Add(InodeWatch watch)
    {
        using SpinLock.Guard guard = _lock.Lock();
        Volatile.Write(ref _watches, [.. _watches, watch]);
        FileEvents.ChangeWatches(1);
    }

    public bool Remove(InodeWatch watch)
    {
        using SpinLock.Guard guard = _lock.Lock();
        int index = Array.IndexOf(_watches, watch);
        if (index < 0) return false;
        Volatile.Write(ref _watches, [.. _watches.AsSpan(0, index), .. _watches.AsSpan(index + 1)]);
        FileEvents.ChangeWatches(-1);
        return true;
    }
}

/// <summary>Where the VFS says what happens to files. Costs one load as long as nobody watches anything.</summary>
internal static class FileEvents
{
    private static int s_watches;
    private static int s_lastCookie;

    internal static void ChangeWatches(int by) => Interlocked.Add(ref s_watches, by);

    /// <summary>Whether anybody watches anything.</summary>
    public static bool IsWatched => Volatile.Read(ref s_watches) != 0;

    /// <summary>A number for the two halves of a rename.</summary>
    public static uint NextCookie() => (uint)Interlocked.Increment(ref s_lastCookie);

    /// <summary>Something happened to a file: tells those who watch it, and those who watch its directory.</summary>
    public static void OnFile(Dentry dentry, InodeEvents events)
    {
        if (!IsWatched || dentry.Inode is not { } inode) return;
        if (inode.IsDirectory) events |= InodeEvents.IsDirectory;
        if (!dentry.IsRoot && dentry.Parent.Inode is { } parent) Tell(parent, events, 0, dentry.Name, dentry.IsUnlinked);
        Tell(inode, events, 0, default, false);
    }

    /// <summary>Something happened to an inode itself: its deletion, its move.</summary>
    public static void OnInode(Inode inode, InodeEvents events)
    {
        if (IsWatched) Tell(inode, events, 0, default, false);
    }

    /// <summary>An entry came into a directory, left it or changed.</summary>
    public static void OnEntry(Inode directory, ReadOnlySpan<byte> name, Inode entry, InodeEvents events, uint cookie = 0)
    {
        if (!IsWatched) return;
        Tell(directory, entry.IsDirectory ? events | InodeEvents.IsDirectory : events, cookie, name, false);
    }

    private static void Tell(Inode inode, InodeEvents events, uint cookie, ReadOnlySpan<byte> name, bool isUnlinked)
    {
        if (Volatile.Read(ref inode.Watches) is not { } watches) return;
        foreach (InodeWatch watch in watches.All) watch.OnEvent(events, cookie, name, isUnlinked);
    }
}
