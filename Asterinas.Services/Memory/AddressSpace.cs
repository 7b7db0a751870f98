using System;
using System.Threading;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Sync;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Memory;

/// <summary>
/// The memory of a process: its mappings, and the page tables that show the pages present. Shared by processes with CLONE_VM; the last user tears it down.
/// <code>
///   operation                                   lock
///   page fault, user copy that faults            for reading (one another: the page-table entry decides)
///   mmap, munmap, mprotect, mremap, brk, fork    for writing
/// </code>
/// LOCK ORDER: an inode's lock, then the address space, then a memory object's own locks. A user copy may fault, so no address-space lock is held across one.
/// </summary>
internal sealed partial class AddressSpace
{
    /// <summary>Lowest address that mmap chooses or accepts (vm.mmap_min_addr).</summary>
    public const ulong LowestAddress = 0x10000;
    /// <summary>First address beyond user space.</summary>
    public static readonly ulong EndAddress = UserAddress.End.Value;
    /// <summary>Most mappings (vm.max_map_count).</summary>
    public const int MaxMappings = 65530;
    private const ulong PageMask = PageSize.Small - 1;
    /// <summary>Bytes that stay free below a stack (stack_guard_gap: 256 pages).</summary>
    public const ulong StackGuardGap = 256 * PageSize.Small;

    private readonly RwMutex _lock = new();
    private readonly MappingList _mappings = new();
    private int _users = 1;

    private AddressSpace(VmSpace space) => Space = space;

    /// <summary>The page tables.</summary>
    public VmSpace Space { get; }

    /// <summary>Where mmap starts to look, going down: below the stack.</summary>
    public ulong MapBase { get; set; } = EndAddress - PageSize.Small;

    /// <summary>The heap (man 2 brk): start as the loader set it, and the present end. Under the lock.</summary>
    public ulong HeapStart, HeapEnd;

    /// <summary>What /proc/PID/stat, cmdline and environ show, set by the loader.</summary>
    public ulong CodeStart, CodeEnd, DataStart, DataEnd, StackStart, ArgumentsStart, ArgumentsEnd, EnvironmentStart, EnvironmentEnd;

    /// <summary>The auxiliary vector, for /proc/PID/auxv.</summary>
    public byte[] AuxiliaryVector = [];

    /// <summary>The program's file, for /proc/PID/exe.</summary>
    public OpenFile? Executable;

    /// <summary>Pages that mappings cover.</summary>
    public long TotalPages => Interlocked.Read(ref _totalPages);
    private long _totalPages;

    /// <summary>An address space without mappings. ENOMEM.</summary>
    public static Result<AddressSpace> Create() => VmSpace.TryCreate() is { } space ? new AddressSpace(space) : Errno.ENOMEM;

    /// <summary>One more process uses it.</summary>
    public void AddUser() => Interlocked.Increment(ref _users);

    /// <summary>One more user, unless the last one is gone: for those who look at another process' memory.</summary>
    public bool TryAddUser()
    {
        int users = Volatile.Read(ref _users);
        while (users > 0)
        {
            int seen = Interlocked.CompareExchange(ref _users, users + 1, users);
            if (seen == users) return true;
            users = seen;
        }
        return false;
    }

    /// <summary>Whether somebody uses it.</summary>
    public bool IsAlive => Volatile.Read(ref _users) > 0;

    /// <summary>One user less; the last one unmaps everything. Called by the user itself, which no longer runs in it.</summary>
    public void Release()
    {
        if (Interlocked.Decrement(ref _users) != 0) return;
        using (RwMutex.Guard guard = _lock.Write())
        {
            for (int i = 0; i < _mappings.Count; i++)
            {
                OnShrink(_mappings[i], _mappings[i].Length >> 12);
                Forget(_mappings[i]);
            }
            _mappings.Clear();
        }
        Space.Dispose();
        DropExecutable();
    }

    // ---- user memory

    /// <summary>Copies user memory. EFAULT when a byte cannot be read. May block.</summary>
    public Errno Read(UserAddress address, scoped Span<byte> destination)
    {
        // The common case needs no sink: all is there.
        if (Space.Reader(address, destination.Length).Read(destination) == destination.Length) return Errno.None;
        var source = new IoSource(this, address, destination.Length);
        return source.Read(destination) == destination.Length ? Errno.None : Errno.EFAULT;
    }

    /// <summary>Copies to user memory. EFAULT when a byte cannot be written; some may have been. May block.</summary>
    public Errno Write(UserAddress address, scoped ReadOnlySpan<byte> source)
    {
        if (Space.Writer(address, source.Length).Write(source) == source.Length) return Errno.None;
        var sink = new IoSink(this, address, source.Length);
        return sink.Write(source) == source.Length ? Errno.None : Errno.EFAULT;
    }

    /// <summary>Reads an integer. EFAULT. May block.</summary>
    public Errno Read<T>(UserAddress address, out T value) where T : unmanaged, System.Numerics.IBinaryInteger<T>
    {
        value = default;
        int size = value.GetByteCount();
        VmReader reader = Space.Reader(address, size);
        if (reader.TryRead(out value)) return Errno.None;
        Span<byte> bytes = stackalloc byte[16];
        if (Read(address, bytes[..size]) != Errno.None) return Errno.EFAULT;
        value = T.ReadLittleEndian(bytes[..size], !T.IsNegative(unchecked(T.Zero - T.One)));
        return Errno.None;
    }

    /// <summary>Writes an integer. EFAULT. May block.</summary>
    public Errno Write<T>(UserAddress address, T value) where T : unmanaged, System.Numerics.IBinaryInteger<T>
    {
        Span<byte> bytes = stackalloc byte[16];
        value.TryWriteLittleEndian(bytes, out int size);
        return Write(address, bytes[..size]);
    }

    /// <summary>
    /// Reads a string that ends with a zero byte. Returns its length without it. EFAULT; ENAMETOOLONG when no zero byte comes within the buffer. May block.
    /// </summary>
    public Result<int> ReadString(UserAddress address, scoped Span<byte> buffer)
    {
        int done = 0;
        while (done < buffer.Length)
        {
            ulong at = address.Value + (ulong)done;
            // To the end of the page, so that the page behind the string need not exist; and not far beyond what strings usually need.
            int chunk = (int)Math.Min((ulong)(buffer.Length - done), PageSize.Small - (at & PageMask));
            if (done == 0) chunk = Math.Min(chunk, 64);
            if (Read(new UserAddress(at), buffer.Slice(done, chunk)) != Errno.None) return Errno.EFAULT;
            int end = buffer.Slice(done, chunk).IndexOf((byte)0);
            if (end >= 0) return done + end;
            done += chunk;
        }
        return Errno.ENAMETOOLONG;
    }

    /// <summary>Makes the page at an address present for an access. False when that cannot be. May block.</summary>
    public bool TryFaultIn(ulong address, Access access) => FaultOrMakeRoom(address, access) == FaultOutcome.Resolved;

    /// <summary>As <see cref="Fault"/>; without memory, the out-of-memory killer finds some. OutOfMemory then means that the calling thread is to die. May block.</summary>
    public FaultOutcome FaultOrMakeRoom(ulong address, Access access)
    {
        while (true)
        {
            FaultOutcome outcome = Fault(address, access);
            if (outcome != FaultOutcome.OutOfMemory || Thread.Current is not { } thread || !OutOfMemoryKiller.TryMakeRoom(thread)) return outcome;
        }
    }

    // ---- page faults

    /// <summary>Resolves a page fault: makes the page present, or says why not. May block.</summary>
    public FaultOutcome Fault(ulong address, Access access)
    {
        if (address < LowestAddress || address >= EndAddress) return FaultOutcome.NotMapped;
        using (RwMutex.Guard guard = _lock.Read())
        {
            Mapping? mapping = _mappings.Find(address);
            if (mapping is not null) return Resolve(mapping, address & ~PageMask, access);
        }
        return GrowStack(address) ? Fault(address, access) : FaultOutcome.NotMapped;
    }

    private FaultOutcome Resolve(Mapping mapping, ulong page, Access access)
    {
        Protection needed = access switch { Access.Write => Protection.Write, Access.Execute => Protection.Execute, _ => Protection.Read };
        // x86-64 cannot withhold reading from what may be written or executed.
        Protection allowed = mapping.Protection;
        if (needed == Protection.Read ? allowed == Protection.None : (allowed & needed) == 0) return FaultOutcome.NotAllowed;
        VmCursor cursor = Space.Cursor(new VirtualRange(new UserAddress(page), PageSize.Small));
        if (mapping.Object is null) return ResolveAnonymous(ref cursor, mapping, access);
        return ResolveObject(ref cursor, mapping, page, access);
    }

    private FaultOutcome ResolveAnonymous(ref VmCursor cursor, Mapping mapping, Access access)
    {
        PageProperty property = PropertyOf(mapping.Protection);
        MapStatus status = cursor.MapNew(property);
        if (status == MapStatus.Mapped) return Arrived();
        if (status == MapStatus.OutOfMemory) return FaultOutcome.OutOfMemory;
        return access == Access.Write ? MakePrivate(ref cursor, property) : FaultOutcome.Resolved;
    }

    private FaultOutcome ResolveObject(ref VmCursor cursor, Mapping mapping, ulong page, Access access)
    {
        PageProperty full = PropertyOf(mapping.Protection);
        PageProperty readOnly = new(full.Access & ~PageAccess.Write);
        if (cursor.Query() is { } present)
        {
            if (access != Access.Write || (present.Property.Access & PageAccess.Write) != 0) return FaultOutcome.Resolved;
            if (!mapping.IsShared) return MakePrivate(ref cursor, full);
        }
        Result<Frame> found = mapping.Object!.GetPage(mapping.PageAt(page), mapping.IsShared ? access : Access.Read);
        if (!found.IsOk) return found.Error == Errno.ENOMEM ? FaultOutcome.OutOfMemory : FaultOutcome.BusError;
        using Frame frame = found.Value;
        if (!mapping.IsShared && access == Access.Write)
        {
            MapStatus copied = cursor.MapCopy(frame, full);
            if (copied != MapStatus.AlreadyMapped) return copied == MapStatus.Mapped ? Arrived() : FaultOutcome.OutOfMemory;
            return MakePrivate(ref cursor, full);
        }
        // A shared page that was only read stays read-only, so that the first write says so to the object.
        PageProperty property = mapping.IsShared && access == Access.Write ? full : readOnly;
        MapStatus status = cursor.Map(frame, property);
        if (status == MapStatus.Mapped) return Arrived();
        if (status == MapStatus.AlreadyMapped && mapping.IsShared && access == Access.Write) status = cursor.Protect(PageSize.Small, full);
        return status == MapStatus.OutOfMemory ? FaultOutcome.OutOfMemory : FaultOutcome.Resolved;
    }

    private FaultOutcome Arrived()
    {
        Interlocked.Increment(ref _residentPages);
        return FaultOutcome.Resolved;
    }

    private static FaultOutcome MakePrivate(ref VmCursor cursor, PageProperty property) => cursor.MakePrivate(property) switch
    {
        PrivateStatus.OutOfMemory => FaultOutcome.OutOfMemory,
        _ => FaultOutcome.Resolved,          // one that vanished meanwhile faults again
    };

    private bool GrowStack(ulong address)
    {
        using RwMutex.Guard guard = _lock.Write();
        int index = _mappings.IndexAtOrAbove(address);
        if (index == _mappings.Count) return false;
        Mapping mapping = _mappings[index];
        if (mapping.Start <= address) return true;      // somebody else was faster
        ulong start = address & ~PageMask;
        if (!mapping.GrowsDown || mapping.End - start > StackLimit) return false;
        ulong below = index == 0 ? 0 : _mappings[index - 1].End;
        // Nothing may come nearer than the gap, except another stack's own memory or a part without access.
        if (index > 0 && _mappings[index - 1].Protection != Protection.None && start < below + StackGuardGap && !_mappings[index - 1].GrowsDown) return false;
        if (start < below || start < LowestAddress) return false;
        ulong pages = (mapping.Start - start) >> 12;
        if (!TryGrow(pages, mapping)) return false;
        mapping.ObjectPage -= mapping.Object is null ? 0 : pages;
        mapping.Start = start;
        return true;
    }

    /// <summary>Page-table property of a protection that allows something.</summary>
    private static PageProperty PropertyOf(Protection protection)
    {
        PageAccess access = PageAccess.Read;
        if ((protection & Protection.Write) != 0) access |= PageAccess.Write;
        if ((protection & Protection.Execute) != 0) access |= PageAccess.Execute;
        return new PageProperty(access);
    }

    // The mapping leaves the space: what it kept alive is let go.
    private static void Forget(Mapping mapping)
    {
        mapping.Object?.RemoveMapping(mapping);
        mapping.File?.Release();
    }
}
