using System;
using System.Collections.Generic;
using System.Text;

namespace Asterinas.Ostd.Arch;

/// <summary>The simulated console: what the kernel writes is collected, what a test types is read.</summary>
// SAFETY: a span over the caller's bytes, which stay put during the call.
internal static unsafe partial class Machine
{
    private static readonly List<byte> s_consoleOutput = [];
    private static readonly Queue<byte> s_consoleInput = [];

    public static void ConsoleWrite(byte* text, nuint length)
    {
        lock (s_consoleOutput) s_consoleOutput.AddRange(new ReadOnlySpan<byte>(text, (int)length));
    }

    public static int ConsoleRead()
    {
        lock (s_consoleInput) return s_consoleInput.TryDequeue(out byte value) ? value : -1;
    }

    /// <summary>What is typed interrupts on ISA line 4 from now on.</summary>
    public static void ConsoleEnableInput() => s_consoleInterrupts = true;

    private static bool s_consoleInterrupts;

    /// <summary>Takes what was written since the last call.</summary>
    public static string TakeConsoleOutput()
    {
        lock (s_consoleOutput)
        {
            string text = Encoding.UTF8.GetString([.. s_consoleOutput]);
            s_consoleOutput.Clear();
            return text;
        }
    }

    /// <summary>Types text.</summary>
    public static void TypeOnConsole(string text)
    {
        lock (s_consoleInput)
        {
            foreach (byte value in Encoding.UTF8.GetBytes(text)) s_consoleInput.Enqueue(value);
        }
        if (!s_consoleInterrupts) return;
        SetInterruptLine(4, true);
        SetInterruptLine(4, false);
    }
}
