using System;
using System.Collections.Generic;
using Asterinas.Ostd.Arch;

namespace Asterinas.Tests.Host.Dma;

/// <summary>What a simulated unit can do.</summary>
[Flags]
internal enum VtdFeatures
{
    None = 0,
    Coherent = 1,
    Queued = 2,
    CachingMode = 4,
    WriteBuffer = 8,
    PageInvalidation = 16,
    FourLevels = 32,
}

/// <summary>
/// A VT-d unit in legacy mode (VT-d 3.2) with caches that forget only what software invalidates: contexts and translations, absent ones too in caching mode. Without coherency it
/// sees of RAM what was written back; a word that never was reads as garbage. A write buffer that was not flushed hides new context and page entries.
/// </summary>
internal sealed class SimulatedVtd : ISimulatedDevice
{
    public const ulong At = 0xFED90000;
    private const ulong Garbage = 0xDEADDEADDEADDEAD, AddressMask = 0x000FFFFFFFFFF000;
    private const int FaultRegisters = 0x220, FaultCount = 4, InvalidateRegisters = 0x100;

    private readonly VtdFeatures _features;
    private readonly byte[] _registers = new byte[0x1000];
    private readonly Dictionary<ulong, ulong> _visible = [];
    private readonly Dictionary<ushort, (ulong Low, ulong High)> _contexts = [];
    private readonly Dictionary<(int Domain, ulong Page), ulong> _translations = [];
    private ulong _root;

    public SimulatedVtd(VtdFeatures features)
    {
        _features = features;
        Set32(0x00, 0x10);
        Set64(0x08, 2 | (Has(VtdFeatures.WriteBuffer) ? 1UL << 4 : 0) | (Has(VtdFeatures.CachingMode) ? 1UL << 7 : 0) | (Has(VtdFeatures.FourLevels) ? 1UL << 10 : 1UL << 9)
            | (Has(VtdFeatures.FourLevels) ? 47UL : 38UL) << 16 | (ulong)(FaultRegisters / 16) << 24 | (Has(VtdFeatures.PageInvalidation) ? 1UL << 39 : 0) | (FaultCount - 1UL) << 40 | 9UL << 48);
        Set64(0x10, (Has(VtdFeatures.Coherent) ? 1UL : 0) | (Has(VtdFeatures.Queued) ? 2UL : 0) | (ulong)(InvalidateRegisters / 16) << 8);
        Set32(0x38, 1u << 31);
        Set32(0x64, 1);
        Machine.OnCacheFlush += OnFlush;
    }

    /// <summary>Commands are not carried out: a unit that hangs.</summary>
    public bool IsDead { get; set; }

    /// <summary>Invalidations are not carried out.</summary>
    public bool IgnoresInvalidations { get; set; }

    public bool IsTranslating => (Get32(0x1C) & 1u << 31) != 0;

    public int Invalidations { get; private set; }

    /// <summary>Called when translations are about to be forgotten.</summary>
    public Action? OnInvalidate { get; set; }

    public void SetRegister64(int offset, ulong value) => Set64(offset, value);

    /// <summary>What the firmware left: translation and interrupt remapping on, with tables of its own.</summary>
    public void LeaveOn() => Set32(0x1C, 1u << 31 | 1u << 30 | 1u << 25);

    public ulong Read(ulong offset, int width)
    {
        ulong value = 0;
        for (int i = 0; i < width; i++) value |= (ulong)_registers[(int)offset + i] << 8 * i;
        return value;
    }

    public void Write(ulong offset, int width, ulong value)
    {
        switch (offset)
        {
            case 0x18: Command((uint)value); break;
            case 0x20 or 0x90: Set64((int)offset, value); break;
            case 0x28: InvalidateContexts(value); break;
            case 0x34: Set32(0x34, Get32(0x34) & ~((uint)value & 1)); break;
            case 0x38 or 0x3C or 0x40 or 0x44 or 0x64: Set32((int)offset, (uint)value & (offset == 0x64 ? ~1u : ~0u)); break;
            case 0x88:
                Set64(0x88, value);
                RunQueue();
                break;
            case InvalidateRegisters: Set64(InvalidateRegisters, value); break;
            case InvalidateRegisters + 8: InvalidateByRegister(value); break;
            case >= FaultRegisters and < FaultRegisters + 16 * FaultCount when offset % 16 == 12:
                if ((value & 1u << 31) != 0) Set32((int)offset, Get32((int)offset) & ~(1u << 31));
                break;
        }
        UpdateFaultPending();
    }

    /// <summary>A device's request: the physical address that it reaches, or null when it was refused and reported.</summary>
    public ulong? Access(ushort sender, ulong address, bool isWrite)
    {
        if (!IsTranslating) return address;
        if (!_contexts.TryGetValue(sender, out (ulong Low, ulong High) context))
        {
            context = ReadContext(sender);
            if ((context.Low & 1) != 0 || Has(VtdFeatures.CachingMode)) _contexts[sender] = context;
        }
        if ((context.Low & 1) == 0) return Fault(sender, address, isWrite, 2);
        int domain = (int)(context.High >> 8 & 0xFFFF), levels = (int)(context.High & 7) + 2;
        if (!_translations.TryGetValue((domain, address >> 12), out ulong leaf))
        {
            leaf = Walk(context.Low & AddressMask, levels, address);
            if ((leaf & 3) != 0 || Has(VtdFeatures.CachingMode)) _translations[(domain, address >> 12)] = leaf;
        }
        return (leaf & (isWrite ? 2UL : 1UL)) == 0 ? Fault(sender, address, isWrite, (byte)(isWrite ? 5 : 6)) : (leaf & AddressMask) + (address & 0xFFF);
    }

    private ulong Walk(ulong table, int levels, ulong address)
    {
        if (address >> (12 + 9 * levels) != 0) return 0;
        for (int level = levels; ; level--)
        {
            ulong entry = Memory(table + 8 * (address >> (12 + 9 * (level - 1)) & 511));
            if (level == 1 || (entry & 3) == 0) return entry;
            table = entry & AddressMask;
        }
    }

    private (ulong, ulong) ReadContext(ushort sender)
    {
        ulong bus = Memory(_root + 16 * ((ulong)sender >> 8));
        if ((bus & 1) == 0) return (0, 0);
        ulong entry = (bus & AddressMask) + 16 * ((ulong)sender & 0xFF);
        return (Memory(entry), Memory(entry + 8));
    }

    private ulong? Fault(ushort sender, ulong address, bool isWrite, byte reason)
    {
        for (int i = 0; i < FaultCount; i++)
        {
            int record = FaultRegisters + 16 * i;
            if ((Get32(record + 12) & 1u << 31) != 0) continue;
            Set64(record, address & ~0xFFFUL);
            Set64(record + 8, sender | (ulong)reason << 32 | (isWrite ? 0UL : 1UL << 62) | 1UL << 63);
            bool wasPending = (Get32(0x34) & 3) != 0;
            UpdateFaultPending();
            if (!wasPending && (Get32(0x38) & 1u << 31) == 0) Machine.SendMessage(Get32(0x40) | (ulong)Get32(0x44) << 32, Get32(0x3C));
            return null;
        }
        Set32(0x34, Get32(0x34) | 1);
        return null;
    }

    private void UpdateFaultPending()
    {
        bool isPending = false;
        for (int i = 0; i < FaultCount; i++) isPending |= (Get32(FaultRegisters + 16 * i + 12) & 1u << 31) != 0;
        Set32(0x34, (Get32(0x34) & ~2u) | (isPending ? 2u : 0));
    }

    private void Command(uint command)
    {
        if (IsDead) return;
        uint status = Get32(0x1C);
        foreach (int bit in (ReadOnlySpan<int>)[31, 26, 25]) status = (status & ~(1u << bit)) | (command & 1u << bit);
        if ((command & 1u << 30) != 0)
        {
            _root = Get64(0x20) & AddressMask;
            status |= 1u << 30;
        }
        if ((command & 1u << 27) != 0) _hidden.Clear();
        Set32(0x1C, status);
    }

    private void RunQueue()
    {
        if ((Get32(0x1C) & 1u << 26) == 0 || IsDead) return;
        ulong queue = Get64(0x90) & AddressMask, head = Get64(0x80);
        for (; head != Get64(0x88); head = (head + 16) % 4096)
        {
            ulong low = Memory(queue + head), high = Memory(queue + head + 8);
            ulong granularity = low >> 4 & 3, domain = low >> 16 & 0xFFFF;
            switch (low & 15)
            {
                case 1: ForgetContexts(granularity, (int)domain); break;
                case 2: ForgetTranslations(granularity, (int)domain, high); break;
                case 5: Machine.WritePhysical32(high, (uint)(low >> 32)); break;
                default: throw new InvalidOperationException($"descriptor {low:x}");
            }
        }
        Set64(0x80, head);
    }

    private void InvalidateContexts(ulong command)
    {
        if ((command >> 63) == 0) return;
        if (!IsDead) ForgetContexts(command >> 61 & 3, (int)(command & 0xFFFF));
        Set64(0x28, IsDead ? command : command & ~(1UL << 63));
    }

    private void InvalidateByRegister(ulong command)
    {
        if ((command >> 63) == 0) return;
        if (!IsDead) ForgetTranslations(command >> 60 & 3, (int)(command >> 32 & 0xFFFF), Get64(InvalidateRegisters));
        Set64(InvalidateRegisters + 8, IsDead ? command : command & ~(1UL << 63));
    }

    private void ForgetContexts(ulong granularity, int domain)
    {
        if (IgnoresInvalidations) return;
        foreach (ushort sender in new List<ushort>(_contexts.Keys))
        {
            int owner = (_contexts[sender].Low & 1) == 0 ? 0 : (int)(_contexts[sender].High >> 8 & 0xFFFF);
            if (granularity == 1 || owner == domain) _contexts.Remove(sender);
        }
    }

    private void ForgetTranslations(ulong granularity, int domain, ulong block)
    {
        OnInvalidate?.Invoke();
        Invalidations++;
        if (IgnoresInvalidations) return;
        ulong first = block >> 12, count = 1UL << (int)(block & 63);
        if (granularity == 3 && (!Has(VtdFeatures.PageInvalidation) || first % count != 0)) throw new InvalidOperationException("page-selective invalidation that the unit cannot do");
        foreach ((int Domain, ulong Page) key in new List<(int, ulong)>(_translations.Keys))
        {
            if (granularity == 1 || (key.Domain == domain && (granularity == 2 || (key.Page >= first && key.Page - first < count)))) _translations.Remove(key);
        }
    }

    // With a write buffer, what the CPU changed since the last flush of it is not seen; the simulation hides words that were never flushed out of it.
    private readonly HashSet<ulong> _hidden = [];

    private ulong Memory(ulong physical)
    {
        if (_hidden.Contains(physical)) return 0;
        return Has(VtdFeatures.Coherent) ? Machine.ReadPhysical(physical) : _visible.GetValueOrDefault(physical, Garbage);
    }

    private void OnFlush(ulong physical, ulong bytes)
    {
        ulong end = (physical + bytes + 63) & ~63UL;
        for (ulong at = physical & ~63UL; at < end; at += 8)
        {
            ulong now = Machine.ReadPhysical(at);
            bool isQueue = (at & AddressMask) == (Get64(0x90) & AddressMask);
            if (Has(VtdFeatures.WriteBuffer) && !isQueue && now != _visible.GetValueOrDefault(at, Garbage) && (now & 1) != 0 && IsTranslating) _hidden.Add(at);
            _visible[at] = now;
        }
    }

    private bool Has(VtdFeatures feature) => (_features & feature) != 0;

    private uint Get32(int offset) => BitConverter.ToUInt32(_registers, offset);

    private ulong Get64(int offset) => BitConverter.ToUInt64(_registers, offset);

    private void Set32(int offset, uint value) => BitConverter.TryWriteBytes(_registers.AsSpan(offset), value);

    private void Set64(int offset, ulong value) => BitConverter.TryWriteBytes(_registers.AsSpan(offset), value);
}
