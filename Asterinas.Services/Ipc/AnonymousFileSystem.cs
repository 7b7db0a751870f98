using System.Threading;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Ipc;

/// <summary>A file system of the kernel's own, for what has no name: pipes, sockets, and files that are only a descriptor. It cannot be mounted.</summary>
internal sealed class AnonymousFileSystem : FileSystem
{
    private readonly AnonymousInode _root;
    private ulong _lastNumber;

    private AnonymousFileSystem(string typeName, ulong magic)
    {
        TypeName = typeName;
        Magic = magic;
        _root = new AnonymousInode(this, InodeType.Directory, 0x16D, 0, 0);
        Shared = Dentry.CreateRoot(new AnonymousInode(this, 0, 0x180, 0, 0), typeName);
    }

    public static AnonymousFileSystem Pipes { get; } = new("pipefs", 0x50495045);
    public static AnonymousFileSystem Sockets { get; } = new("sockfs", 0x534F434B);
    public static AnonymousFileSystem Files { get; } = new("anon_inodefs", 0x09041934);

    public override string TypeName { get; }
    public override ulong Magic { get; }
    public override Inode Root => _root;

    /// <summary>The one inode of files that need none of their own: eventfd, epoll, …; it has no type, as on Linux.</summary>
    public Dentry Shared { get; }

    /// <summary>A place for a new file with an inode of its own.</summary>
    public VfsPath Create(InodeType type, int permissions, Thread thread, string name) =>
        new(null, Dentry.CreateRoot(new AnonymousInode(this, type, permissions, thread.Credentials.FsUid, thread.Credentials.FsGid), name));

    internal ulong NextNumber() => Interlocked.Increment(ref _lastNumber);
}

/// <summary>An inode without a name. What is open on it does the work.</summary>
internal sealed class AnonymousInode(AnonymousFileSystem fileSystem, InodeType type, int permissions, uint uid, uint gid)
    : Inode(fileSystem, fileSystem.NextNumber(), type, permissions, uid, gid);
