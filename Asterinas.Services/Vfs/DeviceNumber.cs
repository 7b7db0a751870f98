namespace Asterinas.Services.Vfs;

/// <summary>Number of a device (man 3 makedev).</summary>
/// <param name="Major">The driver: 12 bits.</param>
/// <param name="Minor">The device: 20 bits.</param>
internal readonly record struct DeviceNumber(uint Major, uint Minor)
{
    /// <summary>As in struct stat and mknod(2) of the x86-64 ABI.</summary>
    public ulong Encoded => (Minor & 0xFF) | (ulong)(Major & 0xFFF) << 8 | (ulong)(Minor & ~0xFFU) << 12 | (ulong)(Major & ~0xFFFU) << 32;

    /// <summary>From the form of the ABI.</summary>
    public static DeviceNumber Decode(ulong encoded) =>
        new((uint)(encoded >> 8 & 0xFFF) | (uint)(encoded >> 32 & ~0xFFFUL), (uint)(encoded & 0xFF) | (uint)(encoded >> 12 & ~0xFFUL));
}
