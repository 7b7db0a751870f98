namespace Asterinas.Ostd.Arch;

/// <summary>Simulated I/O ports.</summary>
internal static partial class Machine
{
    /// <summary>The port space: tests attach devices.</summary>
    public static SimulatedBus Ports { get; } = new();

    public static byte In8(ushort port) => (byte)Ports.Read(port, 1);

    public static ushort In16(ushort port) => (ushort)Ports.Read(port, 2);

    public static uint In32(ushort port) => (uint)Ports.Read(port, 4);

    public static void Out8(ushort port, byte value) => Ports.Write(port, 1, value);

    public static void Out16(ushort port, ushort value) => Ports.Write(port, 2, value);

    public static void Out32(ushort port, uint value) => Ports.Write(port, 4, value);
}
