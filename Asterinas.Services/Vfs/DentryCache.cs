using System;
using System.Buffers.Binary;
using System.Numerics;
using System.Threading;
using Asterinas.Ostd.Sync;

namespace Asterinas.Services.Vfs;

/// <summary>
/// All names that were looked up lately, found by directory and name: one hash table for the system. Names that exist stay (their file system lives in memory, or the dentry is in
/// use); names known not to exist (negative dentries) are thrown away when there are too many.
/// <code>
///   Find                      no lock; a rename at the same moment makes it miss, never lie
///   Lookup, what changes it   the directory's Lock, held by the caller or taken; then the stripe's lock
/// </code>
/// LOCK ORDER: directory locks, then a stripe (one at a time).
/// </summary>
internal static class DentryCache
{
    private const int BucketBits = 14, Buckets = 1 << BucketBits, Stripes = 64;
    /// <summary>Most names that are known not to exist.</summary>
    internal const int MostNegatives = 8192;

    private static readonly Dentry?[] s_buckets = new Dentry?[Buckets];
    private static readonly SpinLock[] s_stripes = CreateStripes();
    // Odd while a dentry changes its name: a lock-free search must not trust what it sees.
    private static int s_renames;
    private static readonly SpinLock s_renameLock = new("dentry rename");
    private static int s_negatives;
    private static int s_sweep;

    /// <summary>Names in the cache that are known not to exist.</summary>
    public static int Negatives => Volatile.Read(ref s_negatives);

    /// <summary>The cached dentry of a name; null when it is not cached. Neither locks nor allocates.</summary>
    public static Dentry? Find(Dentry parent, ReadOnlySpan<byte> name)
    {
        int renames = Volatile.Read(ref s_renames);
        if ((renames & 1) != 0) return null;
        uint hash = HashOf(parent, name);
        Dentry? found = Search(parent, name, hash);
        return Volatile.Read(ref s_renames) == renames ? found : null;
    }

    /// <summary>The dentry of a name, negative when it does not exist. ENOENT when the directory is gone, EIO and what else its file system says. May block.</summary>
    public static Result<Dentry> Lookup(Dentry parent, ReadOnlySpan<byte> name)
    {
        Inode directory = parent.Inode!;
        using Mutex.Guard guard = directory.Lock.Lock();
        return LookupLocked(parent, name);
    }

    /// <summary>As <see cref="Lookup"/>; the caller holds the directory's Lock.</summary>
    public static Result<Dentry> LookupLocked(Dentry parent, ReadOnlySpan<byte> name)
    {
        Inode directory = parent.Inode!;
        uint hash = HashOf(parent, name);
        if (directory.IsCacheable)
        {
            using SpinLock.Guard stripe = StripeOf(hash).Lock();
            if (Search(parent, name, hash) is { } cached) return cached;
        }
        Result<Inode> found = directory.Lookup(name);
        if (!found.IsOk && found.Error != Errno.ENOENT) return found.Error;
        var dentry = new Dentry(parent, name.ToArray(), found.IsOk ? found.Value : null) { Hash = hash };
        if (directory.IsCacheable) Insert(dentry);
        if (!found.IsOk && Negatives > MostNegatives) DropNegatives();
        return dentry;
    }

    /// <summary>Gives a negative dentry its inode: the name exists from now on. Under the directory's Lock.</summary>
    public static void SetInode(Dentry dentry, Inode inode)
    {
        bool isCached;
        using (SpinLock.Guard guard = StripeOf(dentry.Hash).Lock())
        {
            isCached = dentry.IsCached;
            if (isCached && dentry.Inode is null) Interlocked.Decrement(ref s_negatives);
            dentry.Inode = inode;
        }
        // A sweep may have thrown it out while it was negative.
        if (!isCached && dentry.Parent.Inode!.IsCacheable) Insert(dentry);
    }

    /// <summary>The name is gone. The dentry keeps its inode for those who have it open. Under the directory's Lock.</summary>
    public static void Unlink(Dentry dentry)
    {
        dentry.IsUnlinked = true;
        Remove(dentry);
    }

    /// <summary>The dentry has another name from now on. Under the Locks of both directories.</summary>
    public static void Move(Dentry dentry, Dentry parent, byte[] name)
    {
        using SpinLock.Guard guard = s_renameLock.Lock();
        Interlocked.Increment(ref s_renames);
        Remove(dentry);
        dentry.Move(parent, name);
        dentry.Hash = HashOf(parent, name);
        if (parent.Inode!.IsCacheable) Insert(dentry);
        Interlocked.Increment(ref s_renames);
    }

    /// <summary>Two dentries swap their names. Under the Locks of both directories.</summary>
    public static void Exchange(Dentry a, Dentry b)
    {
        Dentry parentOfA = a.Parent, parentOfB = b.Parent;
        byte[] nameOfA = a.Name, nameOfB = b.Name;
        Move(a, parentOfB, nameOfB);
        Move(b, parentOfA, nameOfA);
    }

    /// <summary>A number that is odd while a name changes and differs afterwards: for those who read several names (paths).</summary>
    public static int RenameSequence => Volatile.Read(ref s_renames);

    /// <summary>Throws out all names of a file system that is unmounted for good.</summary>
    public static void Forget(FileSystem fileSystem)
    {
        for (int bucket = 0; bucket < Buckets; bucket++)
        {
            using (SpinLock.Guard guard = s_stripes[bucket % Stripes].Lock())
            {
                // Negative ones have no inode: their directory tells.
                Filter(bucket, fileSystem, static (dentry, fs) => ReferenceEquals((dentry.Inode ?? dentry.Parent.Inode)?.FileSystem, fs));
            }
            if ((bucket & 0xFF) == 0) Task.YieldIfNeeded();
        }
    }

    // Negative names of a part of the table go, going round.
    private static void DropNegatives()
    {
        int start = Interlocked.Add(ref s_sweep, Buckets / 8);
        for (int i = 0; i < Buckets / 8; i++)
        {
            int bucket = (start + i) & (Buckets - 1);
            if (Volatile.Read(ref s_buckets[bucket]) is null) continue;
            using SpinLock.Guard guard = s_stripes[bucket % Stripes].Lock();
            Filter(bucket, 0, static (dentry, _) => dentry.Inode is null);
        }
    }

    private static Dentry? Search(Dentry parent, ReadOnlySpan<byte> name, uint hash)
    {
        for (Dentry? at = Volatile.Read(ref s_buckets[hash >> (32 - BucketBits)]); at is not null; at = Volatile.Read(ref at.HashNext))
        {
            if (at.Hash == hash && ReferenceEquals(at.Parent, parent) && name.SequenceEqual(at.Name)) return at;
        }
        return null;
    }

    private static void Insert(Dentry dentry)
    {
        uint hash = dentry.Hash;
        using SpinLock.Guard guard = StripeOf(hash).Lock();
        ref Dentry? head = ref s_buckets[hash >> (32 - BucketBits)];
        dentry.HashNext = head;
        dentry.IsCached = true;
        if (dentry.Inode is null) Interlocked.Increment(ref s_negatives);
        Volatile.Write(ref head, dentry);
    }

    private static void Remove(Dentry dentry)
    {
        uint hash = dentry.Hash;
        using SpinLock.Guard guard = StripeOf(hash).Lock();
        if (!dentry.IsCached) return;
        Filter((int)(hash >> (32 - BucketBits)), dentry, static (candidate, wanted) => ReferenceEquals(candidate, wanted));
    }

    // Under the stripe's lock. What is taken out keeps its link, so that a search that stands on it finds the rest of the chain.
    private static void Filter<TState>(int bucket, TState state, Func<Dentry, TState, bool> isUnwanted)
    {
        Dentry? previous = null;
        for (Dentry? at = s_buckets[bucket]; at is not null; at = at.HashNext)
        {
            if (!isUnwanted(at, state))
            {
                previous = at;
                continue;
            }
            if (at.Inode is null) Interlocked.Decrement(ref s_negatives);
            at.IsCached = false;
            if (previous is null) Volatile.Write(ref s_buckets[bucket], at.HashNext); else Volatile.Write(ref previous.HashNext, at.HashNext);
        }
    }

    private static uint HashOf(Dentry parent, ReadOnlySpan<byte> name)
    {
        ulong hash = parent.Id | (ulong)name.Length << 32;
        while (name.Length >= 8)
        {
            hash = (BitOperations.RotateLeft(hash, 29) ^ BinaryPrimitives.ReadUInt64LittleEndian(name)) * 0x9E3779B97F4A7C15;
            name = name[8..];
        }
        ulong rest = 0;
        foreach (byte b in name) rest = rest << 8 | b;
        hash = (BitOperations.RotateLeft(hash, 29) ^ rest) * 0x9E3779B97F4A7C15;
        return (uint)((hash ^ hash >> 29) * 0xBF58476D1CE4E5B9 >> 32);
    }

    private static SpinLock StripeOf(uint hash) => s_stripes[(hash >> (32 - BucketBits)) % Stripes];

    private static SpinLock[] CreateStripes()
    {
        var stripes = new SpinLock[Stripes];
        for (int i = 0; i < Stripes; i++) stripes[i] = new SpinLock("dentry cache");
        return stripes;
    }
}
