using System;

namespace Asterinas.Services.Devices.Tty;

/// <summary>A queue of bytes of fixed capacity. Not synchronised.</summary>
/// <param name="capacity">A power of two.</param>
internal sealed class ByteRing(int capacity)
{
    private readonly byte[] _bytes = new byte[capacity];
    private uint _head, _tail;

    public int Count => (int)(_head - _tail);
    public int Room => capacity - Count;

    public bool Add(byte value)
    {
        if (Room == 0) return false;
        _bytes[_head++ & (uint)(capacity - 1)] = value;
        return true;
    }

    /// <summary>Takes as many as there is room for. Returns how many.</summary>
    public int Add(ReadOnlySpan<byte> values)
    {
        int count = Math.Min(values.Length, Room);
        for (int i = 0; i < count; i++) _bytes[_head++ & (uint)(capacity - 1)] = values[i];
        return count;
    }

    /// <summary>Moves bytes out. Returns how many.</summary>
    public int Take(Span<byte> destination)
    {
        int count = Math.Min(destination.Length, Count);
        for (int i = 0; i < count; i++) destination[i] = _bytes[_tail++ & (uint)(capacity - 1)];
        return count;
    }

    public void Clear() => _tail = _head;
}
