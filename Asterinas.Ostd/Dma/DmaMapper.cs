using System;
using System.Threading;
using Asterinas.Ostd.Memory;

namespace Asterinas.Ostd.Dma;

/// <summary>An address as a device puts it on the bus: physical without an IOMMU, translated with one.</summary>
/// <param name="Value">The address.</param>
public readonly record struct DeviceAddress(ulong Value)
{
    /// <summary>The address so many bytes further.</summary>
    /// <exception cref="OverflowException">The sum does not fit.</exception>
    public static DeviceAddress operator +(DeviceAddress address, ulong bytes) => new(checked(address.Value + bytes));

    /// <inheritdoc/>
    public override string ToString() => $"0x{Value:x}";
}

/// <summary>Who writes the memory of a DMA mapping.</summary>
public enum DmaDirection
{
    /// <summary>The CPU writes, the device reads.</summary>
    ToDevice,
    /// <summary>The device writes, the CPU reads.</summary>
    FromDevice,
    /// <summary>Both write.</summary>
    Bidirectional,
}

/// <summary>
/// The seam to an IOMMU. Contract: after <see cref="Map"/> devices reach exactly these pages at the answered address, with no more rights than the
/// direction says; after <see cref="Unmap"/> has returned, no device access to them is under way or possible. Thread-safe.
/// </summary>
internal interface IDmaMapper
{
    /// <summary>Makes contiguous pages reachable; null when there is no room or memory.</summary>
    DeviceAddress? Map(PhysicalAddress start, int pageCount, DmaDirection direction);

    /// <summary>Ends what one call of <see cref="Map"/> answered.</summary>
    void Unmap(DeviceAddress address, int pageCount);
}

/// <summary>
/// Where device addresses come from. Without an IOMMU they are physical, and devices reach all memory whatever is mapped: then the kernel has to trust
/// its devices, and a driver must stop its device before it disposes of the memory.
/// </summary>
internal static class DmaMapping
{
    private sealed class Identity : IDmaMapper
    {
        public DeviceAddress? Map(PhysicalAddress start, int pageCount, DmaDirection direction) => new DeviceAddress(start.Value);

        public void Unmap(DeviceAddress address, int pageCount)
        {
            // Nothing to undo: the device was never kept out.
        }
    }

    private static IDmaMapper s_mapper = new Identity();

    /// <summary>The mapper of new mappings. Existing ones keep theirs.</summary>
    public static IDmaMapper Current
    {
        get => Volatile.Read(ref s_mapper);
        set => Volatile.Write(ref s_mapper, value);
    }

    /// <summary>Back to no IOMMU, for tests.</summary>
    public static void Reset() => Current = new Identity();
}
