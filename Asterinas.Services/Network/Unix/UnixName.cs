using System;
using System.Collections.Generic;
using Asterinas.Services.Processes;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Network.Unix;

/// <summary>Names of AF_UNIX sockets (man 7 unix): paths, and abstract names, which begin with a zero byte and belong to a network namespace.</summary>
internal static class UnixName
{
    public const int Family = 1;
    private const int FamilyBytes = 2, MostBytes = 110;

    private static readonly SpinLock s_lock = new("unix names");
    private static readonly Dictionary<(NetworkNamespace, string), UnixSocket> s_abstract = [];
    private static uint s_lastAutomatic;

    /// <summary>The name of a socket without one.</summary>
    public static byte[] Unnamed => [Family, 0];

    /// <summary>Checks the form. EINVAL for a wrong family or length.</summary>
    public static Errno Check(ReadOnlySpan<byte> name) =>
        name.Length < FamilyBytes || name.Length > MostBytes || name[0] != Family || name[1] != 0 ? Errno.EINVAL : Errno.None;

    public static bool IsUnnamed(ReadOnlySpan<byte> name) => name.Length == FamilyBytes;

    /// <summary>Binds a socket. The name as getsockname(2) shows it. EADDRINUSE, and what making a file answers. May block.</summary>
    public static Result<byte[]> Bind(Thread thread, UnixSocket socket, ReadOnlySpan<byte> name)
    {
        if (IsUnnamed(name)) return BindAutomatically(thread, socket);
        if (name[FamilyBytes] == 0)
        {
            using SpinLock.Guard guard = s_lock.Lock();
            return s_abstract.TryAdd((thread.Namespaces.Network, Key(name)), socket) ? name.ToArray() : Errno.EADDRINUSE;
        }
        ReadOnlySpan<byte> path = PathOf(name);
        const int SocketPermissions = 0x1FF;
        Result<VfsPath> made = DirectoryOperations.Make(thread, thread.FileSystem.Current, path, InodeType.Socket, SocketPermissions & ~thread.FileSystem.Umask);
        if (!made.IsOk) return made.Error == Errno.EEXIST ? Errno.EADDRINUSE : made.Error;
        made.Value.Inode.Attachment = socket;
        socket.BoundInode = made.Value.Inode;
        var shown = new byte[FamilyBytes + path.Length + 1];
        name[..(FamilyBytes + path.Length)].CopyTo(shown);
        return shown;
    }

    /// <summary>Who has a name. ECONNREFUSED for nobody, and what a walk to the file answers. May block.</summary>
    public static Result<UnixSocket> Find(Thread thread, ReadOnlySpan<byte> name)
    {
        if (IsUnnamed(name)) return Errno.EINVAL;
        if (name[FamilyBytes] == 0)
        {
            using SpinLock.Guard guard = s_lock.Lock();
            return s_abstract.TryGetValue((thread.Namespaces.Network, Key(name)), out UnixSocket? found) ? found : Errno.ECONNREFUSED;
        }
        var walker = new PathWalker(thread, thread.FileSystem.Current, PathOf(name), WalkFlags.Follow);
        Errno error = walker.Walk();
        if (error != Errno.None) return error;
        Inode inode = walker.Current.Inode;
        error = AccessRights.Check(thread, inode, Permission.Write);
        if (error != Errno.None) return error;
        return inode.Type == InodeType.Socket && inode.Attachment is UnixSocket socket ? socket : Errno.ECONNREFUSED;
    }

    /// <summary>A socket goes: an abstract name is free again, a file stays without one behind it.</summary>
    public static void Unbind(NetworkNamespace space, UnixSocket socket, byte[] name)
    {
        if (socket.BoundInode is { } inode)
        {
            inode.Attachment = null;
            socket.BoundInode = null;
        }
        if (name.Length <= FamilyBytes || name[FamilyBytes] != 0) return;
        using SpinLock.Guard guard = s_lock.Lock();
        // Accepted sockets show the listener's name without having it.
        if (s_abstract.TryGetValue((space, Key(name)), out UnixSocket? owner) && ReferenceEquals(owner, socket)) s_abstract.Remove((space, Key(name)));
    }

    // Five hexadecimal digits behind the zero byte (man 7 unix, "Autobind feature").
    private static Result<byte[]> BindAutomatically(Thread thread, UnixSocket socket)
    {
        const uint Names = 1 << 20;
        for (uint tries = 0; tries < Names; tries++)
        {
            var name = new byte[FamilyBytes + 1 + 5];
            name[0] = Family;
            using SpinLock.Guard guard = s_lock.Lock();
            uint number = s_lastAutomatic++ % Names;
            for (int i = 0; i < 5; i++) name[FamilyBytes + 1 + i] = "0123456789abcdef"u8[(int)(number >> (16 - 4 * i) & 15)];
            if (s_abstract.TryAdd((thread.Namespaces.Network, Key(name)), socket)) return name;
        }
        return Errno.ENOSPC;
    }

    private static ReadOnlySpan<byte> PathOf(ReadOnlySpan<byte> name)
    {
        ReadOnlySpan<byte> path = name[FamilyBytes..];
        int end = path.IndexOf((byte)0);
        return end < 0 ? path : path[..end];
    }

    private static string Key(ReadOnlySpan<byte> name) => System.Text.Encoding.Latin1.GetString(name[FamilyBytes..]);
}
