namespace Asterinas.Ostd.Arch;

/// <summary>A device of the simulated machine: registers behind ports or in device memory. Every access of a driver is one call.</summary>
internal interface ISimulatedDevice
{
    /// <summary>A load.</summary>
    /// <param name="offset">Bytes from the start of the attached range.</param>
    /// <param name="width">1, 2, 4 or 8 bytes.</param>
    ulong Read(ulong offset, int width);

    /// <summary>A store.</summary>
    /// <param name="offset">Bytes from the start of the attached range.</param>
    /// <param name="width">1, 2, 4 or 8 bytes.</param>
    /// <param name="value">The value, in its low bytes.</param>
    void Write(ulong offset, int width, ulong value);
}

/// <summary>An address space with devices: ports, or physical addresses. Where there is no device, reads give all ones and writes are lost, as on a PC.</summary>
internal sealed class SimulatedBus
{
    private readonly System.Threading.Lock _lock = new();
    private (ulong Start, ulong Length, ISimulatedDevice Device)[] _devices = [];

    /// <summary>Plugs a device in.</summary>
    /// <exception cref="System.InvalidOperationException">The range overlaps another device's.</exception>
    public void Attach(ulong start, ulong length, ISimulatedDevice device)
    {
        lock (_lock)
        {
            foreach ((ulong low, ulong bytes, _) in _devices)
            {
                if (start < low + bytes && low < start + length) throw new System.InvalidOperationException("two devices at one address");
            }
            _devices = [.. _devices, (start, length, device)];
        }
    }

    /// <summary>Unplugs a device from wherever it was.</summary>
    public void Detach(ISimulatedDevice device)
    {
        lock (_lock) _devices = System.Array.FindAll(_devices, entry => entry.Device != device);
    }

    public ulong Read(ulong address, int width)
    {
        foreach ((ulong start, ulong length, ISimulatedDevice device) in _devices)
        {
            if (address >= start && address - start < length) return device.Read(address - start, width);
        }
        return ulong.MaxValue;
    }

    public void Write(ulong address, int width, ulong value)
    {
        foreach ((ulong start, ulong length, ISimulatedDevice device) in _devices)
        {
            if (address < start || address - start >= length) continue;
            device.Write(address - start, width, value);
            return;
        }
    }
}
