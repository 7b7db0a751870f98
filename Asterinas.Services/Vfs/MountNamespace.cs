namespace Asterinas.Services.Vfs;

/// <summary>A tree of mounts (man 7 mount_namespaces).</summary>
internal sealed class MountNamespace
{
}
