using System.Threading;

namespace Asterinas.Services.Vfs;

/// <summary>
/// A name in a directory, and the inode it leads to; negative when it leads nowhere. Names are looked up in <see cref="DentryCache"/>.
/// INVARIANT: parent, name and inode change under the locks of the directories concerned; readers see each of them before or after.
/// </summary>
internal sealed class Dentry
{
    private Dentry? _parent;
    private byte[] _name;
    private Inode? _inode;
    private int _mountCount;
    private static int s_lastId;

    internal Dentry(Dentry? parent, byte[] name, Inode? inode)
    {
        _parent = parent;
        _name = name;
        _inode = inode;
    }

    /// <summary>The root of a file system, or of something without names (a pipe, a socket).</summary>
    public static Dentry CreateRoot(Inode inode, string name = "/") => new(null, System.Text.Encoding.UTF8.GetBytes(name), inode);

    /// <summary>The directory that it is in; itself for a root.</summary>
    public Dentry Parent => Volatile.Read(ref _parent) ?? this;
    public bool IsRoot => Volatile.Read(ref _parent) is null;
    public byte[] Name => Volatile.Read(ref _name);

    /// <summary>Null for a negative dentry: the name is known not to exist.</summary>
    public Inode? Inode
    {
        get => Volatile.Read(ref _inode);
        set => Volatile.Write(ref _inode, value);
    }

    /// <summary>Whether the name was removed: the path ends in " (deleted)".</summary>
    public bool IsUnlinked { get; set; }

    /// <summary>Whether something is mounted on it in some namespace.</summary>
    public bool IsMountPoint => Volatile.Read(ref _mountCount) != 0;

    internal void ChangeMounts(int by) => Interlocked.Add(ref _mountCount, by);

    /// <summary>Moves it; under both directories' locks, and out of the cache.</summary>
    internal void Move(Dentry parent, byte[] name)
    {
        Volatile.Write(ref _name, name);
        Volatile.Write(ref _parent, parent);
    }

    // ---- links of the cache's hash table

    // Tells directories apart in hashes of names; never 0.
    internal readonly uint Id = (uint)Interlocked.Increment(ref s_lastId) * 0x9E3779B1U | 1;
    internal Dentry? HashNext;
    internal uint Hash;
    internal bool IsCached;
}
