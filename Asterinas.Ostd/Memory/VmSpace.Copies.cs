using System;
using System.Numerics;
using System.Threading;
using Asterinas.Ostd.Arch;

namespace Asterinas.Ostd.Memory;

/// <summary>How a read of a string from user memory ended.</summary>
public enum UserStringStatus
{
    /// <summary>The string and its end were read.</summary>
    Complete,
    /// <summary>The buffer is full and there was no end yet.</summary>
    TooLong,
    /// <summary>The byte behind those that were read cannot be read, at the moment.</summary>
    Faulted,
}

/// <summary>
/// Reading and writing user memory. Where the space is active on this CPU, the CPU's own walk does it and a fault ends it; otherwise the tables are walked here, a page at a time.
/// </summary>
public sealed partial class VmSpace
{
    /// <summary>Reads a little-endian integer at any address, aligned or not. False for a fault. The bytes of an unaligned or 16-byte one are read one after the other.</summary>
    /// <param name="address">The first byte.</param>
    /// <param name="value">The integer; 0 on failure.</param>
    /// <typeparam name="T">An integer type.</typeparam>
    /// <exception cref="ObjectDisposedException">The space was disposed.</exception>
    public bool TryRead<T>(UserAddress address, out T value) where T : unmanaged, IBinaryInteger<T>
    {
        value = default;
        // SAFETY: the types are the primitive integers, for which every bit pattern is a value and memory is little-endian; the copy is of the local's size.
        unsafe
        {
            if (MemoryWindow.IsPrimitive<T>())
            {
                T found;
                if (CopyFromUser((byte*)&found, address.Value, (ulong)sizeof(T)) != (ulong)sizeof(T)) return false;
                value = found;
                return true;
            }
        }
        return Reader(address, value.GetByteCount()).TryRead(out value);
    }

    /// <summary>Writes a little-endian integer at any address. False for a fault; some bytes may have been written then.</summary>
    /// <param name="address">The first byte.</param>
    /// <param name="value">The integer.</param>
    /// <typeparam name="T">An integer type.</typeparam>
    /// <exception cref="ObjectDisposedException">The space was disposed.</exception>
    public bool TryWrite<T>(UserAddress address, T value) where T : unmanaged, IBinaryInteger<T>
    {
        // SAFETY: as for TryRead.
        unsafe
        {
            if (MemoryWindow.IsPrimitive<T>()) return CopyToUser(address.Value, (byte*)&value, (ulong)sizeof(T)) == (ulong)sizeof(T);
        }
        return Writer(address, value.GetByteCount()).TryWrite(value);
    }

    /// <summary>
    /// Reads bytes up to a zero, which is not counted. After <see cref="UserStringStatus.Faulted"/> the caller can resolve the fault of the byte at address + length and go on
    /// from there with the rest of the buffer.
    /// </summary>
    /// <param name="address">The first byte.</param>
    /// <param name="buffer">Receives the bytes, and the zero where there is room.</param>
    /// <param name="length">Bytes read, without the zero.</param>
    /// <exception cref="ObjectDisposedException">The space was disposed.</exception>
    public UserStringStatus ReadCString(UserAddress address, scoped Span<byte> buffer, out int length)
    {
        const ulong faulted = 1UL << 63;
        length = 0;
        while (length < buffer.Length)
        {
            // In pieces, since a copy in cooperative mode delays a collection.
            int piece = Math.Min(buffer.Length - length, 4096);
            ulong at = address.Value + (ulong)length;
            ulong result;
            // SAFETY: the buffer is pinned for the call, and the piece lies inside; faults on the user's side end the copy.
            unsafe
            {
                fixed (byte* to = buffer[length..]) result = at < address.Value ? faulted : CopyUserString(to, at, (ulong)piece);
            }
            int done = (int)(result & ~faulted);
            if (done > 0 && buffer[length + done - 1] == 0)
            {
                length += done - 1;
                return UserStringStatus.Complete;
            }
            length += done;
            if ((result & faulted) != 0) return UserStringStatus.Faulted;
        }
        return UserStringStatus.TooLong;
    }

    /// <summary>Reads an aligned user word in one piece. False for a fault or an address that is not a multiple of 4.</summary>
    /// <param name="address">A multiple of 4.</param>
    /// <param name="value">The word; 0 on failure.</param>
    /// <exception cref="ObjectDisposedException">The space was disposed.</exception>
    public bool TryLoad32(UserAddress address, out uint value)
    {
        value = 0;
        if (!IsWord(address)) return false;
        // SAFETY: value is written through a local; the platform's routine answers a fault on the user word with 0. In software the gate keeps the page mapped, and
        // an aligned word lies within one page.
        unsafe
        {
            if (IsActive)
            {
                uint found;
                bool isDone = Machine.LoadUser32(address.Value, &found) != 0;
                if (isDone) value = found;
                return isDone;
            }
            Lock();
            ulong physical = Translate(address.Value, false);
            if (physical != 0) value = Volatile.Read(ref *(uint*)Machine.PhysToVirt(physical));
            Unlock();
            return physical != 0;
        }
    }

    /// <summary>Changes an aligned user word atomically. False for a fault: unmapped, not writable, not aligned to 4.</summary>
    /// <param name="address">A multiple of 4.</param>
    /// <param name="operation">What happens to it.</param>
    /// <param name="operand">With what.</param>
    /// <param name="old">The word before; 0 on failure.</param>
    /// <exception cref="ArgumentOutOfRangeException">No such operation.</exception>
    /// <exception cref="ObjectDisposedException">The space was disposed.</exception>
    public bool TryUpdate32(UserAddress address, UserWordOperation operation, uint operand, out uint old)
    {
        old = 0;
        if (operation is < UserWordOperation.Set or > UserWordOperation.Xor) throw new ArgumentOutOfRangeException(nameof(operation));
        if (!IsWord(address)) return false;
        // SAFETY: as for TryLoad32.
        unsafe
        {
            if (IsActive)
            {
                uint found;
                bool isDone = Machine.UpdateUser32(address.Value, (int)operation, operand, &found) != 0;
                if (isDone) old = found;
                return isDone;
            }
            Lock();
            ulong physical = Translate(address.Value, true);
            if (physical != 0) old = UserWord.Update(ref *(uint*)Machine.PhysToVirt(physical), operation, operand);
            Unlock();
            return physical != 0;
        }
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
        if (!IsWord(address)) return false;
        // SAFETY: as for TryLoad32.
        unsafe
        {
            if (IsActive)
            {
                uint seen;
                bool isDone = Machine.CompareExchangeUser32(address.Value, expected, value, &seen) != 0;
                if (isDone) found = seen;
                return isDone;
            }
            Lock();
            ulong physical = Translate(address.Value, true);
            if (physical != 0) found = Interlocked.CompareExchange(ref *(uint*)Machine.PhysToVirt(physical), value, expected);
            Unlock();
            return physical != 0;
        }
    }

    // SAFETY (contract): destination is valid for count bytes, at most 64 KiB. User addresses are checked here; faults end the copy.
    internal unsafe ulong CopyFromUser(byte* destination, ulong source, ulong count)
    {
        ulong reachable = Clamp(source, count);
        if (IsActive) return Machine.CopyFromUser(destination, source, (nuint)reachable);
        ObjectDisposedException.ThrowIf(IsDisposed, this);
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
        ObjectDisposedException.ThrowIf(IsDisposed, this);
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
        ObjectDisposedException.ThrowIf(IsDisposed, this);
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

    // SAFETY (contract): destination is valid for room bytes, at most 64 KiB. As the platform's routine: bytes done, with the top bit when the next one cannot be read.
    private unsafe ulong CopyUserString(byte* destination, ulong source, ulong room)
    {
        const ulong faulted = 1UL << 63;
        if (IsActive) return Machine.CopyUserString(destination, source, (nuint)room);
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        ulong done = 0;
        while (done < room)
        {
            ulong chunk = Math.Min(PageChunk(source + done, room - done), Clamp(source + done, room - done));
            if (chunk == 0) return done | faulted;
            Lock();
            ulong physical = Translate(source + done, false);
            int end = -1;
            if (physical != 0)
            {
                var page = new ReadOnlySpan<byte>(Machine.PhysToVirt(physical), (int)chunk);
                // Another CPU may write to the page meanwhile: the end is looked for in the copy.
                page.CopyTo(new Span<byte>(destination + done, (int)chunk));
                end = new ReadOnlySpan<byte>(destination + done, (int)chunk).IndexOf((byte)0);
            }
            Unlock();
            if (physical == 0) return done | faulted;
            if (end >= 0) return done + (ulong)end + 1;
            done += chunk;
        }
        return done;
    }

    private ulong Translate(ulong address, bool write) => PageTable.TranslateUser(_root, address, write);

    private bool IsWord(UserAddress address)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        return address.IsInUserSpace && (address.Value & 3) == 0;
    }

    private static ulong Clamp(ulong address, ulong count) => address >= Machine.UserEnd ? 0 : Math.Min(count, Machine.UserEnd - address);

    private static ulong PageChunk(ulong address, ulong count) => Math.Min(count, PageSize.Small - (address & (PageSize.Small - 1)));
}
