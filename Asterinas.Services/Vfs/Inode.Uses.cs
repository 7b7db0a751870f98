using System.Threading;

namespace Asterinas.Services.Vfs;

/// <summary>
/// How long an inode lives. Names and users (open files) keep it; when the last of both is gone it is evicted, once, and can never be used again.
/// <code>
///   _uses: 0, 1, 2, … users ──0 users and 0 names──► Evicted
///   _writers: > 0 open for writing that often; &lt; 0 executed that often
/// </code>
/// </summary>
internal abstract partial class Inode
{
    private const int Evicted = int.MinValue;
    private int _uses;
    private int _writers;

    /// <summary>One user more. False when the inode was evicted: to whoever asks, its name does not exist.</summary>
    public bool TryAddUse()
    {
        int uses = Volatile.Read(ref _uses);
        while (uses >= 0)
        {
            int seen = Interlocked.CompareExchange(ref _uses, uses + 1, uses);
            if (seen == uses) return true;
            uses = seen;
        }
        return false;
    }

    /// <summary>One user less; the last one of an inode without names evicts it.</summary>
    public void DropUse()
    {
        if (Interlocked.Decrement(ref _uses) == 0) EvictIfUnused();
    }

    /// <summary>Evicts the inode when it has neither names nor users.</summary>
    public void EvictIfUnused()
    {
        if (LinkCount == 0 && Interlocked.CompareExchange(ref _uses, Evicted, 0) == 0) Evict();
    }

    /// <summary>Evicts the inode whatever its names say: its file system goes.</summary>
    internal void EvictWithNames()
    {
        if (Interlocked.CompareExchange(ref _uses, Evicted, 0) == 0) Evict();
    }

    /// <summary>Opens it for writing once more. False (ETXTBSY) when it is being executed.</summary>
    public bool TryAddWriter()
    {
        int writers = Volatile.Read(ref _writers);
        while (writers >= 0)
        {
            int seen = Interlocked.CompareExchange(ref _writers, writers + 1, writers);
            if (seen == writers) return true;
            writers = seen;
        }
        return false;
    }

    public void DropWriter() => Interlocked.Decrement(ref _writers);

    /// <summary>Executes it once more: nobody may open it for writing. False (ETXTBSY) when somebody has.</summary>
    public bool TryDenyWriters()
    {
        int writers = Volatile.Read(ref _writers);
        while (writers <= 0)
        {
            int seen = Interlocked.CompareExchange(ref _writers, writers - 1, writers);
            if (seen == writers) return true;
            writers = seen;
        }
        return false;
    }

    public void AllowWriters() => Interlocked.Increment(ref _writers);

    /// <summary>Whether somebody has it open for writing.</summary>
    public bool HasWriters => Volatile.Read(ref _writers) > 0;
}
