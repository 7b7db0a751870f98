using System;
using System.Runtime.CompilerServices;
using System.Threading;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Smp;
using Asterinas.Ostd.Sync;

namespace Asterinas.Services.Memory;

/// <summary>What a futex is known by: the address in one address space, or the place in a shared object, whatever the addresses.</summary>
/// <param name="Owner">The address space, or the memory object.</param>
/// <param name="Offset">The address, or the byte in the object.</param>
internal readonly record struct FutexKey(object Owner, ulong Offset)
{
    public bool Equals(FutexKey other) => ReferenceEquals(Owner, other.Owner) && Offset == other.Offset;

    public override int GetHashCode() => RuntimeHelpers.GetHashCode(Owner) * 31 + (int)(Offset >> 2);
}

/// <summary>A thread's seat at a futex; made with the thread, so that waiting allocates nothing.</summary>
internal sealed class FutexWaiter
{
    internal readonly WaitQueue Queue = new();
    // Under the lock of the bucket.
    internal FutexWaiter? Next, Previous;
    internal FutexKey Key;
    internal uint Bitset;
    /// <summary>The thread, when it waits for a PI futex: it becomes the owner.</summary>
    internal Thread? PiThread;
    /// <summary>Who holds the PI futex that it waits for: the chain that deadlock detection follows.</summary>
    internal Thread? PiOwner;
    internal FutexBucket? Bucket;
    private int _isWoken;

    internal bool IsWoken
    {
        get => Volatile.Read(ref _isWoken) != 0;
        set => Volatile.Write(ref _isWoken, value ? 1 : 0);
    }
}

/// <summary>The waiters of the futexes whose keys hash alike, in the order of their coming.</summary>
internal sealed class FutexBucket(int index)
{
    public readonly SpinLock Lock = new();
    public readonly int Index = index;
    public FutexWaiter? First, Last;

    public void Append(FutexWaiter waiter)
    {
        waiter.Next = null;
        waiter.Previous = Last;
        if (Last is null) First = waiter; else Last.Next = waiter;
        Last = waiter;
        Volatile.Write(ref waiter.Bucket, this);
    }

    public void Remove(FutexWaiter waiter)
    {
        if (waiter.Previous is null) First = waiter.Next; else waiter.Previous.Next = waiter.Next;
        if (waiter.Next is null) Last = waiter.Previous; else waiter.Next.Previous = waiter.Previous;
        waiter.Next = waiter.Previous = null;
        Volatile.Write(ref waiter.Bucket, null);
    }
}

/// <summary>
/// Fast user-space locking (man 2 futex): the kernel's half, where threads wait for a word to change and wake one another.
/// <code>
///   operation                 lock
///   look at the word, queue   the key's bucket: whoever changes the word and wakes afterwards finds the seat, or the look found the change
///   wake, requeue             the bucket; two buckets in the order of their indices
/// </code>
/// A look at a word that is not in memory leaves the bucket, faults the page in and begins again.
/// </summary>
internal static partial class Futex
{
    private static readonly FutexBucket[] s_buckets = CreateBuckets();

    /// <summary>The key of an address. EINVAL for one that is not a multiple of 4, EFAULT when nothing is mapped there. May block.</summary>
    public static Errno GetKey(AddressSpace space, ulong address, bool isPrivate, Access access, out FutexKey key)
    {
        key = default;
        if ((address & 3) != 0) return Errno.EINVAL;
        if (address >= AddressSpace.EndAddress) return Errno.EFAULT;
        if (isPrivate)
        {
            key = new FutexKey(space, address);
            return Errno.None;
        }
        if (!space.TryFaultIn(address, access)) return Errno.EFAULT;
        return space.TryGetSharedPlace(address, out MemoryObject? shared, out ulong offset, out bool isMapped) ? Found(shared!, offset, out key)
            : isMapped ? Found(space, address, out key) : Errno.EFAULT;

        static Errno Found(object owner, ulong offset, out FutexKey key)
        {
            key = new FutexKey(owner, offset);
            return Errno.None;
        }
    }

    /// <summary>
    /// FUTEX_WAIT: sleeps while the word has a value. EAGAIN when it has another one, ETIMEDOUT, ERESTARTSYS, EFAULT. Blocks.
    /// </summary>
    /// <param name="thread">The caller.</param>
    /// <param name="key">Of the address.</param>
    /// <param name="address">The word.</param>
    /// <param name="value">What it is expected to be.</param>
    /// <param name="bitset">Which wake-ups count.</param>
    /// <param name="timeoutNs">Nanoseconds from now; <see cref="ulong.MaxValue"/> for no limit.</param>
    public static Errno Wait(Thread thread, in FutexKey key, ulong address, uint value, uint bitset, ulong timeoutNs)
    {
        FutexWaiter waiter = thread.FutexSeat;
        waiter.Key = key;
        waiter.Bitset = bitset;
        waiter.PiThread = null;
        waiter.IsWoken = false;
        Errno queued = Enqueue(thread.Memory, waiter, address, value);
        return queued != Errno.None ? queued : Sleep(waiter, timeoutNs);
    }

    /// <summary>FUTEX_WAKE: wakes at most so many threads whose bitset meets another one; returns how many. Does not block.</summary>
    public static int Wake(in FutexKey key, int most, uint bitset = uint.MaxValue)
    {
        FutexBucket bucket = BucketOf(key);
        int count = 0;
        // Also when nobody waits: a waiter that is about to queue looks at the word under the lock, which orders our caller's change before that look.
        using SpinLock.Guard guard = bucket.Lock.Lock();
        for (FutexWaiter? at = bucket.First; at is not null && count < most;)
        {
            FutexWaiter? next = at.Next;
            if (at.Key.Equals(key) && (at.Bitset & bitset) != 0 && at.PiThread is null)
            {
                Rouse(bucket, at);
                count++;
            }
            at = next;
        }
        return count;
    }

    /// <summary>
    /// FUTEX_REQUEUE and FUTEX_CMP_REQUEUE: wakes some waiters and moves others to another futex. Returns those woken plus, when compared, those moved. EAGAIN when the word is
    /// not the expected one, EFAULT. May block.
    /// </summary>
    public static Result<int> Requeue(AddressSpace space, in FutexKey from, in FutexKey to, ulong address, int wake, int move, uint? expected)
    {
        if (wake < 0 || move < 0) return Errno.EINVAL;
        FutexBucket source = BucketOf(from), target = BucketOf(to);
        while (true)
        {
            using (Pair pair = LockPair(source, target))
            {
                bool isRead = expected is null;
                uint found = 0;
                if (!isRead) isRead = TryPeek(space, address, out found);
                if (isRead)
                {
                    if (expected is { } value && found != value) return Errno.EAGAIN;
                    int woken = 0, moved = 0;
                    for (FutexWaiter? at = source.First; at is not null;)
                    {
                        FutexWaiter? next = at.Next;
                        if (at.Key.Equals(from) && at.PiThread is null)
                        {
                            if (woken < wake)
                            {
                                Rouse(source, at);
                                woken++;
                            }
                            else if (moved < move)
                            {
                                source.Remove(at);
                                at.Key = to;
                                target.Append(at);
                                moved++;
                            }
                            else
                            {
                                break;
                            }
                        }
                        at = next;
                    }
                    return woken + (expected is null ? 0 : moved);
                }
            }
            if (!space.TryFaultIn(address, Access.Read)) return Errno.EFAULT;
        }
    }

    /// <summary>FUTEX_WAKE_OP: changes the second word, wakes at the first, and at the second when its old value compares. EFAULT, ENOSYS. May block.</summary>
    public static Result<int> WakeOperation(AddressSpace space, in FutexKey first, in FutexKey second, ulong secondAddress, int wakeFirst, int wakeSecond, uint operation)
    {
        int kind = (int)(operation >> 28 & 7), comparison = (int)(operation >> 24 & 15);
        int operand = (int)(operation << 8) >> 20, comparand = (int)(operation << 20) >> 20;
        if ((operation >> 31 & 1) != 0) operand = 1 << (operand & 31);
        if (kind > 4 || comparison > 5) return Errno.ENOSYS;
        uint old;
        while (true)
        {
            if (!TryPeek(space, secondAddress, out uint seen) || !space.Space.CompareExchange32(new UserAddress(secondAddress), seen, Apply(seen), out old))
            {
                if (!space.TryFaultIn(secondAddress, Access.Write)) return Errno.EFAULT;
                continue;
            }
            if (old == seen) break;
        }
        int count = Wake(first, wakeFirst);
        bool isMet = comparison switch
        {
            0 => (int)old == comparand,
            1 => (int)old != comparand,
            2 => (int)old < comparand,
            3 => (int)old <= comparand,
            4 => (int)old > comparand,
            _ => (int)old >= comparand,
        };
        return isMet ? count + Wake(second, wakeSecond) : count;

        uint Apply(uint value) => kind switch
        {
            0 => (uint)operand,
            1 => value + (uint)operand,
            2 => value | (uint)operand,
            3 => value & ~(uint)operand,
            _ => value ^ (uint)operand,
        };
    }

    /// <summary>Wakes waiters at a word that the kernel itself changed: those who know it as private, and those who know it as shared. May block.</summary>
    public static void WakeWord(AddressSpace space, ulong address, int most)
    {
        int woken = Wake(new FutexKey(space, address), most);
        if (woken < most && GetKey(space, address, false, Access.Read, out FutexKey shared) == Errno.None) Wake(shared, most - woken);
    }

    private static Errno Enqueue(AddressSpace space, FutexWaiter waiter, ulong address, uint value)
    {
        FutexBucket bucket = BucketOf(waiter.Key);
        while (true)
        {
            using (SpinLock.Guard guard = bucket.Lock.Lock())
            {
                if (TryPeek(space, address, out uint found))
                {
                    if (found != value) return Errno.EAGAIN;
                    bucket.Append(waiter);
                    return Errno.None;
                }
            }
            if (!space.TryFaultIn(address, Access.Read)) return Errno.EFAULT;
        }
    }

    // Sleeps in the seat until somebody takes the waiter out of its bucket, a signal comes, or the time is up.
    private static Errno Sleep(FutexWaiter waiter, ulong timeoutNs)
    {
        WaitResult result = waiter.Queue.WaitInterruptible(waiter, static seat => seat.IsWoken, timeoutNs);
        if (result == WaitResult.Woken || !Leave(waiter)) return Errno.None;
        return result == WaitResult.TimedOut ? Errno.ETIMEDOUT : Errno.ERESTARTSYS;
    }

    // Takes a waiter out of whatever bucket it was moved to. False when a waker was faster: then the wake-up counts.
    private static bool Leave(FutexWaiter waiter)
    {
        while (!waiter.IsWoken)
        {
            if (Volatile.Read(ref waiter.Bucket) is not { } bucket)
            {
                // On its way from one bucket to another.
                Task.YieldIfNeeded();
                continue;
            }
            using SpinLock.Guard guard = bucket.Lock.Lock();
            if (!ReferenceEquals(waiter.Bucket, bucket)) continue;
            bucket.Remove(waiter);
            return true;
        }
        return false;
    }

    // INVARIANT: a waiter in no bucket is woken, or on its way between two.
    private static void Rouse(FutexBucket bucket, FutexWaiter waiter)
    {
        waiter.IsWoken = true;
        bucket.Remove(waiter);
        waiter.Queue.WakeOne();
    }

    // Looks at a word without faulting.
    private static bool TryPeek(AddressSpace space, ulong address, out uint value) => space.Space.Reader(new UserAddress(address), 4).TryRead(out value);

    private static FutexBucket BucketOf(in FutexKey key)
    {
        uint hash = (uint)key.GetHashCode() * 2654435769;
        return s_buckets[hash >> 16 & (uint)(s_buckets.Length - 1)];
    }

    private static FutexBucket[] CreateBuckets()
    {
        var buckets = new FutexBucket[Math.Min(65536, 256 * (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)CpuSet.Online.Count))];
        for (int i = 0; i < buckets.Length; i++) buckets[i] = new FutexBucket(i);
        return buckets;
    }

    private static Pair LockPair(FutexBucket a, FutexBucket b)
    {
        if (ReferenceEquals(a, b)) return new Pair(a.Lock.Lock(), default);
        // LOCK ORDER: by index.
        SpinLock.Guard first = a.Index < b.Index ? a.Lock.Lock() : b.Lock.Lock();
        return new Pair(first, a.Index < b.Index ? b.Lock.Lock() : a.Lock.Lock());
    }

    private ref struct Pair(SpinLock.Guard first, SpinLock.Guard second)
    {
        private SpinLock.Guard _first = first, _second = second;

        public void Dispose()
        {
            _second.Dispose();
            _first.Dispose();
        }
    }
}
