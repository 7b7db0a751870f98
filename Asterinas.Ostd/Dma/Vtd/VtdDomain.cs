using System;
using System.Collections.Generic;
using System.Numerics;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Pci;

namespace Asterinas.Ostd.Dma.Vtd;

/// <summary>
/// What the functions of one sender reach through a VT-d unit: second-level tables with 4 KiB pages (VT-d 3.2 §3.7) and the device addresses that lead into them. It lives as long as
/// the machine; tables stay when their pages go, since the addresses are used again.
/// </summary>
internal sealed class VtdDomain(VtdUnit unit, int id) : DmaDomain
{
    private const ulong ReadBit = 1, WriteBit = 2, AddressMask = 0x000FFFFFFFFFF000;

    private readonly DeviceAddressSpace _addresses = new(unit.AddressBits);
    private ulong _root;
    private SpinGate _gate;

    public override bool IsIsolated => true;

    internal override bool TryAttach(PciFunction function)
    {
        if (id >= unit.DomainCount) return false;
        _gate.Enter();
        if (_root == 0) _root = VtdTable.TryNew(unit.IsCoherent);
        ulong root = _root;
        _gate.Exit();
        if (root == 0) return false;
        ushort[] senders = function.RequesterIds();
        for (int i = 0; i < senders.Length; i++)
        {
            if (unit.TryAttach(senders[i], root, id)) continue;
            while (i-- > 0) unit.Detach(senders[i], id);
            return false;
        }
        return true;
    }

    internal override void Detach(PciFunction function)
    {
        foreach (ushort sender in function.RequesterIds()) unit.Detach(sender, id);
    }

    internal override DeviceAddress? Map(PhysicalAddress start, int pageCount, DmaDirection direction)
    {
        ulong rights = direction switch { DmaDirection.ToDevice => ReadBit, DmaDirection.FromDevice => WriteBit, _ => ReadBit | WriteBit };
        ulong address;
        _gate.Enter();
        try
        {
            if (_root == 0) _root = VtdTable.TryNew(unit.IsCoherent);
            address = _root == 0 ? 0 : _addresses.TryTake(pageCount);
            if (address == 0) return null;
            for (int i = 0; i < pageCount; i++)
            {
                ulong at = address + ((ulong)i << 12), table = LeafTable(at, true);
                if (table != 0)
                {
                    VtdTable.Write(table, (int)(at >> 12 & 511), (start.Value + ((ulong)i << 12)) | rights, unit.IsCoherent);
                    continue;
                }
                // Nobody knows the address yet, but a device may ask for it: what was entered is taken back like any mapping.
                Remove(address, i);
                _addresses.GiveBack(address, pageCount);
                return null;
            }
            unit.AfterMap(id, address, pageCount);
        }
        finally
        {
            _gate.Exit();
        }
        return new DeviceAddress(address);
    }

    internal override void Unmap(DeviceAddress address, int pageCount)
    {
        _gate.Enter();
        try
        {
            Remove(address.Value, pageCount);
            _addresses.GiveBack(address.Value, pageCount);
        }
        finally
        {
            _gate.Exit();
        }
    }

    private void Remove(ulong address, int pageCount)
    {
        if (pageCount == 0) return;
        for (int i = 0; i < pageCount; i++)
        {
            ulong at = address + ((ulong)i << 12);
            VtdTable.Write(LeafTable(at, false), (int)(at >> 12 & 511), 0, unit.IsCoherent);
        }
        unit.AfterUnmap(id, address, pageCount);
    }

    // The table with the entry of a 4 KiB page; 0 when it is not there and there is no memory for it.
    private ulong LeafTable(ulong address, bool create)
    {
        ulong table = _root;
        for (int level = unit.Levels; level > 1; level--)
        {
            int index = (int)(address >> (12 + 9 * (level - 1)) & 511);
            ulong entry = VtdTable.Read(table, index);
            if (entry == 0)
            {
                ulong next = create ? VtdTable.TryNew(unit.IsCoherent) : 0;
                if (next == 0) return 0;
                entry = next | ReadBit | WriteBit;
                VtdTable.Write(table, index, entry, unit.IsCoherent);
            }
            table = entry & AddressMask;
        }
        return table;
    }
}

/// <summary>
/// The device addresses of a domain, in blocks of 2^n pages that are aligned to their size. The space is far larger than memory, so blocks that were given back are kept by size and
/// not joined; low addresses come first, for devices with few address bits. Under the domain's gate.
/// </summary>
internal sealed class DeviceAddressSpace(int addressBits)
{
    // The window of message-signalled interrupts: a request there is an interrupt and never reaches memory.
    private const ulong MessagesStart = 0xFEE00000, MessagesEnd = 0xFEF00000;
    private const int Orders = 29;

    private readonly ulong _end = 1UL << addressBits;
    private readonly Stack<ulong>[] _free = NewLists();
    private ulong _next = 1 << 20;              // the first MiB is left out: address 0 is what a driver's mistake looks like

    /// <summary>A block that has room for so many pages; 0 when there is none.</summary>
    public ulong TryTake(int pageCount)
    {
        int order = Order(pageCount);
        if (order >= Orders) return 0;
        if (_free[order].TryPop(out ulong block)) return block;
        ulong bytes = (ulong)PageSize.Small << order;
        // What lies between is cut into the largest aligned blocks and kept.
        ulong start = (_next + bytes - 1) & ~(bytes - 1);
        if (start < MessagesEnd && start + bytes > MessagesStart) start = Math.Max(MessagesEnd, (MessagesEnd + bytes - 1) & ~(bytes - 1));
        if (start >= _end || bytes > _end - start) return 0;
        for (ulong at = _next; at < start;)
        {
            if (at is >= MessagesStart and < MessagesEnd)
            {
                at = MessagesEnd;
                continue;
            }
            ulong stop = at < MessagesStart && start > MessagesStart ? MessagesStart : start;
            int piece = Math.Min(BitOperations.TrailingZeroCount(at), BitOperations.Log2(stop - at)) - 12;
            piece = Math.Min(piece, Orders - 1);
            _free[piece].Push(at);
            at += (ulong)PageSize.Small << piece;
        }
        _next = start + bytes;
        return start;
    }

    /// <summary>Gives back a block for so many pages. Without memory to note it, it is lost: a mapping must end whatever happens.</summary>
    public void GiveBack(ulong block, int pageCount)
    {
        try
        {
            _free[Order(pageCount)].Push(block);
        }
        catch (OutOfMemoryException)
        {
            // Addresses are plenty.
        }
    }

    private static int Order(int pageCount) => pageCount <= 1 ? 0 : BitOperations.Log2((uint)pageCount - 1) + 1;

    private static Stack<ulong>[] NewLists()
    {
        var lists = new Stack<ulong>[Orders];
        for (int i = 0; i < Orders; i++) lists[i] = new Stack<ulong>();
        return lists;
    }
}
