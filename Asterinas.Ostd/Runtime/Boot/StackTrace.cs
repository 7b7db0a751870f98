using System.Runtime;

namespace Asterinas.Ostd.Runtime;

/// <summary>
/// Stack traces by frame pointers (ILC's code and the runtime archive keep them) with names from the table that the build puts into the image:
/// uint count; count pairs of uint (address minus image start, offset of the name); then zero-terminated names. Sorted by address.
/// </summary>
// SAFETY: the memory may be damaged, so every frame is looked up in the page tables before it is read and frames only go up; the symbol table is read-only
// data of the image, made by the build, and offsets in it are the build's.
internal static unsafe class StackTrace
{
    private const int MaxDepth = 48;
    private const ulong GuessWords = 24;

    public static void Print(ulong rip, ulong framePointer, ulong rsp)
    {
        Console.Write("stack trace:\n"u8);
        if (rip != 0) PrintAddress(rip);
        ulong low = framePointer;
        // A function that was interrupted before it had set up its frame, or has none, hides its caller from the chain: what looks like a return address is shown with a question mark.
        for (ulong at = rsp; at != 0 && at < rsp + GuessWords * 8 && at < framePointer && KernelMap.IsMapped(at); at += 8)
        {
            ulong offset, value = *(ulong*)at;
            if (value <= X64.Symbol(ImageSymbol.TextStart) || value >= X64.Symbol(ImageSymbol.TextEnd) || Find(value, &offset) == null || offset == 0) continue;
            Console.Write("  ?"u8);
            PrintAddress(value);
        }
        for (int depth = 0; depth < MaxDepth; depth++)
        {
            if (framePointer < low || (framePointer & 7) != 0 || !KernelMap.IsMapped(framePointer) || !KernelMap.IsMapped(framePointer + 8)) return;
            ulong* frame = (ulong*)framePointer;
            if (frame[1] == 0) return;
            PrintAddress(frame[1]);
            if (frame[0] <= framePointer) return;
            framePointer = frame[0];
        }
        Console.Write("  ... and more\n"u8);
    }

    private static void PrintAddress(ulong address)
    {
        Console.Write("  at "u8);
        ulong offset;
        byte* name = Find(address, &offset);
        if (name == null)
        {
            Console.WriteHex(address);
        }
        else
        {
            Console.WriteZ(name);
            Console.Write("+"u8);
            Console.WriteHex(offset);
        }
        Console.Write("\n"u8);
    }

    /// <summary>Name of the function that holds an address, or null; the offset inside it.</summary>
    public static byte* Find(ulong address, ulong* offset)
    {
        byte* table = (byte*)X64.Symbol(ImageSymbol.SymbolsStart);
        if (table == null || table >= (byte*)X64.Symbol(ImageSymbol.SymbolsEnd)) return null;
        ulong start = X64.Symbol(ImageSymbol.TextStart);
        if (address < start || address >= X64.Symbol(ImageSymbol.TextEnd)) return null;
        uint target = (uint)(address - start);
        uint count = *(uint*)table;
        uint* entries = (uint*)(table + 4);
        byte* names = table + 4 + 8 * (ulong)count;
        uint low = 0, high = count;
        while (low < high)
        {
            uint middle = (low + high) / 2;
            if (entries[2 * middle] <= target) low = middle + 1; else high = middle;
        }
        if (low == 0) return null;
        *offset = target - entries[2 * (low - 1)];
        return names + entries[2 * (low - 1) + 1];
    }

    /// <summary>Copies the name of the function that holds an address into a buffer; returns its length, 0 when unknown.</summary>
    [RuntimeExport("ostd_symbol_name")]
    private static int SymbolName(ulong address, byte* buffer, int capacity)
    {
        ulong offset;
        byte* name = Find(address, &offset);
        if (name == null) return 0;
        int length = 0;
        while (name[length] != 0 && length < capacity)
        {
            buffer[length] = name[length];
            length++;
        }
        return length;
    }
}
