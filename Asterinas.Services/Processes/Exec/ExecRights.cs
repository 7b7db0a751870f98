using Asterinas.Services.Vfs;

namespace Asterinas.Services.Processes.Exec;

/// <summary>The rights that a program gets (man 7 capabilities, transformation of capabilities during execve; man 2 execve, set-user-ID).</summary>
/// <param name="Credentials">Of the new program.</param>
/// <param name="IsSecure">AT_SECURE: it has rights that the caller did not have.</param>
internal readonly record struct ExecRights(Credentials Credentials, bool IsSecure)
{
    private const int SetUser = 0x800, SetGroup = 0x400, GroupExecute = 8;
    /// <summary>SECBIT_NOROOT, SECBIT_KEEP_CAPS.</summary>
    internal const uint NoRoot = 1, KeepCapabilities = 16;

    public static ExecRights Compute(Thread thread, Credentials old, OpenFile file)
    {
        Inode inode = file.Inode;
        uint effectiveUid = old.EffectiveUid, effectiveGid = old.EffectiveGid;
        bool mayChange = !thread.HasNoNewPrivileges && (file.Path.Mount is not { } mount || (mount.Flags & MountFlags.NoSetuid) == 0)
            && old.UserNamespace.UidToUser(inode.Uid) != UserNamespace.OverflowId && old.UserNamespace.GidToUser(inode.Gid) != UserNamespace.OverflowId;
        if (mayChange && (inode.Permissions & SetUser) != 0) effectiveUid = inode.Uid;
        if (mayChange && (inode.Permissions & (SetGroup | GroupExecute)) == (SetGroup | GroupExecute)) effectiveGid = inode.Gid;
        bool isChanged = effectiveUid != old.Uid || effectiveGid != old.Gid;
        uint root = old.UserNamespace.UidFromUser(0);

        FileCapabilities fileRights = mayChange ? FileCapabilities.Of(inode, root) : default;
        ulong ambient = old.Ambient;
        bool isSetId = effectiveUid != old.EffectiveUid || effectiveGid != old.EffectiveGid;
        if (fileRights.IsPresent || isSetId) ambient = 0;
        bool isEffective = fileRights.IsEffective;
        ulong filePermitted = fileRights.Permitted, fileInheritable = fileRights.Inheritable;
        if ((old.SecureBits & NoRoot) == 0 && root != UserNamespace.NoId && (effectiveUid == root || old.Uid == root))
        {
            // Who becomes root by a program with rights of its own gets those only.
            if (!(fileRights.IsPresent && old.Uid != root && effectiveUid == root))
            {
                filePermitted = fileInheritable = Credentials.AllCapabilities;
                isEffective |= effectiveUid == root;
            }
        }
        ulong permitted = (filePermitted & old.Bounding) | (fileInheritable & old.Inheritable) | ambient;
        ulong effective = isEffective ? permitted : ambient;
        bool isRootItself = old.Uid == root;
        bool isSecure = isSetId || isChanged && old.EffectiveUid == old.Uid && old.EffectiveGid == old.Gid
            || (!isRootItself && (isEffective || (permitted & ~ambient) != 0));
        Credentials credentials = old with
        {
            EffectiveUid = effectiveUid,
            SavedUid = effectiveUid,
            FsUid = effectiveUid,
            EffectiveGid = effectiveGid,
            SavedGid = effectiveGid,
            FsGid = effectiveGid,
            Permitted = permitted,
            Effective = effective,
            Ambient = ambient,
            SecureBits = old.SecureBits & ~KeepCapabilities,
        };
        return new ExecRights(credentials, isSecure);
    }
}

/// <summary>Capabilities of a file: the attribute security.capability, versions 2 and 3 (man 7 capabilities, file capabilities).</summary>
internal readonly record struct FileCapabilities(bool IsPresent, bool IsEffective, ulong Permitted, ulong Inheritable)
{
    private const uint RevisionMask = 0xFF000000, Revision2 = 0x02000000, Revision3 = 0x03000000, EffectiveFlag = 1;

    /// <param name="inode">The file.</param>
    /// <param name="root">The kernel's id of the caller's namespace's root: version 3 is for one namespace only.</param>
    public static FileCapabilities Of(Inode inode, uint root)
    {
        Result<byte[]> read = inode.GetAttribute("security.capability"u8);
        if (!read.IsOk || read.Value.Length < 20) return default;
        System.ReadOnlySpan<byte> bytes = read.Value;
        uint magic = System.Buffers.Binary.BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        uint revision = magic & RevisionMask;
        uint owner = 0;
        if (revision == Revision3 && bytes.Length == 24) owner = System.Buffers.Binary.BinaryPrimitives.ReadUInt32LittleEndian(bytes[20..]);
        else if (revision != Revision2 || bytes.Length != 20) return default;
        if (owner != root) return default;
        ulong permitted = Word(bytes, 4) | (ulong)Word(bytes, 12) << 32, inheritable = Word(bytes, 8) | (ulong)Word(bytes, 16) << 32;
        return new FileCapabilities(true, (magic & EffectiveFlag) != 0, permitted & Credentials.AllCapabilities, inheritable & Credentials.AllCapabilities);
    }

    private static uint Word(System.ReadOnlySpan<byte> bytes, int at) => System.Buffers.Binary.BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);
}
