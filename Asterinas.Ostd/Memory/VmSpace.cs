using System;
using System.Threading;
using Asterinas.Ostd.Arch;

namespace Asterinas.Ostd.Memory;

/// <summary>
/// A user address space: the owner of a page-table root whose upper half is the kernel's. Changed through a <see cref="VmCursor"/>; read and written
/// with <see cref="Reader"/> and <see cref="Writer"/>.
/// <code>
///   operation                      lock
///   cursor step                    the space's gate, held with the TLB flush; frames and tables are released after it
///   copy, space active here        none: the CPU walks the tables, a fault ends the copy
///   copy, space not active         the space's gate, one page at a time
///   activate, dispose              the root's reference count (its owner and each CPU that has it active hold one)
/// </code>
/// </summary>
public sealed class VmSpace : IDisposable
{
    private SpinGate _gate;
    private readonly int _epoch = FrameTable.Epoch;
    // INVARIANT: under the gate; the root is referenced by this object while it is not disposed.
    private bool _isDisposed;
    private readonly ulong _root;

    private VmSpace(ulong root) => _root = root;

    /// <summary>Frees a space that its owner forgot.</summary>
    ~VmSpace()
    {
        if (!_isDisposed && _epoch == FrameTable.Epoch) PageTable.DropRoot(_root);
    }

    /// <summary>Whether the space was disposed.</summary>
    public bool IsDisposed => Volatile.Read(ref _isDisposed);

    /// <summary>An empty address space; null when there is no memory.</summary>
    public static VmSpace? TryCreate()
    {
        ulong root = PageTable.NewRoot();
        return root == 0 ? null : new VmSpace(root);
    }

    /// <summary>An empty address space.</summary>
    /// <exception cref="OutOfMemoryException">There is no memory.</exception>
    public static VmSpace Create() => TryCreate() ?? throw new OutOfMemoryException();

    /// <summary>A cursor over a range. The cursor locks for each step, so several may be at work.</summary>
    /// <param name="range">Whole pages of user space.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range cannot be mapped (<see cref="VirtualRange.IsMappable"/>).</exception>
    /// <exception cref="ObjectDisposedException">The space was disposed.</exception>
    public VmCursor Cursor(VirtualRange range)
    {
        if (!range.IsMappable) throw new ArgumentOutOfRangeException(nameof(range));
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        return new VmCursor(this, range);
    }

    /// <summary>Makes this CPU use the space until another one is activated. A space that is active somewhere keeps its tables, even disposed.</summary>
    /// <exception cref="ObjectDisposedException">The space was disposed.</exception>
    public void Activate()
    {
        if (IsActive) return;
        _gate.Enter();
        bool isDisposed = _isDisposed;
        if (!isDisposed) PageTable.AcquireRoot(_root);
        _gate.Exit();
        ObjectDisposedException.ThrowIf(isDisposed, this);
        Switch(_root);
        GC.KeepAlive(this);
    }

    /// <summary>Makes this CPU use no user space at all.</summary>
    public static void Deactivate() => Switch(Machine.KernelRoot());

    /// <summary>Whether this CPU uses the space.</summary>
    public bool IsActive => Machine.ActiveRoot() == _root && !IsDisposed;

    /// <summary>
    /// A reader over user memory. Any address and length will do: what is not mapped readable, or is not user memory at all, ends a copy with a short count.
    /// </summary>
    /// <param name="start">The first byte.</param>
    /// <param name="length">Bytes.</param>
    public VmReader Reader(UserAddress start, long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        return new VmReader(new MemoryWindow(this, start, (ulong)length));
    }

    /// <summary>A writer over user memory. As <see cref="Reader"/>, for memory that is mapped writable.</summary>
    /// <param name="start">The first byte.</param>
    /// <param name="length">Bytes.</param>
    public VmWriter Writer(UserAddress start, long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        return new VmWriter(new MemoryWindow(this, start, (ulong)length));
    }

    /// <summary>
    /// Atomically replaces a user word that has the expected value. False for a fault: unmapped, not writable, not aligned to 4. The exchange happened
    /// when the word found is the expected one.
    /// </summary>
    /// <param name="address">A multiple of 4.</param>
    /// <param name="expected">The value to replace.</param>
    /// <param name="value">The new value.</param>
    /// <param name="found">The value that was there.</param>
    /// <exception cref="ObjectDisposedException">The space was disposed.</exception>
    public bool CompareExchange32(UserAddress address, uint expected, uint value, out uint found)
    {
        found = 0;
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        if (!address.IsInUserSpace || (address.Value & 3) != 0) return false;
        // SAFETY: found is a local; the platform's routine answers a fault on the user word with 0. In software the gate keeps the page mapped, and
        // an aligned word lies within one page.
        unsafe
        {
            if (IsActive)
            {
                uint seen;
                bool isDone = Machine.CompareExchangeUser32(address.Value, expected, value, &seen) != 0;
                if (isDone) found = seen;
                return isDone;
            }
            _gate.Enter();
            try
            {
                ulong physical = Translate(address.Value, true);
                if (physical == 0) return false;
                found = Interlocked.CompareExchange(ref *(uint*)Machine.PhysToVirt(physical), value, expected);
                return true;
            }
            finally
            {
                _gate.Exit();
            }
        }
    }

    /// <summary>Frees the page tables and drops the references to the mapped frames, once no CPU has the space active. Further calls do nothing.</summary>
    public void Dispose()
    {
        _gate.Enter();
        bool wasDisposed = _isDisposed;
        Volatile.Write(ref _isDisposed, true);
        _gate.Exit();
        if (wasDisposed) return;
        GC.SuppressFinalize(this);
        if (_epoch != FrameTable.Epoch) return;
        if (Machine.ActiveRoot() == _root) Deactivate();
        PageTable.DropRoot(_root);
    }

    internal ulong Root => _root;

    /// <summary>Enters the gate of a space that is not disposed.</summary>
    internal void Lock()
    {
        _gate.Enter();
        if (!_isDisposed) return;
        _gate.Exit();
        throw new ObjectDisposedException(nameof(VmSpace));
    }

    internal void Unlock() => _gate.Exit();

    // SAFETY (contract): destination is valid for count bytes, at most 64 KiB. User addresses are checked here; faults end the copy.
    internal unsafe ulong CopyFromUser(byte* destination, ulong source, ulong count)
    {
        ulong reachable = Clamp(source, count);
        if (IsActive) return Machine.CopyFromUser(destination, source, (nuint)reachable);
        ulong done = 0;
        while (done < reachable)
        {
            ulong chunk = PageChunk(source + done, reachable - done);
            Lock();
            ulong physical = Translate(source + done, false);
            if (physical != 0) Buffer.MemoryCopy(Machine.PhysToVirt(physical), destination + done, chunk, chunk);
            Unlock();
            if (physical == 0) break;
            done += chunk;
        }
        return done;
    }

    // SAFETY (contract): source is valid for count bytes, at most 64 KiB. User addresses are checked here; faults end the copy.
    internal unsafe ulong CopyToUser(ulong destination, byte* source, ulong count)
    {
        ulong reachable = Clamp(destination, count);
        if (IsActive) return Machine.CopyToUser(destination, source, (nuint)reachable);
        ulong done = 0;
        while (done < reachable)
        {
            ulong chunk = PageChunk(destination + done, reachable - done);
            Lock();
            ulong physical = Translate(destination + done, true);
            if (physical != 0) Buffer.MemoryCopy(source + done, Machine.PhysToVirt(physical), chunk, chunk);
            Unlock();
            if (physical == 0) break;
            done += chunk;
        }
        return done;
    }

    internal ulong ZeroUser(ulong destination, ulong count)
    {
        ulong reachable = Clamp(destination, count);
        if (IsActive) return Machine.ZeroUser(destination, (nuint)reachable);
        ulong done = 0;
        while (done < reachable)
        {
            ulong chunk = PageChunk(destination + done, reachable - done);
            Lock();
            ulong physical = Translate(destination + done, true);
            // SAFETY: the chunk lies within one mapped page, which the gate keeps mapped.
            unsafe
            {
                if (physical != 0) new Span<byte>(Machine.PhysToVirt(physical), (int)chunk).Clear();
            }
            Unlock();
            if (physical == 0) break;
            done += chunk;
        }
        return done;
    }

    // The caller already holds a reference to the root for this CPU, or it is the kernel's, which is never freed.
    private static void Switch(ulong root)
    {
        ulong old = Machine.ActiveRoot();
        Machine.ActivateRoot(root);
        if (old != Machine.KernelRoot()) PageTable.DropRoot(old);
    }

    private ulong Translate(ulong address, bool write)
    {
        return PageTable.TranslateUser(_root, address, write);
    }

    private ulong Clamp(ulong address, ulong count)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        return address >= UserAddress.End.Value ? 0 : Math.Min(count, UserAddress.End.Value - address);
    }

    private static ulong PageChunk(ulong address, ulong count) => Math.Min(count, PageSize.Small - (address & (PageSize.Small - 1)));
}
