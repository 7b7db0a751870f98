using System.Collections.Generic;
using Asterinas.Ostd.Arch;

namespace Asterinas.Tests.Host.Io;

/// <summary>A device that remembers every access and answers reads from a table; registers that nobody set read as 0.</summary>
internal sealed class SimulatedRegisterFile : ISimulatedDevice
{
    public readonly Dictionary<ulong, ulong> Registers = [];
    public readonly List<string> Accesses = [];

    public ulong Read(ulong offset, int width)
    {
        Accesses.Add($"r{width * 8} {offset:x}");
        return Registers.GetValueOrDefault(offset);
    }

    public void Write(ulong offset, int width, ulong value)
    {
        Accesses.Add($"w{width * 8} {offset:x}={value:x}");
        Registers[offset] = value;
    }
}
