using Asterinas.Services.Vfs;

namespace Asterinas.Services.Processes;

/// <summary>A range of ids in a user namespace, and the ids of the first namespace that it stands for.</summary>
/// <param name="First">The first id inside.</param>
/// <param name="Outside">The first id outside, as the first namespace has it.</param>
/// <param name="Count">How many.</param>
internal readonly record struct IdRange(uint First, uint Outside, uint Count);

/// <summary>User and group ids and capabilities count in one of these (man 7 user_namespaces). The kernel keeps ids as the first namespace has them.</summary>
internal sealed class UserNamespace
{
    /// <summary>What an id looks like that the namespace has none for.</summary>
    public const uint OverflowId = 65534;
    /// <summary>No id at all.</summary>
    public const uint NoId = uint.MaxValue;
    /// <summary>Most namespaces within one another.</summary>
    public const int MaxDepth = 32;

    public static readonly UserNamespace Initial = new(null, 0, 0) { _uids = [new IdRange(0, 0, NoId)], _gids = [new IdRange(0, 0, NoId)] };

    private IdRange[] _uids = [], _gids = [];

    public UserNamespace(UserNamespace? parent, uint ownerUid, uint ownerGid)
    {
        Parent = parent;
        Depth = parent is null ? 0 : parent.Depth + 1;
        OwnerUid = ownerUid;
        OwnerGid = ownerGid;
    }

    /// <summary>The namespace in which this one was made; null for the first.</summary>
    public UserNamespace? Parent { get; }
    public int Depth { get; }
    /// <summary>Who made it: has all capabilities in it.</summary>
    public uint OwnerUid { get; }
    public uint OwnerGid { get; }
    /// <summary>Whether setgroups(2) is allowed (/proc/PID/setgroups).</summary>
    public bool AllowsSetgroups { get; set; } = true;

    /// <summary>The maps, for /proc/PID/uid_map and gid_map; written once. Empty: not written yet.</summary>
    public IdRange[] UidMap
    {
        get => System.Threading.Volatile.Read(ref _uids);
        set => System.Threading.Volatile.Write(ref _uids, value);
    }
    public IdRange[] GidMap
    {
        get => System.Threading.Volatile.Read(ref _gids);
        set => System.Threading.Volatile.Write(ref _gids, value);
    }

    /// <summary>An id of the kernel's as the namespace has it; <see cref="OverflowId"/> for none.</summary>
    public uint UidToUser(uint uid) => ToUser(UidMap, uid);
    public uint GidToUser(uint gid) => ToUser(GidMap, gid);

    /// <summary>The kernel's id for one of the namespace; <see cref="NoId"/> for none.</summary>
    public uint UidFromUser(uint uid) => FromUser(UidMap, uid);
    public uint GidFromUser(uint gid) => FromUser(GidMap, gid);

    /// <summary>Whether it is the other one, or made within.</summary>
    public bool IsWithin(UserNamespace other)
    {
        for (UserNamespace? at = this; at is not null; at = at.Parent)
        {
            if (ReferenceEquals(at, other)) return true;
        }
        return false;
    }

    private static uint ToUser(IdRange[] map, uint id)
    {
        foreach (IdRange range in map)
        {
            if (id >= range.Outside && id - range.Outside < range.Count) return range.First + (id - range.Outside);
        }
        return OverflowId;
    }

    private static uint FromUser(IdRange[] map, uint id)
    {
        foreach (IdRange range in map)
        {
            if (id >= range.First && id - range.First < range.Count) return range.Outside + (id - range.First);
        }
        return NoId;
    }
}

/// <summary>Host and domain name (man 7 uts_namespaces).</summary>
internal sealed class UtsNamespace
{
    private byte[] _nodeName, _domainName;

    public UtsNamespace(byte[] nodeName, byte[] domainName)
    {
        _nodeName = nodeName;
        _domainName = domainName;
    }

    /// <summary>At most 64 bytes; replaced as a whole.</summary>
    public byte[] NodeName
    {
        get => System.Threading.Volatile.Read(ref _nodeName);
        set => System.Threading.Volatile.Write(ref _nodeName, value);
    }

    /// <summary>At most 64 bytes; replaced as a whole.</summary>
    public byte[] DomainName
    {
        get => System.Threading.Volatile.Read(ref _domainName);
        set => System.Threading.Volatile.Write(ref _domainName, value);
    }
}

/// <summary>System V IPC objects and POSIX message queues (man 7 ipc_namespaces).</summary>
internal sealed class IpcNamespace;

/// <summary>Network devices, addresses, sockets (man 7 network_namespaces).</summary>
internal sealed class NetworkNamespace;

/// <summary>What a thread sees of the system. Immutable: a change (clone, unshare, setns) makes a new object.</summary>
internal sealed record NamespaceSet
{
    public required PidNamespace Pid { get; init; }
    /// <summary>Where children's ids come from; differs from <see cref="Pid"/> after unshare(CLONE_NEWPID).</summary>
    public required PidNamespace PidForChildren { get; init; }
    public required MountNamespace Mount { get; init; }
    public required UtsNamespace Uts { get; init; }
    public required IpcNamespace Ipc { get; init; }
    public required NetworkNamespace Network { get; init; }
}
