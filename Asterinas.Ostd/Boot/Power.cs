using System;
using System.Diagnostics.CodeAnalysis;
using Asterinas.Ostd.Arch;

namespace Asterinas.Ostd.Boot;

/// <summary>The end of the machine.</summary>
public static class Power
{
    /// <summary>Powers off through ACPI (S5). Does not return.</summary>
    /// <param name="status">0 to 255; reaches the launcher whole when the machine runs under it.</param>
    /// <exception cref="ArgumentOutOfRangeException">The status is outside 0 to 255.</exception>
    [DoesNotReturn]
    public static void Off(int status)
    {
        if (status is < 0 or > 255) throw new ArgumentOutOfRangeException(nameof(status));
        Machine.PowerOff(status);
        throw new InvalidOperationException("power off returned");
    }

    /// <summary>Resets the machine: ACPI reset register, then the chipset's port, then the keyboard controller. Does not return.</summary>
    [DoesNotReturn]
    public static void Reboot()
    {
        Machine.Reboot();
        throw new InvalidOperationException("reboot returned");
    }
}
