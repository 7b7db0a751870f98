using System.Threading;

namespace Asterinas.Ostd.Arch;

/// <summary>
/// Simulated device memory. A mapping is an address in a window that no program has mapped: it means something to the accessors below and to nobody else, so an
/// access that bypasses them faults instead of passing by the device.
/// </summary>
// SAFETY: the pointers are tokens; nothing here dereferences one.
internal static unsafe partial class Machine
{
    private const ulong IoWindow = 0xFFFF_C000_0000_0000;

    private static int s_ioMappings;

    /// <summary>The physical addresses of devices: tests attach devices.</summary>
    public static SimulatedBus DeviceMemory { get; } = new();

    /// <summary>Mappings that exist.</summary>
    public static int IoMappings => Volatile.Read(ref s_ioMappings);

    /// <summary>Lets the next <see cref="MapIo"/> answer that there is no memory.</summary>
    public static bool FailNextIoMapping { get; set; }

    public static nint MapIo(ulong physical, nuint bytes, int cacheType)
    {
        if (FailNextIoMapping)
        {
            FailNextIoMapping = false;
            return 0;
        }
        Interlocked.Increment(ref s_ioMappings);
        return (nint)(IoWindow + physical);
    }

    public static void UnmapIo(nint address, nuint bytes) => Interlocked.Decrement(ref s_ioMappings);

    public static byte IoRead8(byte* address) => (byte)DeviceMemory.Read(Physical(address), 1);

    public static ushort IoRead16(byte* address) => (ushort)DeviceMemory.Read(Physical(address), 2);

    public static uint IoRead32(byte* address) => (uint)DeviceMemory.Read(Physical(address), 4);

    public static ulong IoRead64(byte* address) => DeviceMemory.Read(Physical(address), 8);

    public static void IoWrite8(byte* address, byte value) => DeviceMemory.Write(Physical(address), 1, value);

    public static void IoWrite16(byte* address, ushort value) => DeviceMemory.Write(Physical(address), 2, value);

    public static void IoWrite32(byte* address, uint value) => DeviceMemory.Write(Physical(address), 4, value);

    public static void IoWrite64(byte* address, ulong value) => DeviceMemory.Write(Physical(address), 8, value);

    private static ulong Physical(byte* address) => (ulong)address - IoWindow;
}
