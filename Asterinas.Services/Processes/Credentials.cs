using System;

namespace Asterinas.Services.Processes;

/// <summary>Capabilities by their numbers (man 7 capabilities).</summary>
internal enum Capability
{
#pragma warning disable CS1591
    Chown = 0, DacOverride = 1, DacReadSearch = 2, Fowner = 3, Fsetid = 4, Kill = 5, Setgid = 6, Setuid = 7, Setpcap = 8, LinuxImmutable = 9, NetBindService = 10,
    NetBroadcast = 11, NetAdmin = 12, NetRaw = 13, IpcLock = 14, IpcOwner = 15, SysModule = 16, SysRawio = 17, SysChroot = 18, SysPtrace = 19, SysPacct = 20, SysAdmin = 21,
    SysBoot = 22, SysNice = 23, SysResource = 24, SysTime = 25, SysTtyConfig = 26, Mknod = 27, Lease = 28, AuditWrite = 29, AuditControl = 30, Setfcap = 31, MacOverride = 32,
    MacAdmin = 33, Syslog = 34, WakeAlarm = 35, BlockSuspend = 36, AuditRead = 37, Perfmon = 38, Bpf = 39, CheckpointRestore = 40,
#pragma warning restore CS1591
}

/// <summary>
/// Who a thread acts as (man 7 credentials). Immutable: a change makes a new object, so a check sees one consistent state without a lock. Shared by threads until one changes its own.
/// </summary>
internal sealed record Credentials
{
    /// <summary>All capabilities that exist.</summary>
    public const ulong AllCapabilities = (1UL << ((int)Capability.CheckpointRestore + 1)) - 1;

    public uint Uid { get; init; }
    public uint EffectiveUid { get; init; }
    public uint SavedUid { get; init; }
    public uint FsUid { get; init; }
    public uint Gid { get; init; }
    public uint EffectiveGid { get; init; }
    public uint SavedGid { get; init; }
    public uint FsGid { get; init; }
    /// <summary>Supplementary groups, sorted.</summary>
    public uint[] Groups { get; init; } = [];
    public ulong Inheritable { get; init; }
    public ulong Permitted { get; init; } = AllCapabilities;
    public ulong Effective { get; init; } = AllCapabilities;
    public ulong Bounding { get; init; } = AllCapabilities;
    public ulong Ambient { get; init; }
    /// <summary>Bits of prctl(PR_SET_SECUREBITS).</summary>
    public uint SecureBits { get; init; }
    /// <summary>The user namespace in which ids and capabilities count.</summary>
    public required UserNamespace UserNamespace { get; init; }

    /// <summary>Whether the thread has a capability in its own user namespace.</summary>
    public bool Has(Capability capability) => (Effective >> (int)capability & 1) != 0;

    /// <summary>Whether the file-system group or a supplementary one is this group.</summary>
    public bool IsInGroup(uint gid) => FsGid == gid || Array.BinarySearch(Groups, gid) >= 0;

    /// <summary>Whether the thread has a capability in a user namespace: its own, or one made within, whose maker has all of them there (man 7 user_namespaces).</summary>
    public bool HasIn(UserNamespace space, Capability capability)
    {
        for (UserNamespace at = space; ; at = at.Parent!)
        {
            if (ReferenceEquals(at, UserNamespace)) return Has(capability);
            if (at.Depth <= UserNamespace.Depth) return false;
            if (ReferenceEquals(at.Parent, UserNamespace) && at.OwnerUid == EffectiveUid) return true;
        }
    }
}
