using Asterinas.Services.Vfs;

namespace Asterinas.Services.Processes;

/// <summary>User and group ids and capabilities count in one of these (man 7 user_namespaces).</summary>
internal sealed class UserNamespace(UserNamespace? parent)
{
    public static readonly UserNamespace Initial = new(null);

    /// <summary>The namespace in which this one was made; null for the first.</summary>
    public UserNamespace? Parent { get; } = parent;
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
