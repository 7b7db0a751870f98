using System;

namespace Asterinas.Services.Processes;

/// <summary>The rules of setuid(2) and its family; ids are the kernel's, <see cref="Same"/> leaves one as it is. EPERM when the caller may not.</summary>
internal static class CredentialChange
{
    public const uint Same = uint.MaxValue;
    private const uint NoSetuidFixup = 4, KeepCapabilities = 16;
    private const ulong FileSystemCapabilities = 1UL << (int)Capability.Chown | 1UL << (int)Capability.DacOverride | 1UL << (int)Capability.DacReadSearch | 1UL << (int)Capability.Fowner
        | 1UL << (int)Capability.Fsetid | 1UL << (int)Capability.LinuxImmutable | 1UL << (int)Capability.Mknod | 1UL << (int)Capability.MacOverride;

    public static Result<Credentials> SetUid(Credentials old, uint uid)
    {
        if (old.Has(Capability.Setuid)) return FixUp(old, old with { Uid = uid, EffectiveUid = uid, SavedUid = uid, FsUid = uid });
        if (uid != old.Uid && uid != old.SavedUid) return Errno.EPERM;
        return FixUp(old, old with { EffectiveUid = uid, FsUid = uid });
    }

    public static Result<Credentials> SetGid(Credentials old, uint gid)
    {
        if (old.Has(Capability.Setgid)) return old with { Gid = gid, EffectiveGid = gid, SavedGid = gid, FsGid = gid };
        if (gid != old.Gid && gid != old.SavedGid) return Errno.EPERM;
        return old with { EffectiveGid = gid, FsGid = gid };
    }

    public static Result<Credentials> SetRealEffectiveUid(Credentials old, uint real, uint effective)
    {
        bool isPrivileged = old.Has(Capability.Setuid);
        if (real != Same && real != old.Uid && real != old.EffectiveUid && !isPrivileged) return Errno.EPERM;
        if (effective != Same && effective != old.Uid && effective != old.EffectiveUid && effective != old.SavedUid && !isPrivileged) return Errno.EPERM;
        uint newReal = real == Same ? old.Uid : real, newEffective = effective == Same ? old.EffectiveUid : effective;
        uint saved = real != Same || (effective != Same && effective != old.Uid) ? newEffective : old.SavedUid;
        return FixUp(old, old with { Uid = newReal, EffectiveUid = newEffective, SavedUid = saved, FsUid = newEffective });
    }

    public static Result<Credentials> SetRealEffectiveGid(Credentials old, uint real, uint effective)
    {
        bool isPrivileged = old.Has(Capability.Setgid);
        if (real != Same && real != old.Gid && real != old.EffectiveGid && !isPrivileged) return Errno.EPERM;
        if (effective != Same && effective != old.Gid && effective != old.EffectiveGid && effective != old.SavedGid && !isPrivileged) return Errno.EPERM;
        uint newReal = real == Same ? old.Gid : real, newEffective = effective == Same ? old.EffectiveGid : effective;
        uint saved = real != Same || (effective != Same && effective != old.Gid) ? newEffective : old.SavedGid;
        return old with { Gid = newReal, EffectiveGid = newEffective, SavedGid = saved, FsGid = newEffective };
    }

    public static Result<Credentials> SetAllUids(Credentials old, uint real, uint effective, uint saved)
    {
        bool isPrivileged = old.Has(Capability.Setuid);
        foreach (uint id in (ReadOnlySpan<uint>)[real, effective, saved])
        {
            if (id != Same && id != old.Uid && id != old.EffectiveUid && id != old.SavedUid && !isPrivileged) return Errno.EPERM;
        }
        uint newEffective = effective == Same ? old.EffectiveUid : effective;
        return FixUp(old, old with
        {
            Uid = real == Same ? old.Uid : real,
            EffectiveUid = newEffective,
            SavedUid = saved == Same ? old.SavedUid : saved,
            FsUid = newEffective,
        });
    }

    public static Result<Credentials> SetAllGids(Credentials old, uint real, uint effective, uint saved)
    {
        bool isPrivileged = old.Has(Capability.Setgid);
        foreach (uint id in (ReadOnlySpan<uint>)[real, effective, saved])
        {
            if (id != Same && id != old.Gid && id != old.EffectiveGid && id != old.SavedGid && !isPrivileged) return Errno.EPERM;
        }
        uint newEffective = effective == Same ? old.EffectiveGid : effective;
        return old with { Gid = real == Same ? old.Gid : real, EffectiveGid = newEffective, SavedGid = saved == Same ? old.SavedGid : saved, FsGid = newEffective };
    }

    public static Credentials SetFsUid(Credentials old, uint uid)
    {
        if (uid != old.Uid && uid != old.EffectiveUid && uid != old.SavedUid && uid != old.FsUid && !old.Has(Capability.Setuid)) return old;
        ulong effective = old.Effective;
        uint root = old.UserNamespace.UidFromUser(0);
        if ((old.SecureBits & NoSetuidFixup) == 0)
        {
            if (old.FsUid == root && uid != root) effective &= ~FileSystemCapabilities;
            if (old.FsUid != root && uid == root) effective |= FileSystemCapabilities & old.Permitted;
        }
        return old with { FsUid = uid, Effective = effective };
    }

    public static Credentials SetFsGid(Credentials old, uint gid) =>
        gid != old.Gid && gid != old.EffectiveGid && gid != old.SavedGid && gid != old.FsGid && !old.Has(Capability.Setgid) ? old : old with { FsGid = gid };

    // man 7 capabilities, effect of user ID changes on capabilities.
    private static Credentials FixUp(Credentials old, Credentials changed)
    {
        if ((old.SecureBits & NoSetuidFixup) != 0) return changed;
        uint root = old.UserNamespace.UidFromUser(0);
        bool wasRoot = old.Uid == root || old.EffectiveUid == root || old.SavedUid == root;
        bool isRoot = changed.Uid == root || changed.EffectiveUid == root || changed.SavedUid == root;
        if (wasRoot && !isRoot)
        {
            if ((old.SecureBits & KeepCapabilities) == 0) changed = changed with { Permitted = 0, Effective = 0 };
            changed = changed with { Ambient = 0 };
        }
        if (old.EffectiveUid == root && changed.EffectiveUid != root) changed = changed with { Effective = 0 };
        if (old.EffectiveUid != root && changed.EffectiveUid == root) changed = changed with { Effective = changed.Permitted };
        return changed;
    }
}
