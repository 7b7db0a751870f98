using System;
using System.Buffers.Binary;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Timers;
using Asterinas.Services.Ipc;
using Asterinas.Services.Processes;
using Asterinas.Services.Signals;
using Asterinas.Services.Time;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>poll(2), select(2) and their variants with a signal mask.</summary>
internal static class PollSyscalls
{
    private const int EntryBytes = 8;
    private const PollEvents ReadSet = PollEvents.In | PollEvents.ReadNormal | PollEvents.ReadBand | PollEvents.HangUp | PollEvents.Error;
    private const PollEvents WriteSet = PollEvents.Out | PollEvents.WriteNormal | PollEvents.WriteBand | PollEvents.Error;
    private const PollEvents ExceptionSet = PollEvents.Priority;
    private const int SetWords = 16;                // on the stack: descriptors below FD_SETSIZE

    private enum TimeoutKind
    {
        Timespec,
        Timeval,
    }

    public static void Register()
    {
        SyscallTable.Add(7, "poll", Poll);
        SyscallTable.Add(23, "select", Select);
        SyscallTable.Add(270, "pselect6", SelectWithMask);
        SyscallTable.Add(271, "ppoll", PollWithMask);
    }

    // ---- poll

    private static long Poll(in SyscallArguments a)
    {
        int milliseconds = a.Int(2);
        ulong deadline = milliseconds < 0 ? ulong.MaxValue : UserTime.DeadlineAfter(milliseconds * 1000000L);
        return Poll(a.Thread, a.Address(0), a.UInt(1), deadline);
    }

    private static long PollWithMask(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        Errno error = ReadDeadline(thread, a.Address(2), TimeoutKind.Timespec, out ulong deadline);
        if (error == Errno.None && a.A3 != 0) error = TemporaryMask.Apply(thread, a.Address(3), a.A4);
        if (error != Errno.None) return -(long)error;
        long answer = Poll(thread, a.Address(0), a.UInt(1), deadline);
        WriteRemaining(thread, a.Address(2), TimeoutKind.Timespec, deadline);
        return TemporaryMask.Finish(thread, answer);
    }

    private static long Poll(Thread thread, UserAddress address, uint count, ulong deadline)
    {
        if (count > thread.Process.Limits.Soft(Resource.OpenFiles)) return -(long)Errno.EINVAL;
        PollSeat seat = thread.PollSeat ??= new PollSeat();
        Span<PollItem> items = seat.Items((int)count);
        Span<byte> bytes = stackalloc byte[EntryBytes];
        for (int i = 0; i < items.Length; i++)
        {
            if (thread.Memory.Read(At(address, i), bytes) != Errno.None) return -(long)Errno.EFAULT;
            items[i].Descriptor = BinaryPrimitives.ReadInt32LittleEndian(bytes);
            items[i].Wanted = (PollEvents)BinaryPrimitives.ReadUInt16LittleEndian(bytes[4..]);
        }
        Result<int> ready = seat.Wait(thread, items, deadline);
        if (!ready.IsOk) return -(long)ready.Error;
        for (int i = 0; i < items.Length; i++)
        {
            if (thread.Memory.Write(new UserAddress(At(address, i).Value + 6), (ushort)items[i].Found) != Errno.None) return -(long)Errno.EFAULT;
        }
        return ready.Value;
    }

    private static UserAddress At(UserAddress address, int index) => new(address.Value + (ulong)(index * EntryBytes));

    // ---- select

    private static long Select(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        Errno error = ReadDeadline(thread, a.Address(4), TimeoutKind.Timeval, out ulong deadline);
        if (error != Errno.None) return -(long)error;
        long answer = Select(thread, a.Int(0), a.Address(1), a.Address(2), a.Address(3), deadline);
        WriteRemaining(thread, a.Address(4), TimeoutKind.Timeval, deadline);
        return answer;
    }

    private static long SelectWithMask(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        Errno error = ReadDeadline(thread, a.Address(4), TimeoutKind.Timespec, out ulong deadline);
        if (error != Errno.None) return -(long)error;
        // The sixth argument leads to the mask's address and size.
        ulong mask = 0, size = 0;
        if (a.A5 != 0 && (thread.Memory.Read(a.Address(5), out mask) != Errno.None || thread.Memory.Read(new UserAddress(a.A5 + 8), out size) != Errno.None)) return -(long)Errno.EFAULT;
        if (mask != 0) error = TemporaryMask.Apply(thread, new UserAddress(mask), size);
        if (error != Errno.None) return -(long)error;
        long answer = Select(thread, a.Int(0), a.Address(1), a.Address(2), a.Address(3), deadline);
        WriteRemaining(thread, a.Address(4), TimeoutKind.Timespec, deadline);
        return TemporaryMask.Finish(thread, answer);
    }

    private static long Select(Thread thread, int count, UserAddress reads, UserAddress writes, UserAddress exceptions, ulong deadline)
    {
        if (count < 0) return -(long)Errno.EINVAL;
        // More than the table has room for makes no sense (man 2 select, BUGS).
        count = (int)Math.Min((ulong)count, Math.Max(thread.Process.Limits[Resource.OpenFiles].Hard, 1024));
        int words = (count + 63) / 64;
        Span<ulong> sets = words <= SetWords ? stackalloc ulong[3 * SetWords] : new ulong[3 * words];
        Span<ulong> readSet = sets[..words], writeSet = sets.Slice(words, words), exceptionSet = sets.Slice(2 * words, words);
        if (!ReadSetOf(thread, reads, readSet, count) || !ReadSetOf(thread, writes, writeSet, count) || !ReadSetOf(thread, exceptions, exceptionSet, count)) return -(long)Errno.EFAULT;
        int used = 0;
        for (int i = 0; i < words; i++) used += System.Numerics.BitOperations.PopCount(readSet[i] | writeSet[i] | exceptionSet[i]);
        PollSeat seat = thread.PollSeat ??= new PollSeat();
        Span<PollItem> items = seat.Items(used);
        used = 0;
        for (int i = 0; i < words; i++)
        {
            for (ulong bits = readSet[i] | writeSet[i] | exceptionSet[i]; bits != 0; bits &= bits - 1)
            {
                int bit = System.Numerics.BitOperations.TrailingZeroCount(bits);
                PollEvents wanted = PollEvents.None;
                if ((readSet[i] >> bit & 1) != 0) wanted |= ReadSet;
                if ((writeSet[i] >> bit & 1) != 0) wanted |= WriteSet;
                if ((exceptionSet[i] >> bit & 1) != 0) wanted |= ExceptionSet;
                items[used++] = new PollItem { Descriptor = 64 * i + bit, Wanted = wanted };
            }
        }
        Result<int> ready = WaitForSets(thread, seat, items, deadline);
        if (!ready.IsOk) return -(long)ready.Error;
        int bitsSet = Answer(items, readSet, ReadSet) + Answer(items, writeSet, WriteSet) + Answer(items, exceptionSet, ExceptionSet);
        if (!WriteSetOf(thread, reads, readSet) || !WriteSetOf(thread, writes, writeSet) || !WriteSetOf(thread, exceptions, exceptionSet)) return -(long)Errno.EFAULT;
        return bitsSet;
    }

    // An error or a hang-up that no set asked for is no answer for select: it would be told of at once, and for ever.
    private static Result<int> WaitForSets(Thread thread, PollSeat seat, Span<PollItem> items, ulong deadline)
    {
        Result<int> ready = seat.Wait(thread, items, deadline, onlyWanted: true);
        if (!ready.IsOk) return ready;
        for (int i = 0; i < items.Length; i++)
        {
            if ((items[i].Found & PollEvents.Invalid) != 0) return Errno.EBADF;
        }
        return ready;
    }

    private static int Answer(ReadOnlySpan<PollItem> items, Span<ulong> set, PollEvents events)
    {
        int count = 0;
        foreach (ref readonly PollItem item in items)
        {
            ref ulong word = ref set[item.Descriptor / 64];
            ulong bit = 1UL << (item.Descriptor & 63);
            if ((word & bit) == 0) continue;
            if ((item.Found & events) != 0) count++; else word &= ~bit;
        }
        return count;
    }

    private static bool ReadSetOf(Thread thread, UserAddress address, Span<ulong> set, int count)
    {
        set.Clear();
        if (address.Value == 0) return true;
        for (int i = 0; i < set.Length; i++)
        {
            if (thread.Memory.Read(new UserAddress(address.Value + (ulong)(8 * i)), out set[i]) != Errno.None) return false;
        }
        if ((count & 63) != 0) set[^1] &= (1UL << (count & 63)) - 1;
        return true;
    }

    private static bool WriteSetOf(Thread thread, UserAddress address, ReadOnlySpan<ulong> set)
    {
        if (address.Value == 0) return true;
        for (int i = 0; i < set.Length; i++)
        {
            if (thread.Memory.Write(new UserAddress(address.Value + (ulong)(8 * i)), set[i]) != Errno.None) return false;
        }
        return true;
    }

    // ---- time

    private static Errno ReadDeadline(Thread thread, UserAddress address, TimeoutKind kind, out ulong deadline)
    {
        deadline = ulong.MaxValue;
        if (address.Value == 0) return Errno.None;
        long nanoseconds;
        Errno error;
        if (kind == TimeoutKind.Timespec)
        {
            error = UserTime.ReadTimespec(thread.Memory, address, out nanoseconds);
        }
        else
        {
            // Microseconds beyond a second are carried, as select(2) on Linux does.
            if (thread.Memory.Read(address, out long seconds) != Errno.None || thread.Memory.Read(new UserAddress(address.Value + 8), out long microseconds) != Errno.None) return Errno.EFAULT;
            error = seconds < 0 || microseconds < 0 ? Errno.EINVAL : Errno.None;
            nanoseconds = seconds > long.MaxValue / UserTime.Second / 2 || microseconds > long.MaxValue / 2000 ? long.MaxValue : seconds * UserTime.Second + microseconds * 1000;
        }
        if (error == Errno.None) deadline = UserTime.DeadlineAfter(nanoseconds);
        return error;
    }

    // What is left of the time; a failure to tell is none of the call (man 2 select).
    private static void WriteRemaining(Thread thread, UserAddress address, TimeoutKind kind, ulong deadline)
    {
        if (address.Value == 0 || deadline == ulong.MaxValue) return;
        ulong now = Clock.MonotonicNs;
        long left = deadline > now ? (long)(deadline - now) : 0;
        if (kind == TimeoutKind.Timespec) UserTime.WriteTimespec(thread.Memory, address, left); else UserTime.WriteTimeval(thread.Memory, address, left);
    }
}
