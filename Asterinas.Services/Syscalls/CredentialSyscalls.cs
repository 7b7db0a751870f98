using System;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Processes;

namespace Asterinas.Services.Syscalls;

/// <summary>User and group ids (man 7 credentials).</summary>
internal static class CredentialSyscalls
{
    private const int MaxGroups = 65536;

    public static void Register()
    {
        SyscallTable.Add(102, "getuid", static (in a) => a.Thread.Credentials.UserNamespace.UidToUser(a.Thread.Credentials.Uid));
        SyscallTable.Add(104, "getgid", static (in a) => a.Thread.Credentials.UserNamespace.GidToUser(a.Thread.Credentials.Gid));
        SyscallTable.Add(105, "setuid", SetUid);
        SyscallTable.Add(106, "setgid", SetGid);
        SyscallTable.Add(107, "geteuid", static (in a) => a.Thread.Credentials.UserNamespace.UidToUser(a.Thread.Credentials.EffectiveUid));
        SyscallTable.Add(108, "getegid", static (in a) => a.Thread.Credentials.UserNamespace.GidToUser(a.Thread.Credentials.EffectiveGid));
        SyscallTable.Add(113, "setreuid", SetRealEffectiveUid);
        SyscallTable.Add(114, "setregid", SetRealEffectiveGid);
        SyscallTable.Add(115, "getgroups", GetGroups);
        SyscallTable.Add(116, "setgroups", SetGroups);
        SyscallTable.Add(117, "setresuid", SetAllUids);
        SyscallTable.Add(118, "getresuid", GetAllUids);
        SyscallTable.Add(119, "setresgid", SetAllGids);
        SyscallTable.Add(120, "getresgid", GetAllGids);
        SyscallTable.Add(122, "setfsuid", SetFsUid);
        SyscallTable.Add(123, "setfsgid", SetFsGid);
    }

    private static long Apply(Thread thread, in Result<Credentials> changed)
    {
        if (!changed.IsOk) return -(long)changed.Error;
        thread.ChangeCredentials(changed.Value);
        return 0;
    }

    // The kernel's id of an argument. False: the namespace has none for it. -1 stays, where it means "as it is".
    private static bool TryUid(Thread thread, uint id, bool mayBeSame, out uint kernel)
    {
        kernel = id == CredentialChange.Same ? id : thread.Credentials.UserNamespace.UidFromUser(id);
        return id == CredentialChange.Same ? mayBeSame : kernel != UserNamespace.NoId;
    }

    private static bool TryGid(Thread thread, uint id, bool mayBeSame, out uint kernel)
    {
        kernel = id == CredentialChange.Same ? id : thread.Credentials.UserNamespace.GidFromUser(id);
        return id == CredentialChange.Same ? mayBeSame : kernel != UserNamespace.NoId;
    }

    private static long SetUid(in SyscallArguments a) =>
        TryUid(a.Thread, a.UInt(0), false, out uint uid) ? Apply(a.Thread, CredentialChange.SetUid(a.Thread.Credentials, uid)) : -(long)Errno.EINVAL;

    private static long SetGid(in SyscallArguments a) =>
        TryGid(a.Thread, a.UInt(0), false, out uint gid) ? Apply(a.Thread, CredentialChange.SetGid(a.Thread.Credentials, gid)) : -(long)Errno.EINVAL;

    private static long SetRealEffectiveUid(in SyscallArguments a) =>
        TryUid(a.Thread, a.UInt(0), true, out uint real) && TryUid(a.Thread, a.UInt(1), true, out uint effective)
            ? Apply(a.Thread, CredentialChange.SetRealEffectiveUid(a.Thread.Credentials, real, effective)) : -(long)Errno.EINVAL;

    private static long SetRealEffectiveGid(in SyscallArguments a) =>
        TryGid(a.Thread, a.UInt(0), true, out uint real) && TryGid(a.Thread, a.UInt(1), true, out uint effective)
            ? Apply(a.Thread, CredentialChange.SetRealEffectiveGid(a.Thread.Credentials, real, effective)) : -(long)Errno.EINVAL;

    private static long SetAllUids(in SyscallArguments a) =>
        TryUid(a.Thread, a.UInt(0), true, out uint real) && TryUid(a.Thread, a.UInt(1), true, out uint effective) && TryUid(a.Thread, a.UInt(2), true, out uint saved)
            ? Apply(a.Thread, CredentialChange.SetAllUids(a.Thread.Credentials, real, effective, saved)) : -(long)Errno.EINVAL;

    private static long SetAllGids(in SyscallArguments a) =>
        TryGid(a.Thread, a.UInt(0), true, out uint real) && TryGid(a.Thread, a.UInt(1), true, out uint effective) && TryGid(a.Thread, a.UInt(2), true, out uint saved)
            ? Apply(a.Thread, CredentialChange.SetAllGids(a.Thread.Credentials, real, effective, saved)) : -(long)Errno.EINVAL;

    private static long GetAllUids(in SyscallArguments a)
    {
        Credentials credentials = a.Thread.Credentials;
        UserNamespace space = credentials.UserNamespace;
        return WriteThree(a, space.UidToUser(credentials.Uid), space.UidToUser(credentials.EffectiveUid), space.UidToUser(credentials.SavedUid));
    }

    private static long GetAllGids(in SyscallArguments a)
    {
        Credentials credentials = a.Thread.Credentials;
        UserNamespace space = credentials.UserNamespace;
        return WriteThree(a, space.GidToUser(credentials.Gid), space.GidToUser(credentials.EffectiveGid), space.GidToUser(credentials.SavedGid));
    }

    private static long WriteThree(in SyscallArguments a, uint first, uint second, uint third)
    {
        bool isWritten = a.Thread.Memory.Write(a.Address(0), first) == Errno.None && a.Thread.Memory.Write(a.Address(1), second) == Errno.None
            && a.Thread.Memory.Write(a.Address(2), third) == Errno.None;
        return isWritten ? 0 : -(long)Errno.EFAULT;
    }

    // These two answer the old id, whether they changed anything or not.
    private static long SetFsUid(in SyscallArguments a)
    {
        Credentials old = a.Thread.Credentials;
        if (TryUid(a.Thread, a.UInt(0), false, out uint uid)) a.Thread.ChangeCredentials(CredentialChange.SetFsUid(old, uid));
        return old.UserNamespace.UidToUser(old.FsUid);
    }

    private static long SetFsGid(in SyscallArguments a)
    {
        Credentials old = a.Thread.Credentials;
        if (TryGid(a.Thread, a.UInt(0), false, out uint gid)) a.Thread.ChangeCredentials(CredentialChange.SetFsGid(old, gid));
        return old.UserNamespace.GidToUser(old.FsGid);
    }

    private static long GetGroups(in SyscallArguments a)
    {
        Credentials credentials = a.Thread.Credentials;
        int size = a.Int(0);
        if (size < 0) return -(long)Errno.EINVAL;
        uint[] groups = credentials.Groups;
        if (size == 0) return groups.Length;
        if (size < groups.Length) return -(long)Errno.EINVAL;
        for (int i = 0; i < groups.Length; i++)
        {
            if (a.Thread.Memory.Write(new UserAddress(a.A1 + (ulong)i * 4), credentials.UserNamespace.GidToUser(groups[i])) != Errno.None) return -(long)Errno.EFAULT;
        }
        return groups.Length;
    }

    private static long SetGroups(in SyscallArguments a)
    {
        Credentials credentials = a.Thread.Credentials;
        if (!credentials.Has(Capability.Setgid) || !credentials.UserNamespace.AllowsSetgroups) return -(long)Errno.EPERM;
        if (a.UInt(0) > MaxGroups) return -(long)Errno.EINVAL;
        var groups = new uint[a.UInt(0)];
        for (int i = 0; i < groups.Length; i++)
        {
            if (a.Thread.Memory.Read(new UserAddress(a.A1 + (ulong)i * 4), out uint id) != Errno.None) return -(long)Errno.EFAULT;
            groups[i] = credentials.UserNamespace.GidFromUser(id);
            if (groups[i] == UserNamespace.NoId) return -(long)Errno.EINVAL;
        }
        Array.Sort(groups);
        a.Thread.ChangeCredentials(credentials with { Groups = groups });
        return 0;
    }
}
