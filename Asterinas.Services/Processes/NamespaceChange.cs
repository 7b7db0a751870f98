using Asterinas.Services.Vfs;

namespace Asterinas.Services.Processes;

/// <summary>New namespaces by clone(2) and unshare(2).</summary>
internal static class NamespaceChange
{
    /// <summary>Credentials in a user namespace that is made for them, with all capabilities there. EPERM when the caller's ids have no meaning, ENOSPC when too deep.</summary>
    public static Result<Credentials> EnterNewUser(Thread thread)
    {
        Credentials old = thread.Credentials;
        if (old.UserNamespace.Depth >= UserNamespace.MaxDepth) return Errno.ENOSPC;
        if (old.UserNamespace.UidToUser(old.EffectiveUid) == UserNamespace.OverflowId && old.EffectiveUid != UserNamespace.OverflowId) return Errno.EPERM;
        var space = new UserNamespace(old.UserNamespace, old.EffectiveUid, old.EffectiveGid) { AllowsSetgroups = old.UserNamespace.AllowsSetgroups };
        return old with
        {
            UserNamespace = space,
            Inheritable = 0,
            Permitted = Credentials.AllCapabilities,
            Effective = Credentials.AllCapabilities,
            Bounding = Credentials.AllCapabilities,
            Ambient = 0,
            SecureBits = 0,
        };
    }

    /// <summary>What a child sees. EPERM without CAP_SYS_ADMIN for a new one.</summary>
    /// <param name="parent">Whose namespaces are taken over.</param>
    /// <param name="credentials">The child's.</param>
    /// <param name="flags">CLONE_NEW*.</param>
    public static Result<NamespaceSet> ForChild(Thread parent, Credentials credentials, CloneFlags flags)
    {
        NamespaceSet old = parent.Namespaces;
        if ((flags & CloneFlags.NewNamespaces) == 0) return old;
        if (!credentials.Has(Capability.SysAdmin)) return Errno.EPERM;
        NamespaceSet changed = old;
        if ((flags & CloneFlags.NewUts) != 0) changed = changed with { Uts = new UtsNamespace(old.Uts.NodeName, old.Uts.DomainName) };
        if ((flags & CloneFlags.NewIpc) != 0) changed = changed with { Ipc = new IpcNamespace() };
        if ((flags & CloneFlags.NewNetwork) != 0) changed = changed with { Network = new NetworkNamespace() };
        if ((flags & CloneFlags.NewPid) != 0)
        {
            if (old.PidForChildren.Level >= MaxPidDepth) return Errno.ENOSPC;
            changed = changed with { PidForChildren = new PidNamespace(old.PidForChildren) };
        }
        if ((flags & CloneFlags.NewMount) != 0)
        {
            Result<MountNamespace> mounts = ProcessHooks.CopyMounts(old.Mount, parent);
            if (!mounts.IsOk) return mounts.Error;
            changed = changed with { Mount = mounts.Value };
        }
        return changed;
    }

    private const int MaxPidDepth = 32;

    /// <summary>A copy of root and working directory; in a new mount namespace the same places there.</summary>
    public static FileSystemContext CopyFileSystem(Thread parent, NamespaceSet spaces) =>
        ReferenceEquals(spaces.Mount, parent.Namespaces.Mount) ? parent.FileSystem.Copy() : ProcessHooks.CopyFileSystem(parent.FileSystem, spaces.Mount);

    /// <summary>setns(2): takes namespaces of another process. EPERM without CAP_SYS_ADMIN, EINVAL for a pid namespace that is no descendant.</summary>
    public static Errno Enter(Thread thread, NamespaceSet target, CloneFlags flags)
    {
        if (!thread.Credentials.Has(Capability.SysAdmin)) return Errno.EPERM;
        NamespaceSet changed = thread.Namespaces;
        if ((flags & CloneFlags.NewUts) != 0) changed = changed with { Uts = target.Uts };
        if ((flags & CloneFlags.NewIpc) != 0) changed = changed with { Ipc = target.Ipc };
        if ((flags & CloneFlags.NewNetwork) != 0) changed = changed with { Network = target.Network };
        if ((flags & CloneFlags.NewPid) != 0)
        {
            if (!target.Pid.IsWithin(thread.Namespaces.Pid)) return Errno.EINVAL;
            changed = changed with { PidForChildren = target.Pid };
        }
        if ((flags & CloneFlags.NewMount) != 0)
        {
            if (thread.FileSystem.IsShared) return Errno.EINVAL;
            changed = changed with { Mount = target.Mount };
            ProcessHooks.EnterMounts(thread, target.Mount);
        }
        thread.Namespaces = changed;
        return Errno.None;
    }
}
