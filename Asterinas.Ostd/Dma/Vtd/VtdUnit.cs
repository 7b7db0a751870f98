using System;
using System.Collections.Generic;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Interrupts;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Pci;
using Asterinas.Ostd.Timers;

namespace Asterinas.Ostd.Dma.Vtd;

/// <summary>
/// A remapping unit in legacy mode (VT-d 3.2): a root table with a context table for each bus, second-level tables for each domain, queued or register-based invalidation, fault
/// recording. From <see cref="TryEnable"/> on every request of a function without a context entry is refused.
/// <code>
///   requester id --bus--> root table --device, function--> context entry --domain's root--> second-level tables --> page
/// </code>
/// LOCK ORDER: a domain's gate before its unit's.
/// </summary>
internal sealed class VtdUnit
{
    public const ulong RegisterPage = PageSize.Small;

    // Global command and status (§10.4.4, §10.4.5): one bit is changed at a time.
    private const uint TranslationBit = 1u << 31, RootTableBit = 1u << 30, WriteBufferBit = 1u << 27, QueueBit = 1u << 26, RemappingBit = 1u << 25, OneShotBits = 0x96FFFFFF;
    private const ulong BusyBit = 1UL << 63;
    private const ulong DrainReadsAndWrites = 3UL << 48;
    private const uint ProtectedEnable = 1u << 31, ProtectedStatus = 1;
    private const uint FaultOverflow = 1, FaultPending = 2, QueueErrors = 0x70;
    private const uint FaultMask = 1u << 31;
    private const ulong PatienceNs = 1000000000, FaultPauseNs = 100000000;
    private const ulong PresentBit = 1;
    private const int QueueEntries = 256, StatusIndex = 0;

    private readonly VtdRegisters _registers;
    private readonly ulong _root;
    private readonly ulong[] _contexts = new ulong[256];
    private readonly Dictionary<ushort, int> _attached = [];
    private readonly int _faultOffset, _faultCount, _iotlbOffset;
    private readonly bool _hasCachingMode, _needsWriteBufferFlush, _hasPageInvalidation;
    private readonly int _mostMask;
    private readonly ulong _queue, _status;         // 0: invalidation by registers
    private readonly RateLimit _faultBurst = new(64, FaultPauseNs);
    private Timer? _faultPause;
    private uint _sequence;
    private int _tail;
    private SpinGate _gate;
    private SpinGate _faultGate;                    // the bottom half and the timer may come on two CPUs

    private VtdUnit(DmarUnit description, VtdRegisters registers, ulong capability, ulong extended, int levels, ulong root, ulong queue, ulong status)
    {
        Description = description;
        _registers = registers;
        _root = root;
        _queue = queue;
        _status = status;
        Levels = levels;
        IsCoherent = (extended & 1) != 0;
        DomainCount = 1 << (4 + 2 * (int)(capability & 7));
        AddressBits = Math.Min(12 + 9 * levels, (int)(capability >> 16 & 63) + 1);
        _needsWriteBufferFlush = (capability & 1 << 4) != 0;
        _hasCachingMode = (capability & 1 << 7) != 0;
        _hasPageInvalidation = (capability >> 39 & 1) != 0;
        _mostMask = (int)(capability >> 48 & 63);
        _faultOffset = FaultOffset(capability);
        _faultCount = FaultCount(capability);
        _iotlbOffset = IotlbOffset(extended);
    }

    /// <summary>What the table says about it.</summary>
    public DmarUnit Description { get; }

    /// <summary>Levels of second-level tables: 3 or 4.</summary>
    public int Levels { get; }

    /// <summary>Whether its walks look into the CPU's caches.</summary>
    public bool IsCoherent { get; }

    /// <summary>Domains that it tells apart.</summary>
    public int DomainCount { get; }

    /// <summary>Bits of a device address.</summary>
    public int AddressBits { get; }

    /// <summary>Takes a unit over from the firmware and switches translation on, with nothing reachable. Null, with the reason, when it cannot be used.</summary>
    public static VtdUnit? TryEnable(DmarUnit description, out string problem)
    {
        problem = "no memory";
        VtdRegisters? registers = VtdRegisters.TryMap(description.RegisterBase, RegisterPage);
        if (registers is null) return null;
        uint version = registers.Read32(VtdRegisters.Version);
        ulong capability = registers.Read64(VtdRegisters.Capability), extended = registers.Read64(VtdRegisters.ExtendedCapability);
        int levels = (capability >> 9 & 1) != 0 ? 3 : (capability >> 10 & 1) != 0 ? 4 : 0;
        problem = version is 0 or uint.MaxValue ? "there is none" : levels == 0 ? "it has neither 39 nor 48 address bits" : "";
        if (problem.Length > 0) return null;

        problem = "no memory";
        int last = Math.Max(FaultOffset(capability) + 16 * FaultCount(capability), IotlbOffset(extended) + 16);
        if ((ulong)last > RegisterPage) registers = VtdRegisters.TryMap(description.RegisterBase, ((ulong)last + RegisterPage - 1) & ~(RegisterPage - 1));
        bool isCoherent = (extended & 1) != 0, isQueued = (extended >> 1 & 1) != 0;
        ulong root = VtdTable.TryNew(isCoherent), queue = isQueued ? VtdTable.TryNew(isCoherent) : 0, status = isQueued ? VtdTable.TryNew(isCoherent) : 0;
        if (registers is not null && root != 0 && (!isQueued || (queue != 0 && status != 0)))
        {
            var unit = new VtdUnit(description, registers, capability, extended, levels, root, queue, status);
            if (unit.TrySwitchOn())
            {
                problem = "";
                return unit;
            }
            // Tables that it may have taken stay allocated: it does not answer, so nobody knows what it does.
            problem = "it does not answer";
            return null;
        }
        foreach (ulong table in (ReadOnlySpan<ulong>)[root, queue, status])
        {
            if (table != 0) VtdTable.Free(table);
        }
        return null;
    }

    /// <summary>Lets requests of a sender into a domain. False when there is no memory for a context table.</summary>
    public bool TryAttach(ushort sender, ulong domainRoot, int domainId)
    {
        _gate.Enter();
        try
        {
            if (_attached.TryGetValue(sender, out int users))
            {
                _attached[sender] = users + 1;
                return true;
            }
            int bus = sender >> 8;
            if (_contexts[bus] == 0)
            {
                _contexts[bus] = VtdTable.TryNew(IsCoherent);
                if (_contexts[bus] == 0) return false;
                VtdTable.Write(_root, 2 * bus, _contexts[bus] | PresentBit, IsCoherent);
            }
            _attached.Add(sender, 1);
            int entry = 2 * (sender & 0xFF);
            // Address width 1 is 39 bits, 2 is 48 (§9.3). Translation type 0: untranslated requests only, so a device's own translations are refused.
            VtdTable.Write(_contexts[bus], entry + 1, (uint)(Levels - 2) | (ulong)(uint)domainId << 8, IsCoherent);
            VtdTable.Write(_contexts[bus], entry, domainRoot | PresentBit, IsCoherent);
            // A unit in caching mode remembers absent entries too, under domain 0.
            if (_hasCachingMode) InvalidateContexts(0);
            else FlushWriteBuffer();
            return true;
        }
        finally
        {
            _gate.Exit();
        }
    }

    /// <summary>Refuses a sender's requests, unless another claimed function sends under the same name.</summary>
    public void Detach(ushort sender, int domainId)
    {
        _gate.Enter();
        try
        {
            if (--_attached[sender] > 0) return;
            _attached.Remove(sender);
            VtdTable.Write(_contexts[sender >> 8], 2 * (sender & 0xFF), 0, IsCoherent);
            InvalidateContexts(domainId);
        }
        finally
        {
            _gate.Exit();
        }
    }

    /// <summary>Makes new mappings of a domain visible.</summary>
    public void AfterMap(int domainId, ulong address, int pageCount)
    {
        if (!_hasCachingMode && !_needsWriteBufferFlush) return;
        _gate.Enter();
        if (_hasCachingMode) InvalidatePages(domainId, address, pageCount);
        else FlushWriteBuffer();
        _gate.Exit();
    }

    /// <summary>Forgets removed mappings of a domain. When it has returned, no request that used them is under way.</summary>
    public void AfterUnmap(int domainId, ulong address, int pageCount)
    {
        _gate.Enter();
        InvalidatePages(domainId, address, pageCount);
        _gate.Exit();
    }

    private bool TrySwitchOn()
    {
        // Whatever the firmware used it for ends here.
        foreach (uint bit in (ReadOnlySpan<uint>)[TranslationBit, RemappingBit, QueueBit])
        {
            if ((_registers.Read32(VtdRegisters.GlobalStatus) & bit) != 0 && !Command(bit, false)) return false;
        }
        _registers.Write64(VtdRegisters.RootTable, _root);
        if (!Command(RootTableBit, true)) return false;
        if (_queue != 0)
        {
            _registers.Write64(VtdRegisters.QueueTail, 0);
            _registers.Write64(VtdRegisters.QueueAddress, _queue);
            if (!Command(QueueBit, true)) return false;
        }
        InvalidateContexts(-1);
        ListenToFaults();
        if (!Command(TranslationBit, true)) return false;
        if ((_registers.Read32(VtdRegisters.ProtectedMemory) & ProtectedStatus) != 0) _registers.Write32(VtdRegisters.ProtectedMemory, 0);
        return true;
    }

    // Sets or clears one bit of the global command and waits until the status says so. The one-shot bits of the status must not be written back (§10.4.4).
    private bool Command(uint bit, bool isOn)
    {
        uint status = _registers.Read32(VtdRegisters.GlobalStatus) & OneShotBits;
        _registers.Write32(VtdRegisters.GlobalCommand, isOn ? status | bit : status & ~bit);
        return WaitForStatus(bit, isOn);
    }

    private void FlushWriteBuffer()
    {
        if (!_needsWriteBufferFlush) return;
        uint status = _registers.Read32(VtdRegisters.GlobalStatus) & OneShotBits;
        _registers.Write32(VtdRegisters.GlobalCommand, status | WriteBufferBit);
        Require(WaitForStatus(WriteBufferBit, false));
    }

    // Contexts of a domain (all with -1), and then the translations that were made through them: in this order (§6.5.3.1).
    private void InvalidateContexts(int domainId)
    {
        bool isGlobal = domainId < 0;
        ulong granularity = isGlobal ? 1UL : 2UL, domain = isGlobal ? 0 : (ulong)domainId;
        if (_queue != 0)
        {
            Submit(0x1 | granularity << 4 | domain << 16, 0);
            Submit(0x2 | granularity << 4 | 3UL << 6 | domain << 16, 0);
            WaitForQueue();
            return;
        }
        _registers.Write64(VtdRegisters.ContextCommand, BusyBit | granularity << 61 | domain);
        Require(WaitUntilIdle(VtdRegisters.ContextCommand));
        InvalidateByRegister(granularity, domain, 0);
    }

    // The pages of a range: as one block of a power of two when the unit can, else the domain's.
    private void InvalidatePages(int domainId, ulong address, int pageCount)
    {
        int order = pageCount <= 1 ? 0 : System.Numerics.BitOperations.Log2((uint)pageCount - 1) + 1;
        bool isBlock = _hasPageInvalidation && order <= _mostMask && (address & ((ulong)PageSize.Small << order) - 1) == 0;
        ulong granularity = isBlock ? 3UL : 2UL, block = isBlock ? address | (uint)order : 0;
        if (_queue == 0)
        {
            InvalidateByRegister(granularity, (ulong)domainId, block);
            return;
        }
        Submit(0x2 | granularity << 4 | 3UL << 6 | (ulong)domainId << 16, block);
        WaitForQueue();
    }

    private void InvalidateByRegister(ulong granularity, ulong domainId, ulong block)
    {
        if (block != 0) _registers.Write64(_iotlbOffset, block);
        _registers.Write64(_iotlbOffset + 8, BusyBit | granularity << 60 | DrainReadsAndWrites | domainId << 32);
        Require(WaitUntilIdle(_iotlbOffset + 8));
    }

    // Descriptors of 16 bytes in a ring of one page; the unit fetches them up to the tail.
    private void Submit(ulong low, ulong high)
    {
        VtdTable.Write(_queue, 2 * _tail, low, IsCoherent);
        VtdTable.Write(_queue, 2 * _tail + 1, high, IsCoherent);
        _tail = (_tail + 1) % QueueEntries;
    }

    // A wait descriptor: the unit writes our number into memory when all before it is done. The ring never holds more than three.
    private void WaitForQueue()
    {
        uint number = ++_sequence;
        Submit(0x5 | 1UL << 5 | (ulong)number << 32, _status);
        _registers.Write64(VtdRegisters.QueueTail, (ulong)_tail << 4);
        ulong end = Machine.MonotonicNs() + PatienceNs;
        while ((uint)VtdTable.Read(_status, StatusIndex) != number)
        {
            Require((_registers.Read32(VtdRegisters.FaultStatus) & QueueErrors) == 0 && Machine.MonotonicNs() < end);
            Machine.Pause();
        }
    }

    private bool WaitForStatus(uint bit, bool isOn)
    {
        ulong end = Machine.MonotonicNs() + PatienceNs;
        while (((_registers.Read32(VtdRegisters.GlobalStatus) & bit) != 0) != isOn)
        {
            if (Machine.MonotonicNs() > end) return false;
            Machine.Pause();
        }
        return true;
    }

    private bool WaitUntilIdle(int register)
    {
        ulong end = Machine.MonotonicNs() + PatienceNs;
        while ((_registers.Read64(register) & BusyBit) != 0)
        {
            if (Machine.MonotonicNs() > end) return false;
            Machine.Pause();
        }
        return true;
    }

    // A unit that does not forget translations may let a device write to pages that are somebody else's by now: there is no going on.
    private void Require(bool isDone)
    {
        if (!isDone) Panic.Fail($"the IOMMU at 0x{Description.RegisterBase:x} does not finish an invalidation");
    }

    // ---- faults (§7)

    private void ListenToFaults()
    {
        _registers.Write32(VtdRegisters.FaultStatus, _registers.Read32(VtdRegisters.FaultStatus));
        if (IrqLine.TryAllocate() is not { } line)
        {
            Log.Warning("iommu: no vector is free: refused requests are not reported");
            return;
        }
        _faultPause = new Timer(OnFaults);
        line.SetBottomHalf(OnFaults);
        ulong address = Machine.MessageAddress();
        _registers.Write32(VtdRegisters.FaultData, (uint)line.Vector);
        _registers.Write32(VtdRegisters.FaultAddress, (uint)address);
        _registers.Write32(VtdRegisters.FaultUpperAddress, (uint)(address >> 32));
        _registers.Write32(VtdRegisters.FaultControl, 0);
    }

    // The bottom half. A device that keeps faulting may not keep the CPU: after a burst the interrupt stays masked for a while.
    private void OnFaults()
    {
        bool isFlood = false;
        _faultGate.Enter();
        try
        {
            for (int i = 0; i < _faultCount && !isFlood; i++)
            {
                int record = _faultOffset + 16 * i;
                ulong high = _registers.Read64(record + 8);
                if ((high >> 63) == 0) continue;
                ulong low = _registers.Read64(record);
                _registers.Write32(record + 12, 1u << 31);
                ushort sender = (ushort)high;
                var source = new PciAddress(Description.Segment, (byte)(sender >> 8), (byte)(sender >> 3 & 31), (byte)(sender & 7));
                Iommu.Report(new DmaFault(source, new DeviceAddress(low & ~(ulong)(PageSize.Small - 1)), (high >> 62 & 1) == 0, (byte)(high >> 32)));
                isFlood = !_faultBurst.TryPass(out _);
            }
            _registers.Write32(VtdRegisters.FaultStatus, FaultOverflow | FaultPending);
            _registers.Write32(VtdRegisters.FaultControl, isFlood ? FaultMask : 0);
        }
        finally
        {
            _faultGate.Exit();
        }
        if (isFlood) _faultPause!.Set(Clock.MonotonicNs + FaultPauseNs);
    }

    private static int FaultOffset(ulong capability) => 16 * (int)(capability >> 24 & 0x3FF);

    private static int FaultCount(ulong capability) => (int)(capability >> 40 & 0xFF) + 1;

    private static int IotlbOffset(ulong extended) => 16 * (int)(extended >> 8 & 0x3FF);
}
