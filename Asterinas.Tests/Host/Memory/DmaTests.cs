using System;
using System.Collections.Generic;
using Asterinas.Ostd.Dma;
using Asterinas.Ostd.Memory;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Memory;

public sealed class DmaTests : MemoryFixture
{
    private sealed class Isolated : DmaDomain
    {
        public readonly Dictionary<ulong, (ulong Physical, int Pages, DmaDirection Direction)> Live = [];
        public bool IsFull;

        /// <summary>What was wrong: noted, because a finalizer that throws ends the process.</summary>
        public string Problem = "";

        private ulong _next = 0x1000_0000;

        public override bool IsIsolated => true;

        internal override DeviceAddress? Map(PhysicalAddress start, int pageCount, DmaDirection direction)
        {
            if (IsFull) return null;
            Live.Add(_next, (start.Value, pageCount, direction));
            ulong address = _next;
            _next += (ulong)pageCount << 12;
            return new DeviceAddress(address);
        }

        internal override void Unmap(DeviceAddress address, int pageCount)
        {
            (ulong physical, int pages, _) = Live[address.Value];
            if (pages != pageCount) Problem += $"{pageCount} of {pages} pages unmapped. ";
            if (FrameTable.StateOf(physical >> 12) != Asterinas.Ostd.Runtime.FrameState.Untyped) Problem += "The frames were freed before the device lost access. ";
            Live.Remove(address.Value);
        }
    }

    [Test]
    public void Coherent_memory_is_zeroed_and_word_accesses_are_checked()
    {
        using (DmaCoherent ring = DmaCoherent.TryAllocate(DmaDomain.Physical, 2)!)
        {
            Assert.That(ring.ReadUInt64(8184), Is.Zero);
            ring.WriteUInt64(8, 0x1122334455667788);
            ring.WriteUInt16(16, 0xABCD);
            Assert.That((ring.ReadUInt32(8), ring.ReadUInt32(12), ring.ReadUInt16(16)), Is.EqualTo((0x55667788u, 0x11223344u, (ushort)0xABCD)));
            Assert.That(() => ring.ReadUInt32(8190), Throws.TypeOf<ArgumentOutOfRangeException>());
            Assert.That(() => ring.ReadUInt32(2), Throws.TypeOf<ArgumentOutOfRangeException>());
            Assert.That(() => ring.WriteUInt32(-4, 0), Throws.TypeOf<ArgumentOutOfRangeException>());
            Assert.That(ring.Reader(8, 8).TryRead(out ulong value), Is.True);
            Assert.That(value, Is.EqualTo(0x1122334455667788UL));
            ring.Dispose();
            Assert.That(() => ring.ReadUInt32(0), Throws.TypeOf<ObjectDisposedException>());
            Assert.That(() => ring.Address, Throws.TypeOf<ObjectDisposedException>());
            Assert.That(() => { ring.Reader(0, 1); }, Throws.TypeOf<ObjectDisposedException>());
        }
        Assert.That(Leaked, Is.Zero);
    }

    [Test]
    public void Device_loses_access_before_the_frames_are_freed()
    {
        var iommu = new Isolated();
        Segment segment = Segment.Allocate(3);
        DmaStream stream = DmaStream.TryMap(iommu, segment, DmaDirection.FromDevice)!;
        Assert.That(iommu.Live[stream.Address.Value], Is.EqualTo((segment.Start.Value, 3, DmaDirection.FromDevice)));
        segment.Dispose();
        Assert.That(Leaked, Is.EqualTo(3), "the stream holds references of its own");
        stream.SyncForDevice(0, 4096);
        stream.SyncForCpu(4096, 8192);
        Assert.That(() => stream.SyncForCpu(4097, 8192), Throws.TypeOf<ArgumentOutOfRangeException>());
        stream.Dispose();
        stream.Dispose();
        Assert.That((iommu.Live.Count, iommu.Problem), Is.EqualTo((0, "")));
        Assert.That(Leaked, Is.Zero);
        Assert.That(() => stream.SyncForCpu(0, 1), Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public void Full_iommu_is_null_and_leaks_nothing()
    {
        var iommu = new Isolated { IsFull = true };
        Assert.That(DmaCoherent.TryAllocate(iommu, 1), Is.Null);
        using (Segment segment = Segment.Allocate(1)) Assert.That(DmaStream.TryMap(iommu, segment, DmaDirection.ToDevice), Is.Null);
        Assert.That(Leaked, Is.Zero);
    }

    [Test]
    public void Forgotten_mapping_is_ended_by_its_finalizer()
    {
        var iommu = new Isolated();
        Forget(iommu);
        for (int i = 0; i < 10 && iommu.Live.Count > 0; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        Assert.That((Leaked, iommu.Live.Count, iommu.Problem), Is.EqualTo((0L, 0, "")));

        [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
        static void Forget(DmaDomain domain) => DmaCoherent.TryAllocate(domain, 1);
    }
}
