namespace Asterinas.Services.Vfs;

/// <summary>A place: a dentry as seen through a mount.</summary>
/// <param name="Mount">Null for what has no name in the tree: pipes, sockets, anonymous files.</param>
/// <param name="Dentry">The name.</param>
internal readonly record struct VfsPath(Mount? Mount, Dentry Dentry)
{
    public Inode Inode => Dentry.Inode!;
}
