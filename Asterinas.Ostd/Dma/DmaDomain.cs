using System;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Pci;

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
/// What one device reaches (<see cref="PciDevice.Dma"/>). Behind an IOMMU that is what <see cref="DmaCoherent"/> and <see cref="DmaStream"/> map in its domain, and nothing else;
/// functions that the hardware cannot tell apart, behind a conventional PCI bridge, share one. Without an IOMMU device addresses are physical, and devices reach all memory whatever
/// is mapped: then the kernel has to trust its devices, and a driver must stop its device before it disposes of the memory.
/// </summary>
public abstract class DmaDomain
{
    private sealed class Identity : DmaDomain
    {
        public override bool IsIsolated => false;

        internal override DeviceAddress? Map(PhysicalAddress start, int pageCount, DmaDirection direction) => new DeviceAddress(start.Value);

        internal override void Unmap(DeviceAddress address, int pageCount)
        {
            // Nothing to undo: the device was never kept out.
        }
    }

    private protected DmaDomain()
    {
    }

    /// <summary>Whether an IOMMU keeps the device to its mappings.</summary>
    public abstract bool IsIsolated { get; }

    /// <summary>The domain of devices without an IOMMU.</summary>
    internal static DmaDomain Physical { get; } = new Identity();

    /// <summary>Makes contiguous pages reachable, with no more rights than the direction says; null when there is no room or memory.</summary>
    internal abstract DeviceAddress? Map(PhysicalAddress start, int pageCount, DmaDirection direction);

    /// <summary>Ends what one call of <see cref="Map"/> answered. When it has returned, no access to the pages is under way or possible.</summary>
    internal abstract void Unmap(DeviceAddress address, int pageCount);

    /// <summary>Lets a function's requests into the domain. False without memory.</summary>
    internal virtual bool TryAttach(PciFunction function) => true;

    /// <summary>Refuses the function's requests from now on.</summary>
    internal virtual void Detach(PciFunction function)
    {
    }
}
