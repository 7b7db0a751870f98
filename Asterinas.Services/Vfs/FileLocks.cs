namespace Asterinas.Services.Vfs;

/// <summary>Advisory locks of a file: POSIX and OFD record locks (man 2 fcntl), and those of flock(2).</summary>
internal sealed class FileLocks
{
    /// <summary>Drops all locks of an owner: an open file (flock, OFD), or a process' file table (POSIX).</summary>
    public void ReleaseOwner(object owner)
    {
    }
}
