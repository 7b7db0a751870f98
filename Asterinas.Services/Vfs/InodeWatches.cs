namespace Asterinas.Services.Vfs;

/// <summary>The inotify(7) watches on an inode.</summary>
internal sealed class InodeWatches
{
}
