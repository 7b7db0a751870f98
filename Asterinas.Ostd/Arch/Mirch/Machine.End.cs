using System;
using System.Text;

namespace Asterinas.Ostd.Arch;

/// <summary>The simulated machine's end: a test catches it.</summary>
internal sealed class MachineEndException(string how, int status) : Exception(how)
{
    /// <summary>The status that the launcher would see.</summary>
    public int Status { get; } = status;
}

/// <summary>Panic, power off and reset become exceptions.</summary>
// SAFETY: a span over the caller's bytes, which stay put during the call.
internal static unsafe partial class Machine
{
    private const int PanicStatus = 134;

    public static void Panic(byte* message, nuint length) => throw new MachineEndException($"panic: {Encoding.UTF8.GetString(message, (int)length)}", PanicStatus);

    public static void PowerOff(int status) => throw new MachineEndException("power off", status);

    public static void Reboot() => throw new MachineEndException("reboot", 0);
}
