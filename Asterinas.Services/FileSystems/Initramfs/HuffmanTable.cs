using System;

namespace Asterinas.Services.FileSystems.Initramfs;

/// <summary>
/// A canonical Huffman code of DEFLATE (RFC 1951, 3.2.2). Codes of up to ten bits are found with one look into a table; the few longer ones bit by bit.
/// </summary>
internal sealed class HuffmanTable
{
    public const int MostBits = 15;
    private const int FastBits = 10;

    // Symbol * 16 + length, 0 for a code that is longer or does not exist.
    private readonly ushort[] _fast = new ushort[1 << FastBits];
    private readonly ushort[] _count = new ushort[MostBits + 1];
    private readonly ushort[] _symbols = new ushort[288];

    /// <summary>Builds the code from the length of each symbol's code. False when the lengths describe none.</summary>
    public bool Build(ReadOnlySpan<byte> lengths)
    {
        Array.Clear(_fast);
        Array.Clear(_count);
        foreach (byte length in lengths) _count[length]++;
        _count[0] = 0;
        int left = 1;
        for (int length = 1; length <= MostBits; length++)
        {
            left = (left << 1) - _count[length];
            if (left < 0) return false;
        }
        Span<ushort> offsets = stackalloc ushort[MostBits + 2];
        Span<ushort> codes = stackalloc ushort[MostBits + 2];
        int code = 0;
        for (int length = 1; length <= MostBits; length++)
        {
            codes[length] = (ushort)code;
            code = (code + _count[length]) << 1;
            offsets[length + 1] = (ushort)(offsets[length] + _count[length]);
        }
        for (int symbol = 0; symbol < lengths.Length; symbol++)
        {
            int length = lengths[symbol];
            if (length == 0) continue;
            _symbols[offsets[length]++] = (ushort)symbol;
            int reversed = Reverse(codes[length]++, length);
            if (length > FastBits) continue;
            for (int at = reversed; at < 1 << FastBits; at += 1 << length) _fast[at] = (ushort)(symbol << 4 | length);
        }
        // An incomplete code is allowed only for a single distance (RFC 1951, 3.2.7).
        return left == 0 || offsets[MostBits + 1] <= 1;
    }

    /// <summary>The symbol that bits begin with; its length comes out. -1 when there is none.</summary>
    public int Decode(uint bits, out int length)
    {
        int entry = _fast[bits & ((1 << FastBits) - 1)];
        if (entry != 0)
        {
            length = entry & 15;
            return entry >> 4;
        }
        int code = 0, first = 0, index = 0;
        for (length = 1; length <= MostBits; length++)
        {
            code |= (int)(bits & 1);
            bits >>= 1;
            int count = _count[length];
            if (code - count < first) return _symbols[index + (code - first)];
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        return -1;
    }

    private static int Reverse(int code, int length)
    {
        int result = 0;
        for (; length > 0; length--)
        {
            result = result << 1 | (code & 1);
            code >>= 1;
        }
        return result;
    }
}
