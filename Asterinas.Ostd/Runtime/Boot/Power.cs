using System;
using System.Runtime;
using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>Power off and reset through ACPI, and the exit status for the launcher (ASCII "exit N\n" on the debug console at port 0xF4).</summary>
internal static class Power
{
    private const ushort StatusPort = 0xF4;
    private const byte DebugConsolePresent = 0xE9;      // what QEMU's isa-debugcon answers to a read

    private static int s_isEnding;
    private static ushort s_pm1aControl, s_pm1bControl;
    private static ushort s_sleepTypeA, s_sleepTypeB;
    private static bool s_hasSleepType;
    private static byte s_resetSpace, s_resetValue;
    private static ulong s_resetAddress;

    public static void SetSleep(ushort pm1aControl, ushort pm1bControl, ushort typeA, ushort typeB)
    {
        s_pm1aControl = pm1aControl;
        s_pm1bControl = pm1bControl;
        s_sleepTypeA = typeA;
        s_sleepTypeB = typeB;
        s_hasSleepType = true;
    }

    public static void SetReset(byte space, ulong address, byte value)
    {
        s_resetSpace = space;
        s_resetAddress = address;
        s_resetValue = value;
    }

    /// <summary>Ends the machine. <paramref name="status"/> (0 to 255) reaches the launcher where there is one.</summary>
    [RuntimeExport("ostd_power_off")]
    public static void Off(int status)
    {
        X64.DisableInterrupts();
        if (Interlocked.Exchange(ref s_isEnding, 1) != 0) X64.Stop();       // another CPU was first: one status
        ReportStatus(status & 0xFF);
        if (s_hasSleepType)
        {
            // SLP_EN is bit 13, SLP_TYP bits 10 to 12 (ACPI 6.5 §4.8.3.2.1).
            X64.Out16(s_pm1aControl, (ushort)((s_sleepTypeA << 10) | 0x2000));
            if (s_pm1bControl != 0) X64.Out16(s_pm1bControl, (ushort)((s_sleepTypeB << 10) | 0x2000));
        }
        else
        {
            X64.Out16(0x604, 0x2000);       // before ACPI is known: the fixed port of QEMU's machines
        }
        for (int i = 0; i < 100000000; i++) X64.Pause();        // the chipset takes its time
        Console.Break();
        Console.Write("power off failed: halted\n"u8);
        X64.Stop();
    }

    [RuntimeExport("ostd_reboot")]
    public static void Reboot()
    {
        X64.DisableInterrupts();
        if (s_resetAddress != 0 && s_resetSpace == 1) X64.Out8((ushort)s_resetAddress, s_resetValue);
        X64.Out8(0xCF9, 0x02);
        X64.Out8(0xCF9, 0x06);
        for (int i = 0; i < 1000000; i++) X64.Pause();
        X64.Out8(0x64, 0xFE);               // keyboard controller pulses the reset line
        Console.Break();
        Console.Write("reboot failed: halted\n"u8);
        X64.Stop();
    }

    private static void ReportStatus(int status)
    {
        if (X64.In8(StatusPort) != DebugConsolePresent) return;
        Put('e'); Put('x'); Put('i'); Put('t'); Put(' ');
        if (status >= 100) Put((char)('0' + status / 100));
        if (status >= 10) Put((char)('0' + status / 10 % 10));
        Put((char)('0' + status % 10));
        Put('\n');
    }

    private static void Put(char value) => X64.Out8(StatusPort, (byte)value);
}
