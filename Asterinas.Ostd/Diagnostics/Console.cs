using System;
using System.Text;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Interrupts;

namespace Asterinas.Ostd.Diagnostics;

/// <summary>The early console: COM1. Writing never blocks on anything but the wire.</summary>
public static class KernelConsole
{
    /// <summary>Writes bytes as they are.</summary>
    /// <param name="bytes">Any bytes; the terminal decides what they mean.</param>
    public static void Write(ReadOnlySpan<byte> bytes)
    {
        // The wire is slow and the callee leaves cooperative mode, where objects may move: the bytes go through a buffer on the stack.
        Span<byte> buffer = stackalloc byte[256];
        while (!bytes.IsEmpty)
        {
            int count = Math.Min(bytes.Length, buffer.Length);
            bytes[..count].CopyTo(buffer);
            // SAFETY: the buffer is on this stack, which does not move, and holds count bytes.
            unsafe
            {
                fixed (byte* p = buffer) Machine.ConsoleWrite(p, (nuint)count);
            }
            bytes = bytes[count..];
        }
    }

    /// <summary>Writes text as UTF-8.</summary>
    /// <param name="text">Any text.</param>
    public static void Write(ReadOnlySpan<char> text)
    {
        Span<byte> buffer = stackalloc byte[3 * 128];
        while (!text.IsEmpty)
        {
            int count = Math.Min(text.Length, 128);
            if (count < text.Length && char.IsHighSurrogate(text[count - 1])) count--;
            if (count == 0) count = 1;
            int bytes = Encoding.UTF8.GetBytes(text[..count], buffer);
            Write(buffer[..bytes]);
            text = text[count..];
        }
    }

    /// <summary>Writes text and a line feed.</summary>
    /// <param name="text">Any text.</param>
    public static void WriteLine(string text) => Write(string.Concat(text, "\n").AsSpan());

    /// <summary>A received byte, or -1 when none has come. Never blocks.</summary>
    public static int Read() => Machine.ConsoleRead();

    /// <summary>Calls a bottom half when bytes have come; it reads until <see cref="Read"/> has no more. False when there is no interrupt for it, or it is taken.</summary>
    /// <param name="onInput">Runs at safe points.</param>
    public static bool TryListen(Action onInput)
    {
        const int IsaLine = 4;
        ArgumentNullException.ThrowIfNull(onInput);
        if (IrqLine.TryAllocate() is not { } line) return false;
        line.SetBottomHalf(onInput);
        if (!line.TryRouteIsa(IsaLine))
        {
            line.Dispose();
            return false;
        }
        Machine.ConsoleEnableInput();
        return true;
    }
}
