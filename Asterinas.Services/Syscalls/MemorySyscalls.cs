using System;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>mmap(2) and its kin.</summary>
internal static class MemorySyscalls
{
    private const ulong PageMask = PageSize.Small - 1;
    private const int KnownProtection = 7, GrowsDown = 0x01000000, GrowsUp = 0x02000000;

    public static void Register()
    {
        SyscallTable.Add(9, "mmap", Map, "MAP_HUGETLB, MAP_SYNC");
        SyscallTable.Add(10, "mprotect", Protect);
        SyscallTable.Add(11, "munmap", Unmap);
        SyscallTable.Add(12, "brk", Brk);
        SyscallTable.Add(25, "mremap", Remap);
        SyscallTable.Add(26, "msync", Synchronise);
        SyscallTable.Add(27, "mincore", Residency);
        SyscallTable.Add(28, "madvise", Advise, "MADV_HWPOISON, MADV_SOFT_OFFLINE, MADV_COLLAPSE");
        SyscallTable.Add(149, "mlock", Lock);
        SyscallTable.Add(150, "munlock", Unlock);
        SyscallTable.Add(151, "mlockall", LockAll);
        SyscallTable.Add(152, "munlockall", UnlockAll);
        SyscallTable.Add(325, "mlock2", Lock2);
        SyscallTable.Add(310, "process_vm_readv", (in SyscallArguments a) => Transfer(a, false));
        SyscallTable.Add(311, "process_vm_writev", (in SyscallArguments a) => Transfer(a, true));
    }

    private static long Map(in SyscallArguments a)
    {
        ulong address = a.A0, length = a.A1, offset = a.A5;
        int prot = a.Int(2);
        var flags = (MapFlags)a.Int(3);
        int descriptor = a.Int(4);
        if ((offset & PageMask) != 0 || length == 0) return -(long)Errno.EINVAL;
        if (length > AddressSpace.EndAddress) return -(long)Errno.ENOMEM;
        ulong bytes = AddressSpace.RoundUp(length);
        if ((offset >> 12) + (bytes >> 12) < (offset >> 12) || offset + bytes < offset) return -(long)Errno.EOVERFLOW;
        MapFlags type = flags & MapFlags.TypeMask;
        if (type is not (MapFlags.Shared or MapFlags.Private or MapFlags.SharedValidate)) return -(long)Errno.EINVAL;
        if ((flags & MapFlags.HugeTlb) != 0) return -(long)Errno.EINVAL;
        if (type == MapFlags.SharedValidate && (flags & MapFlags.Sync) != 0) return -(long)Errno.EOPNOTSUPP;
        bool isFixed = (flags & (MapFlags.Fixed | MapFlags.FixedNoReplace)) != 0;
        if (isFixed && (address & PageMask) != 0) return -(long)Errno.EINVAL;
        if (!isFixed) address = AddressSpace.RoundUp(address);
        bool isShared = type != MapFlags.Private;
        if (isShared && (flags & MapFlags.GrowsDown) != 0) return -(long)Errno.EINVAL;
        Thread thread = a.Thread;
        AddressSpace memory = thread.Memory;
        if (memory.LocksFuture) flags |= MapFlags.Locked;
        if ((flags & MapFlags.Locked) != 0)
        {
            Errno allowed = MayLock(thread, (long)(bytes >> 12), Errno.EAGAIN);
            if (allowed != Errno.None) return -(long)allowed;
        }
        flags = isShared ? flags & ~MapFlags.Private : flags;
        var request = new MapRequest
        {
            Address = address, Length = bytes, Protection = (Protection)(prot & KnownProtection), MaxProtection = (Protection)KnownProtection, Flags = flags, ObjectPage = offset >> 12,
        };
        if ((flags & MapFlags.Anonymous) != 0)
        {
            if (!isShared) return SyscallAnswer.From(memory.Map(request with { ObjectPage = 0 }));
            Result<SharedAnonymous> made = SharedAnonymous.Create(bytes >> 12, (flags & MapFlags.NoReserve) != 0);
            if (!made.IsOk) return -(long)made.Error;
            Result<ulong> placed = memory.Map(request with { Object = made.Value, ObjectPage = 0, Name = "/dev/zero (deleted)" });
            if (!placed.IsOk) made.Value.Abandon();
            return SyscallAnswer.From(placed);
        }
        Errno error = thread.Files.Get(descriptor, out FileHandle handle);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            OpenFile file = handle.File;
            if (!file.IsReadable) return -(long)Errno.EACCES;
            Protection most = (Protection)KnownProtection;
            if (isShared && !file.IsWritable)
            {
                if ((request.Protection & Protection.Write) != 0) return -(long)Errno.EACCES;
                most &= ~Protection.Write;
            }
            if (file.Path.Mount is { } mount && (mount.Flags & MountFlags.NoExecute) != 0)
            {
                if ((request.Protection & Protection.Execute) != 0) return -(long)Errno.EPERM;
                most &= ~Protection.Execute;
            }
            Result<MemoryObject> source = file.GetMemoryObject(request.Protection, isShared);
            if (!source.IsOk) return -(long)source.Error;
            return SyscallAnswer.From(memory.Map(request with { Object = source.Value, File = file, MaxProtection = most }));
        }
    }

    private static long Unmap(in SyscallArguments a)
    {
        ulong address = a.A0, length = a.A1;
        if ((address & PageMask) != 0 || length == 0 || address >= AddressSpace.EndAddress || length > AddressSpace.EndAddress - address) return -(long)Errno.EINVAL;
        return SyscallAnswer.From(a.Thread.Memory.Unmap(address, AddressSpace.RoundUp(length)));
    }

    private static long Protect(in SyscallArguments a)
    {
        ulong address = a.A0, length = a.A1;
        int prot = a.Int(2);
        if ((address & PageMask) != 0) return -(long)Errno.EINVAL;
        if ((prot & (GrowsDown | GrowsUp)) == (GrowsDown | GrowsUp)) return -(long)Errno.EINVAL;
        if (length == 0) return 0;
        if (length > AddressSpace.EndAddress || address > AddressSpace.EndAddress - AddressSpace.RoundUp(length)) return -(long)Errno.ENOMEM;
        if ((prot & ~(KnownProtection | 8 | GrowsDown | GrowsUp)) != 0) return -(long)Errno.EINVAL;
        AddressSpace memory = a.Thread.Memory;
        ulong end = address + AddressSpace.RoundUp(length);
        if ((prot & GrowsDown) != 0)
        {
            if (!memory.TryGetMapping(address, out AddressSpace.MappingView view) || view.Start >= end) return -(long)Errno.ENOMEM;
            if (!view.GrowsDown) return -(long)Errno.EINVAL;
            address = view.Start;
        }
        return SyscallAnswer.From(memory.Protect(address, end - address, (Protection)(prot & KnownProtection)));
    }

    private static long Brk(in SyscallArguments a) => (long)a.Thread.Memory.SetHeapEnd(a.A0, a.Thread.Process.Limits.Soft(Resource.Data));

    private static long Remap(in SyscallArguments a)
    {
        const int mayMove = 1, isFixed = 2, dontUnmap = 4;
        ulong old = a.A0, newLength = AddressSpace.RoundUp(a.A2);
        int flags = a.Int(3);
        if ((flags & ~(mayMove | isFixed | dontUnmap)) != 0 || (old & PageMask) != 0 || a.A2 == 0 || a.A2 > AddressSpace.EndAddress) return -(long)Errno.EINVAL;
        if ((flags & (isFixed | dontUnmap)) != 0 && (flags & mayMove) == 0) return -(long)Errno.EINVAL;
        if (a.A1 > AddressSpace.EndAddress || old >= AddressSpace.EndAddress) return -(long)Errno.EFAULT;
        ulong oldLength = AddressSpace.RoundUp(a.A1);
        if ((flags & dontUnmap) != 0 && oldLength != newLength) return -(long)Errno.EINVAL;
        if ((flags & isFixed) != 0 && (a.A4 & PageMask) != 0) return -(long)Errno.EINVAL;
        return SyscallAnswer.From(a.Thread.Memory.Remap(old, oldLength, newLength, (flags & mayMove) != 0, (flags & isFixed) != 0 ? a.A4 : null, (flags & dontUnmap) != 0));
    }

    private static long Synchronise(in SyscallArguments a)
    {
        const int async = 1, invalidate = 2, sync = 4;
        ulong address = a.A0;
        int flags = a.Int(2);
        if ((flags & ~(async | invalidate | sync)) != 0 || (flags & (async | sync)) == (async | sync) || (address & PageMask) != 0) return -(long)Errno.EINVAL;
        if (!TryRange(address, a.A1, out ulong end)) return -(long)Errno.ENOMEM;
        AddressSpace memory = a.Thread.Memory;
        if (address == end) return 0;
        bool isCovered = memory.IsRangeMapped(address, end);
        for (ulong at = address; memory.TryGetMapping(at, out AddressSpace.MappingView view) && view.Start < end; at = view.End)
        {
            if ((flags & invalidate) != 0 && view.IsLocked) return -(long)Errno.EBUSY;
            if ((flags & sync) == 0 || !view.IsShared || view.File is not { } file || !file.TryAddReference()) continue;
            Errno error = file.Sync(false);
            file.Release();
            if (error is not (Errno.None or Errno.EINVAL)) return -(long)error;
        }
        return isCovered ? 0 : -(long)Errno.ENOMEM;
    }

    private static long Residency(in SyscallArguments a)
    {
        ulong address = a.A0;
        if ((address & PageMask) != 0) return -(long)Errno.EINVAL;
        if (!TryRange(address, a.A1, out ulong end)) return -(long)Errno.ENOMEM;
        Span<byte> pages = stackalloc byte[256];
        UserAddress vector = a.Address(2);
        while (address < end)
        {
            int count = (int)Math.Min((end - address) >> 12, (ulong)pages.Length);
            Errno error = a.Thread.Memory.GetResidency(address, pages[..count]);
            if (error == Errno.None) error = a.Thread.Memory.Write(vector, pages[..count]);
            if (error != Errno.None) return -(long)error;
            vector = new UserAddress(vector.Value + (ulong)count);
            address += (ulong)count << 12;
            Task.YieldIfNeeded();
        }
        return 0;
    }

    private static long Advise(in SyscallArguments a)
    {
        ulong address = a.A0;
        int advice = a.Int(2);
        if ((address & PageMask) != 0) return -(long)Errno.EINVAL;
        if (advice is not (>= 0 and <= 4 or >= 8 and <= 23)) return -(long)Errno.EINVAL;
        if (!TryRange(address, a.A1, out ulong end)) return -(long)Errno.EINVAL;
        if (address == end) return 0;
        AddressSpace memory = a.Thread.Memory;
        switch (advice)
        {
            case 4:                                         // MADV_DONTNEED
                return SyscallAnswer.From(memory.Discard(address, end));
            case 8:                                         // MADV_FREE: for private anonymous memory
            case 18:                                        // MADV_WIPEONFORK: likewise
                for (ulong at = address; memory.TryGetMapping(at, out AddressSpace.MappingView view) && view.Start < end; at = view.End)
                {
                    if (view.IsShared || view.Object is not null) return -(long)Errno.EINVAL;
                }
                return SyscallAnswer.From(advice == 8 ? memory.Discard(address, end) : memory.Mark(address, end, true, static (mapping, value) => mapping.IsWipeOnFork = value));
            case 9:                                         // MADV_REMOVE: a hole in a shared object
                return Remove(memory, address, end);
            case 10: return SyscallAnswer.From(memory.Mark(address, end, true, static (mapping, value) => mapping.IsDontFork = value));
            case 11: return SyscallAnswer.From(memory.Mark(address, end, false, static (mapping, value) => mapping.IsDontFork = value));
            case 16: return SyscallAnswer.From(memory.Mark(address, end, true, static (mapping, value) => mapping.IsDontDump = value));
            case 17: return SyscallAnswer.From(memory.Mark(address, end, false, static (mapping, value) => mapping.IsDontDump = value));
            case 19: return SyscallAnswer.From(memory.Mark(address, end, false, static (mapping, value) => mapping.IsWipeOnFork = value));
            case 22: return PopulateAll(memory, address, end, Access.Read);
            case 23: return PopulateAll(memory, address, end, Access.Write);
            default:                                        // hints that need nothing done
                return memory.IsRangeMapped(address, end) ? 0 : -(long)Errno.ENOMEM;
        }
    }

    private static long Remove(AddressSpace memory, ulong address, ulong end)
    {
        if (!memory.IsRangeMapped(address, end)) return -(long)Errno.ENOMEM;
        for (ulong at = address; memory.TryGetMapping(at, out AddressSpace.MappingView view) && view.Start < end; at = view.End)
        {
            if (view.IsLocked || view.Object is null || !view.IsShared) return -(long)Errno.EINVAL;
            ulong from = Math.Max(address, view.Start), to = Math.Min(end, view.End);
            ulong first = view.ObjectPage + ((from - view.Start) >> 12), last = first + ((to - from) >> 12);
            if (view.Object is SharedAnonymous anonymous)
            {
                anonymous.Remove(first, last);
                continue;
            }
            if (view.File is not { IsWritable: true } file) return -(long)Errno.EACCES;
            const int punchHole = 2, keepSize = 1;
            Errno error = file.Allocate(punchHole | keepSize, (long)(first << 12), (long)((last - first) << 12));
            if (error != Errno.None) return -(long)error;
        }
        return 0;
    }

    private static long PopulateAll(AddressSpace memory, ulong address, ulong end, Access access)
    {
        for (ulong at = address; at < end; at += PageSize.Small)
        {
            FaultOutcome outcome = memory.Fault(at, access);
            if (outcome != FaultOutcome.Resolved)
            {
                return -(long)(outcome switch { FaultOutcome.NotMapped or FaultOutcome.OutOfMemory => Errno.ENOMEM, FaultOutcome.NotAllowed => Errno.EINVAL, _ => Errno.EFAULT });
            }
            Task.YieldIfNeeded();
        }
        return 0;
    }

    private static long Lock(in SyscallArguments a) => Lock(a.Thread, a.A0, a.A1, true);

    private static long Lock2(in SyscallArguments a) => (a.Int(2) & ~1) != 0 ? -(long)Errno.EINVAL : Lock(a.Thread, a.A0, a.A1, (a.Int(2) & 1) == 0);

    private static long Lock(Thread thread, ulong address, ulong length, bool populate)
    {
        ulong start = address & ~PageMask;
        if (length > ulong.MaxValue - (address & PageMask) || !TryRange(start, length + (address & PageMask), out ulong end)) return -(long)Errno.EINVAL;
        if (start == end) return 0;
        Errno error = MayLock(thread, (long)((end - start) >> 12), Errno.ENOMEM);
        if (error == Errno.None) error = thread.Memory.Mark(start, end, true, static (mapping, value) => mapping.IsLocked = value);
        if (error == Errno.None && populate) thread.Memory.Populate(start, end);
        return SyscallAnswer.From(error);
    }

    private static long Unlock(in SyscallArguments a)
    {
        ulong start = a.A0 & ~PageMask;
        if (a.A1 > ulong.MaxValue - (a.A0 & PageMask) || !TryRange(start, a.A1 + (a.A0 & PageMask), out ulong end)) return -(long)Errno.EINVAL;
        return start == end ? 0 : SyscallAnswer.From(a.Thread.Memory.Mark(start, end, false, static (mapping, value) => mapping.IsLocked = value));
    }

    private static long LockAll(in SyscallArguments a)
    {
        const int current = 1, future = 2, onFault = 4;
        int flags = a.Int(0);
        if (flags == 0 || flags == onFault || (flags & ~(current | future | onFault)) != 0) return -(long)Errno.EINVAL;
        AddressSpace memory = a.Thread.Memory;
        Limit limit = a.Thread.Process.Limits[Resource.LockedMemory];
        if (!a.Thread.Credentials.Has(Capability.IpcLock))
        {
            if (limit.Soft == 0) return -(long)Errno.EPERM;
            if ((flags & current) != 0 && (ulong)memory.TotalPages << 12 > limit.Soft) return -(long)Errno.ENOMEM;
        }
        memory.LocksFuture = (flags & future) != 0;
        if ((flags & current) != 0) MarkAll(memory, true, (flags & onFault) == 0);
        return 0;
    }

    private static long UnlockAll(in SyscallArguments a)
    {
        a.Thread.Memory.LocksFuture = false;
        MarkAll(a.Thread.Memory, false, false);
        return 0;
    }

    private static void MarkAll(AddressSpace memory, bool isLocked, bool populate)
    {
        for (ulong at = 0; memory.TryGetMapping(at, out AddressSpace.MappingView view); at = view.End)
        {
            memory.Mark(view.Start, view.End, isLocked, static (mapping, value) => mapping.IsLocked = value);
            if (populate) memory.Populate(view.Start, view.End);
        }
    }

    private static Errno MayLock(Thread thread, long pages, Errno tooMuch)
    {
        if (thread.Credentials.Has(Capability.IpcLock)) return Errno.None;
        ulong limit = thread.Process.Limits.Soft(Resource.LockedMemory);
        if (limit == 0) return Errno.EPERM;
        return (ulong)(thread.Memory.LockedPages + pages) << 12 > limit ? tooMuch : Errno.None;
    }

    // The end of a range of whole pages; false when it leaves user space.
    private static bool TryRange(ulong start, ulong length, out ulong end)
    {
        end = start;
        if (length > AddressSpace.EndAddress) return false;
        ulong bytes = AddressSpace.RoundUp(length);
        if (start > AddressSpace.EndAddress - bytes) return false;
        end = start + bytes;
        return true;
    }

    // process_vm_readv(2), process_vm_writev(2): through a small buffer, piece by piece.
    private static long Transfer(in SyscallArguments a, bool isWrite)
    {
        const int mostSegments = 1024;
        if (a.A5 != 0 || a.A2 > mostSegments || a.A4 > mostSegments) return -(long)Errno.EINVAL;
        Thread thread = a.Thread;
        Process? target = thread.Namespaces.Pid.Find(a.Int(0))?.Thread?.Process;
        if (target is null) return -(long)Errno.ESRCH;
        if (!ReferenceEquals(target, thread.Process) && !ProcessAccess.MayRead(thread, target)) return -(long)Errno.EPERM;
        var local = new UserSegment[(int)a.A2];
        var remote = new UserSegment[(int)a.A4];
        Errno error = UserSegments.Read(thread.Memory, a.Address(1), local);
        if (error == Errno.None) error = UserSegments.Read(thread.Memory, a.Address(3), remote);
        if (error != Errno.None) return -(long)error;
        AddressSpace other = target.Memory;
        if (!other.TryAddUser()) return -(long)Errno.ESRCH;
        try
        {
            return Transfer(thread.Memory, other, local, remote, isWrite);
        }
        finally
        {
            other.Release();
        }
    }

    private static long Transfer(AddressSpace own, AddressSpace other, UserSegment[] local, UserSegment[] remote, bool isWrite)
    {
        Span<byte> buffer = stackalloc byte[512];
        long done = 0;
        var source = new IoSource(isWrite ? own : other, isWrite ? local : remote);
        var sink = new IoSink(isWrite ? other : own, isWrite ? remote : local);
        while (source.Remaining > 0 && sink.Remaining > 0)
        {
            int want = (int)Math.Min(buffer.Length, Math.Min(source.Remaining, sink.Remaining));
            int read = source.Read(buffer[..want]);
            int written = sink.Write(buffer[..read]);
            done += written;
            if (written < want) return done > 0 ? done : -(long)Errno.EFAULT;
            Task.YieldIfNeeded();
        }
        return done;
    }
}
