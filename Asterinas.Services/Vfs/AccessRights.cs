using Asterinas.Services.Processes;

namespace Asterinas.Services.Vfs;

/// <summary>Who may do what with an inode (man 7 path_resolution, "Permissions"; man 7 capabilities).</summary>
internal static class AccessRights
{
    private const ulong OverrideBits = 1UL << (int)Capability.DacOverride;
    private const ulong SearchBits = OverrideBits | 1UL << (int)Capability.DacReadSearch;

    /// <summary>Whether the mode bits, or capabilities in their place, allow it. EACCES.</summary>
    public static Errno Check(Thread thread, Credentials credentials, Inode inode, Permission wanted)
    {
        if (wanted == Permission.None) return Errno.None;
        if (inode.CheckPermission(thread, wanted) is { } answer) return answer;
        int mode = inode.Mode;
        int granted = credentials.FsUid == inode.Uid ? mode >> 6 : credentials.IsInGroup(inode.Gid) ? mode >> 3 : mode;
        if (((int)wanted & ~granted & 7) == 0) return Errno.None;
        bool isDirectory = (mode & 0xF000) == (int)InodeType.Directory;
        // A file that nobody may execute, root may not either.
        if ((credentials.Effective & OverrideBits) != 0 && (isDirectory || (wanted & Permission.Execute) == 0 || (mode & 0x49) != 0)) return Errno.None;
        bool isReading = isDirectory ? (wanted & Permission.Write) == 0 : wanted == Permission.Read;
        return isReading && (credentials.Effective & SearchBits) != 0 ? Errno.None : Errno.EACCES;
    }

    /// <summary>As the calling thread.</summary>
    public static Errno Check(Thread thread, Inode inode, Permission wanted) => Check(thread, thread.Credentials, inode, wanted);

    /// <summary>The same for a place: a write needs a mount that is not read-only (EROFS), except to devices, FIFOs and sockets.</summary>
    public static Errno Check(Thread thread, VfsPath path, Permission wanted)
    {
        Inode inode = path.Inode;
        if ((wanted & Permission.Write) != 0 && path.Mount is { IsReadOnly: true } && inode.Type is InodeType.Regular or InodeType.Directory or InodeType.SymbolicLink)
        {
            return Errno.EROFS;
        }
        return Check(thread, thread.Credentials, inode, wanted);
    }

    /// <summary>Whether the caller owns it, or may act as if.</summary>
    public static bool IsOwner(Credentials credentials, Inode inode) => credentials.FsUid == inode.Uid || credentials.Has(Capability.Fowner);

    /// <summary>Whether a name may be taken out of a directory: EACCES without write permission, EPERM for somebody else's file in a sticky directory, EROFS.</summary>
    public static Errno CheckRemoval(Thread thread, VfsPath directory, Inode victim)
    {
        Errno error = Check(thread, directory, Permission.Write | Permission.Execute);
        if (error != Errno.None) return error;
        Credentials credentials = thread.Credentials;
        bool isSticky = (directory.Inode.Permissions & 0x200) != 0;
        return isSticky && credentials.FsUid != victim.Uid && credentials.FsUid != directory.Inode.Uid && !credentials.Has(Capability.Fowner) ? Errno.EPERM : Errno.None;
    }

    /// <summary>Permission bits after a write by somebody: set-user-ID and, where it would give rights, set-group-ID go (man 2 write).</summary>
    public static int WithoutPrivileges(Credentials credentials, Inode inode)
    {
        int permissions = inode.Permissions;
        if ((permissions & 0xC00) == 0 || credentials.Has(Capability.Fsetid)) return permissions;
        permissions &= ~0x800;
        return (permissions & 0x8) != 0 ? permissions & ~0x400 : permissions;
    }
}
