using System;
using System.Threading;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Sync;
using Asterinas.Services.Processes;

namespace Asterinas.Services.Memory;

/// <summary>
/// Futexes with an owner (man 2 futex, "Priority-inheritance futexes"). The word holds the owner's thread id, FUTEX_WAITERS when the kernel is needed to unlock, and
/// FUTEX_OWNER_DIED. The lock is handed to the first waiter; the owner is not boosted.
/// </summary>
internal static partial class Futex
{
    public const uint Waiters = 0x80000000, OwnerDied = 0x40000000, TidMask = 0x3FFFFFFF;

    /// <summary>FUTEX_LOCK_PI and FUTEX_TRYLOCK_PI. EDEADLK, ESRCH (the owner does not exist), EAGAIN (try), ETIMEDOUT, EFAULT, ERESTARTNOINTR. Blocks.</summary>
    public static Errno LockPi(Thread thread, in FutexKey key, ulong address, bool mayWait, ulong timeoutNs)
    {
        AddressSpace space = thread.Memory;
        uint tid = (uint)thread.Pid.NumberIn(thread.Namespaces.Pid);
        FutexWaiter waiter = thread.FutexSeat;
        FutexBucket bucket = BucketOf(key);
        while (true)
        {
            bool isFault = false;
            using (SpinLock.Guard guard = bucket.Lock.Lock())
            {
                if (!TryPeek(space, address, out uint word))
                {
                    isFault = true;
                }
                else
                {
                    uint owner = word & TidMask;
                    if (owner == tid) return Errno.EDEADLK;
                    if (owner == 0)
                    {
                        uint wanted = tid | (word & OwnerDied) | (HasPiWaiter(bucket, key) ? Waiters : 0);
                        if (!Exchange(space, address, word, wanted, out bool isDone)) isFault = true;
                        else if (isDone) return Errno.None;
                        else continue;
                    }
                    else
                    {
                        if (!mayWait) return Errno.EAGAIN;
                        if (thread.Namespaces.Pid.Find((int)owner)?.Thread is not { } holder) return Errno.ESRCH;
                        if (IsWaitingFor(holder, thread)) return Errno.EDEADLK;
                        if (!Exchange(space, address, word, word | Waiters, out bool isMarked))
                        {
                            isFault = true;
                        }
                        else
                        {
                            if (!isMarked) continue;
                            waiter.Key = key;
                            waiter.Bitset = uint.MaxValue;
                            waiter.PiThread = thread;
                            Volatile.Write(ref waiter.PiOwner, holder);
                            waiter.IsWoken = false;
                            bucket.Append(waiter);
                        }
                    }
                }
            }
            if (isFault)
            {
                if (!space.TryFaultIn(address, Access.Write)) return Errno.EFAULT;
                continue;
            }
            Errno slept = Sleep(waiter, timeoutNs);
            // Woken means: the word names this thread.
            if (slept != Errno.ERESTARTSYS) return slept;
            return Errno.ERESTARTNOINTR;
        }
    }

    /// <summary>FUTEX_UNLOCK_PI: hands the lock to the first waiter. EPERM when the caller is not the owner, EFAULT. May block.</summary>
    public static Errno UnlockPi(Thread thread, in FutexKey key, ulong address)
    {
        uint tid = (uint)thread.Pid.NumberIn(thread.Namespaces.Pid);
        return HandOver(thread.Memory, key, address, tid, 0);
    }

    /// <summary>The owner of a PI futex died (robust list): the first waiter gets it, with FUTEX_OWNER_DIED.</summary>
    public static void HandOverFromDead(AddressSpace space, ulong address, uint tid)
    {
        if (GetKey(space, address, false, Access.Write, out FutexKey key) != Errno.None) return;
        HandOver(space, key, address, tid, OwnerDied);
    }

    private static Errno HandOver(AddressSpace space, in FutexKey key, ulong address, uint tid, uint mark)
    {
        FutexBucket bucket = BucketOf(key);
        while (true)
        {
            using (SpinLock.Guard guard = bucket.Lock.Lock())
            {
                if (TryPeek(space, address, out uint word))
                {
                    if ((word & TidMask) != tid) return Errno.EPERM;
                    FutexWaiter? next = FirstPiWaiter(bucket, key);
                    bool hasMore = next is not null && FirstPiWaiter(bucket, key, next) is not null;
                    uint wanted = next is null ? mark : OwnerTid(next) | mark | (hasMore ? Waiters : 0);
                    if (Exchange(space, address, word, wanted, out bool isDone))
                    {
                        if (!isDone) continue;
                        if (next is not null) PassOn(bucket, key, next);
                        return Errno.None;
                    }
                }
            }
            if (!space.TryFaultIn(address, Access.Write)) return Errno.EFAULT;
        }
    }

    // The first waiter has the lock: the others wait for it now. Under the bucket's lock.
    private static void PassOn(FutexBucket bucket, in FutexKey key, FutexWaiter next)
    {
        for (FutexWaiter? at = bucket.First; at is not null; at = at.Next)
        {
            if (at.PiThread is not null && at.Key.Equals(key)) Volatile.Write(ref at.PiOwner, next.PiThread);
        }
        Rouse(bucket, next);
    }

    // Whether a thread waits, over any number of locks, for one that another one holds.
    private static bool IsWaitingFor(Thread from, Thread holder)
    {
        const int mostLocks = 1024;
        Thread? at = from;
        for (int depth = 0; depth < mostLocks && at is not null; depth++)
        {
            if (ReferenceEquals(at, holder)) return true;
            FutexWaiter seat = at.FutexSeat;
            at = seat.PiThread is not null && !seat.IsWoken && Volatile.Read(ref seat.Bucket) is not null ? Volatile.Read(ref seat.PiOwner) : null;
        }
        return false;
    }

    private static uint OwnerTid(FutexWaiter waiter) => (uint)waiter.PiThread!.Pid.NumberIn(waiter.PiThread.Namespaces.Pid);

    private static bool HasPiWaiter(FutexBucket bucket, in FutexKey key) => FirstPiWaiter(bucket, key) is not null;

    private static FutexWaiter? FirstPiWaiter(FutexBucket bucket, in FutexKey key, FutexWaiter? after = null)
    {
        for (FutexWaiter? at = after is null ? bucket.First : after.Next; at is not null; at = at.Next)
        {
            if (at.PiThread is not null && at.Key.Equals(key)) return at;
        }
        return null;
    }

    // False for a fault.
    private static bool Exchange(AddressSpace space, ulong address, uint expected, uint value, out bool isDone)
    {
        bool isReached = space.Space.CompareExchange32(new UserAddress(address), expected, value, out uint found);
        isDone = isReached && found == expected;
        return isReached;
    }
}
