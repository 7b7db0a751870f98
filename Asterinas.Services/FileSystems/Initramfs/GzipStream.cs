using System;
using System.Buffers.Binary;

namespace Asterinas.Services.FileSystems.Initramfs;

/// <summary>
/// Decompresses one gzip member (RFC 1952, RFC 1951). Whatever the input is, it ends in data, in the end, or in a <see cref="ByteStream.Problem"/>.
/// <code>
///   Header ──► BlockStart ──► Stored | Coded ──► BlockStart … ──► Trailer ──► Ended
/// </code>
/// </summary>
internal sealed class GzipStream(BootImageStream source) : ByteStream
{
    private enum State
    {
        Header,
        BlockStart,
        Stored,
        Coded,
        Ended,
    }

    private const int WindowBytes = 32768;
    private static readonly uint[] s_crcTable = CreateCrcTable();
    private static ReadOnlySpan<byte> LengthOrder => [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    private static ReadOnlySpan<ushort> LengthBase => [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
    private static ReadOnlySpan<byte> LengthExtra => [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];

    private static ReadOnlySpan<ushort> DistanceBase =>
        [1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577];

    private static ReadOnlySpan<byte> DistanceExtra => [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];

    private readonly byte[] _window = new byte[WindowBytes];
    private readonly HuffmanTable _literals = new(), _distances = new(), _lengths = new();
    private State _state;
    private bool _isLastBlock;
    private ulong _bits;
    private int _bitCount;
    private int _storedLeft, _copyLeft, _copyDistance;
    private uint _crc = uint.MaxValue;
    private long _produced;

    public override int Read(Span<byte> destination)
    {
        int done = 0;
        while (done < destination.Length && Problem is null && _state != State.Ended)
        {
            int step = 0;
            switch (_state)
            {
                case State.Header: ReadHeader(); break;
                case State.BlockStart: StartBlock(); break;
                case State.Stored: step = ReadStored(destination[done..]); break;
                case State.Coded: step = ReadCoded(destination[done..]); break;
            }
            Account(destination.Slice(done, step));
            done += step;
        }
        return done;
    }

    private void ReadHeader()
    {
        Span<byte> header = stackalloc byte[10];
        if (source.Read(header) < 10 || header[2] != 8 || (header[3] & 0xE0) != 0)
        {
            Problem = "not a gzip header";
            return;
        }
        int flags = header[3];
        if ((flags & 4) != 0)
        {
            Span<byte> length = stackalloc byte[2];
            if (source.Read(length) < 2 || !source.Skip(BinaryPrimitives.ReadUInt16LittleEndian(length))) Problem = "the gzip header is cut off";
        }
        if ((flags & 8) != 0) SkipText();
        if ((flags & 16) != 0) SkipText();
        if ((flags & 2) != 0 && !source.Skip(2)) Problem = "the gzip header is cut off";
        _state = State.BlockStart;
    }

    private void SkipText()
    {
        Span<byte> one = stackalloc byte[1];
        do
        {
            if (source.Read(one) == 1) continue;
            Problem = "the gzip header is cut off";
            return;
        }
        while (one[0] != 0);
    }

    private void StartBlock()
    {
        if (_isLastBlock)
        {
            ReadTrailer();
            return;
        }
        _isLastBlock = Bits(1) != 0;
        switch (Bits(2))
        {
            case 0:
                Drop(_bitCount & 7);
                _storedLeft = (int)Bits(16);
                if (Bits(16) != (uint)(~_storedLeft & 0xFFFF)) Problem ??= "a stored block has a wrong length";
                _state = State.Stored;
                break;
            case 1:
                BuildFixed();
                _state = State.Coded;
                break;
            case 2:
                BuildDynamic();
                _state = State.Coded;
                break;
            default:
                Problem ??= "a block of unknown type";
                break;
        }
    }

    private int ReadStored(Span<byte> destination)
    {
        int done = 0;
        while (done < destination.Length && _storedLeft > 0 && Problem is null)
        {
            Put(destination, ref done, (byte)Bits(8));
            _storedLeft--;
        }
        if (_storedLeft == 0) _state = State.BlockStart;
        return Problem is null ? done : 0;
    }

    private int ReadCoded(Span<byte> destination)
    {
        int done = 0;
        while (done < destination.Length)
        {
            if (_copyLeft > 0)
            {
                _copyLeft--;
                Put(destination, ref done, _window[(int)(_produced + done - _copyDistance) & (WindowBytes - 1)]);
                continue;
            }
            int symbol = Symbol(_literals);
            if (symbol < 0) return 0;
            if (symbol < 256)
            {
                Put(destination, ref done, (byte)symbol);
            }
            else if (symbol == 256)
            {
                _state = State.BlockStart;
                return done;
            }
            else if (!StartCopy(symbol - 257, done))
            {
                return 0;
            }
        }
        return done;
    }

    private bool StartCopy(int code, int done)
    {
        if (code >= LengthBase.Length)
        {
            Problem = "a length that does not exist";
            return false;
        }
        _copyLeft = LengthBase[code] + (int)Bits(LengthExtra[code]);
        int distance = Symbol(_distances);
        if (distance < 0) return false;
        if (distance >= DistanceBase.Length)
        {
            Problem = "a distance that does not exist";
            return false;
        }
        _copyDistance = DistanceBase[distance] + (int)Bits(DistanceExtra[distance]);
        if (_copyDistance > _produced + done) Problem ??= "a distance before the beginning";
        return Problem is null;
    }

    private void Put(Span<byte> destination, ref int done, byte value)
    {
        _window[(int)(_produced + done) & (WindowBytes - 1)] = value;
        destination[done++] = value;
    }

    private void Account(ReadOnlySpan<byte> bytes)
    {
        uint crc = _crc;
        foreach (byte value in bytes) crc = s_crcTable[(byte)crc ^ value] ^ crc >> 8;
        _crc = crc;
        _produced += bytes.Length;
    }

    private void ReadTrailer()
    {
        Drop(_bitCount & 7);
        Span<byte> trailer = stackalloc byte[8];
        // At most four bytes were taken ahead: the trailer uses them up, so the next member begins where the source stands.
        int ahead = _bitCount / 8;
        for (int i = 0; i < ahead; i++) trailer[i] = (byte)Bits(8);
        if (source.Read(trailer[ahead..]) < 8 - ahead) Problem ??= "the data is cut off";
        else if (BinaryPrimitives.ReadUInt32LittleEndian(trailer) != ~_crc) Problem ??= "the checksum is wrong";
        else if (BinaryPrimitives.ReadUInt32LittleEndian(trailer[4..]) != (uint)_produced) Problem ??= "the length is wrong";
        _state = State.Ended;
    }

    private void BuildFixed()
    {
        Span<byte> lengths = stackalloc byte[288];
        lengths[..144].Fill(8);
        lengths[144..256].Fill(9);
        lengths[256..280].Fill(7);
        lengths[280..].Fill(8);
        _literals.Build(lengths);
        Span<byte> distances = stackalloc byte[32];
        distances.Fill(5);
        _distances.Build(distances);
    }

    private void BuildDynamic()
    {
        int literals = (int)Bits(5) + 257, distances = (int)Bits(5) + 1, codes = (int)Bits(4) + 4;
        Span<byte> lengths = stackalloc byte[320];
        for (int i = 0; i < codes; i++) lengths[LengthOrder[i]] = (byte)Bits(3);
        if (literals > 286 || !_lengths.Build(lengths[..19]))
        {
            Problem ??= "a code that does not exist";
            return;
        }
        lengths.Clear();
        for (int at = 0; at < literals + distances;)
        {
            int symbol = Symbol(_lengths);
            if (symbol < 0) return;
            if (symbol < 16)
            {
                lengths[at++] = (byte)symbol;
                continue;
            }
            byte value = 0;
            int repeat = symbol switch { 16 => 3 + (int)Bits(2), 17 => 3 + (int)Bits(3), _ => 11 + (int)Bits(7) };
            if (symbol == 16 && at > 0) value = lengths[at - 1];
            if ((symbol == 16 && at == 0) || at + repeat > literals + distances)
            {
                Problem ??= "lengths of a code that do not fit";
                return;
            }
            lengths.Slice(at, repeat).Fill(value);
            at += repeat;
        }
        if (!_literals.Build(lengths[..literals]) || !_distances.Build(lengths.Slice(literals, distances))) Problem ??= "a code that does not exist";
    }

    private int Symbol(HuffmanTable table)
    {
        Refill();
        int symbol = table.Decode((uint)_bits, out int length);
        if (symbol < 0) Problem ??= "a code that does not exist";
        else if (length > _bitCount) Problem ??= "the data is cut off";
        else Drop(length);
        return Problem is null ? symbol : -1;
    }

    // At most 16 bits; zeroes, with a problem, behind the end.
    private uint Bits(int count)
    {
        if (count == 0) return 0;
        if (_bitCount < count)
        {
            Refill();
            if (_bitCount < count)
            {
                Problem ??= "the data is cut off";
                return 0;
            }
        }
        uint value = (uint)_bits & ((1U << count) - 1);
        Drop(count);
        return value;
    }

    private void Drop(int count)
    {
        _bits >>= count;
        _bitCount -= count;
    }

    // At most four bytes ahead: see the trailer.
    private void Refill()
    {
        if (_bitCount >= HuffmanTable.MostBits + 1) return;
        ReadOnlySpan<byte> next = source.Peek(1);
        int take = Math.Min(next.Length, (32 - _bitCount) / 8);
        for (int i = 0; i < take; i++)
        {
            _bits |= (ulong)next[i] << _bitCount;
            _bitCount += 8;
        }
        source.Take(take);
        if (take == 0 || _bitCount >= HuffmanTable.MostBits + 1) return;
        Refill();
    }

    private static uint[] CreateCrcTable()
    {
        var table = new uint[256];
        for (uint i = 0; i < 256; i++)
        {
            uint value = i;
            for (int bit = 0; bit < 8; bit++) value = (value & 1) != 0 ? 0xEDB88320 ^ value >> 1 : value >> 1;
            table[i] = value;
        }
        return table;
    }
}
