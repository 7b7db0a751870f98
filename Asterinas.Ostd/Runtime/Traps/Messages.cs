using System.Runtime;

namespace Asterinas.Ostd.Runtime;

/// <summary>Message-signalled interrupts (SDM vol. 3 §11.11): a device's write to this address, with a vector as the data, is an interrupt.</summary>
// SAFETY: reads this CPU's own area; the physical APIC id was read from the APIC itself.
internal static unsafe class Messages
{
    private const ulong Window = 0xFEE00000;

    /// <summary>The address of the calling CPU: physical destination, fixed delivery, no redirection.</summary>
    [RuntimeExport("ostd_message_address")]
    private static ulong Address() => Window | (ulong)X64.PerCpu()->ApicId << 12;
}
