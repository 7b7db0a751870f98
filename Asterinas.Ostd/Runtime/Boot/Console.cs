using System;
using System.Runtime;
using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>COM1, polled: the console that works from the first instruction on and in a panic.</summary>
// SAFETY: text is only read, for the given length or up to its zero; the number buffers hold the longest number.
internal static unsafe class Console
{
    private const ushort Port = 0x3F8;
    private const ushort LineStatus = Port + 5;
    private static int s_lock;
    private static bool s_absent;

    public static void Initialize()
    {
        X64.Out8(Port + 1, 0x00);           // no interrupts
        X64.Out8(Port + 3, 0x80);           // DLAB
        X64.Out8(Port + 0, 0x01);           // 115200
        X64.Out8(Port + 1, 0x00);
        X64.Out8(Port + 3, 0x03);           // 8N1
        X64.Out8(Port + 2, 0xC7);           // FIFO on, cleared
        X64.Out8(Port + 4, 0x0B);           // DTR, RTS, OUT2
        s_absent = X64.In8(LineStatus) == 0xFF;
    }

    [RuntimeExport("ostd_console_write")]
    public static void Write(byte* text, nuint length)
    {
        if (s_absent) return;
        Lock();
        // An empty FIFO takes 16 bytes without another look (16550A).
        const int FifoBytes = 16;
        int room = 0;
        for (nuint i = 0; i < length; i++)
        {
            if (room == 0)
            {
                while ((X64.In8(LineStatus) & 0x20) == 0) X64.Pause();
                room = FifoBytes;
            }
            X64.Out8(Port, text[i]);
            room--;
        }
        Unlock();
    }

    /// <summary>Received bytes interrupt on ISA line 4 from now on.</summary>
    [RuntimeExport("ostd_console_enable_input")]
    public static void EnableInput()
    {
        if (!s_absent) X64.Out8(Port + 1, 0x01);
    }

    /// <summary>One received byte, or -1: polled input.</summary>
    [RuntimeExport("ostd_console_read")]
    public static int Read() => !s_absent && (X64.In8(LineStatus) & 1) != 0 ? X64.In8(Port) : -1;

    public static void Write(ReadOnlySpan<byte> text) => Write(text.Pointer, (nuint)text.Length);

    public static void WriteHex(ulong value)
    {
        byte* buffer = stackalloc byte[18];
        buffer[0] = (byte)'0';
        buffer[1] = (byte)'x';
        for (int i = 0; i < 16; i++)
        {
            int digit = (int)(value >> (60 - 4 * i)) & 15;
            buffer[2 + i] = (byte)(digit < 10 ? '0' + digit : 'a' + digit - 10);
        }
        Write(buffer, 18);
    }

    public static void WriteDecimal(ulong value)
    {
        byte* buffer = stackalloc byte[20];
        int at = 20;
        do
        {
            buffer[--at] = (byte)('0' + value % 10);
            value /= 10;
        }
        while (value != 0);
        Write(buffer + at, (nuint)(20 - at));
    }

    public static void WriteZ(byte* text)
    {
        nuint length = 0;
        while (text[length] != 0) length++;
        Write(text, length);
    }

    /// <summary>A panicking CPU takes the console from whoever holds it.</summary>
    public static void Break() => Volatile.Write(ref s_lock, 0);

    private static void Lock()
    {
        while (Interlocked.CompareExchange(ref s_lock, 1, 0) != 0) X64.Pause();
    }

    private static void Unlock() => Volatile.Write(ref s_lock, 0);
}
