using System;
using System.Buffers.Binary;
using System.Numerics;
using Asterinas.Ostd.Boot;

namespace Asterinas.Services.Devices;

/// <summary>
/// The kernel's random numbers (man 4 random): ChaCha20 (RFC 8439) under a key from the machine's entropy. Each request uses up a key and leaves a new one, so that what was handed
/// out cannot be computed from the state later.
/// </summary>
internal static class RandomGenerator
{
    private const int BlockBytes = 64, KeyWords = 8;
    private const long ReseedAfterBytes = 1 << 20;

    private static readonly SpinLock s_lock = new("random");
    private static readonly uint[] s_key = new uint[KeyWords];
    private static long s_sinceSeed = ReseedAfterBytes;

    /// <summary>Fills a buffer.</summary>
    public static void Fill(Span<byte> destination)
    {
        Span<uint> key = stackalloc uint[KeyWords];
        Span<byte> block = stackalloc byte[BlockBytes];
        using (SpinLock.Guard guard = s_lock.Lock())
        {
            if (s_sinceSeed >= ReseedAfterBytes) Reseed();
            s_sinceSeed += destination.Length;
            // The first block is the next key, and the key of this request's stream.
            Block(s_key, 0, 0, block);
            for (int i = 0; i < KeyWords; i++)
            {
                s_key[i] = BinaryPrimitives.ReadUInt32LittleEndian(block[(4 * i)..]);
                key[i] = BinaryPrimitives.ReadUInt32LittleEndian(block[(32 + 4 * i)..]);
            }
        }
        for (uint counter = 0; !destination.IsEmpty; counter++)
        {
            Block(key, counter, 1, block);
            int count = Math.Min(destination.Length, BlockBytes);
            block[..count].CopyTo(destination);
            destination = destination[count..];
        }
    }

    /// <summary>Stirs in what a program wrote to the device: it can make the state no more predictable.</summary>
    public static void Mix(ReadOnlySpan<byte> bytes)
    {
        Span<byte> block = stackalloc byte[BlockBytes];
        using SpinLock.Guard guard = s_lock.Lock();
        while (!bytes.IsEmpty)
        {
            int count = Math.Min(bytes.Length, 4 * KeyWords);
            for (int i = 0; i < count; i++) s_key[i / 4] ^= (uint)bytes[i] << 8 * (i & 3);
            Block(s_key, 0, 2, block);
            for (int i = 0; i < KeyWords; i++) s_key[i] = BinaryPrimitives.ReadUInt32LittleEndian(block[(4 * i)..]);
            bytes = bytes[count..];
        }
    }

    private static void Reseed()
    {
        for (int i = 0; i < KeyWords; i += 2)
        {
            ulong bits = Entropy.Next();
            s_key[i] ^= (uint)bits;
            s_key[i + 1] ^= (uint)(bits >> 32);
        }
        s_sinceSeed = 0;
    }

    private static void Block(ReadOnlySpan<uint> key, uint counter, uint nonce, Span<byte> output)
    {
        Span<uint> state = stackalloc uint[16];
        Span<uint> work = stackalloc uint[16];
        state[0] = 0x61707865;
        state[1] = 0x3320646E;
        state[2] = 0x79622D32;
        state[3] = 0x6B206574;
        key.CopyTo(state[4..]);
        state[12] = counter;
        state[13] = nonce;
        state.CopyTo(work);
        for (int round = 0; round < 10; round++)
        {
            Quarter(work, 0, 4, 8, 12);
            Quarter(work, 1, 5, 9, 13);
            Quarter(work, 2, 6, 10, 14);
            Quarter(work, 3, 7, 11, 15);
            Quarter(work, 0, 5, 10, 15);
            Quarter(work, 1, 6, 11, 12);
            Quarter(work, 2, 7, 8, 13);
            Quarter(work, 3, 4, 9, 14);
        }
        for (int i = 0; i < 16; i++) BinaryPrimitives.WriteUInt32LittleEndian(output[(4 * i)..], work[i] + state[i]);
    }

    private static void Quarter(Span<uint> x, int a, int b, int c, int d)
    {
        x[a] += x[b];
        x[d] = BitOperations.RotateLeft(x[d] ^ x[a], 16);
        x[c] += x[d];
        x[b] = BitOperations.RotateLeft(x[b] ^ x[c], 12);
        x[a] += x[b];
        x[d] = BitOperations.RotateLeft(x[d] ^ x[a], 8);
        x[c] += x[d];
        x[b] = BitOperations.RotateLeft(x[b] ^ x[c], 7);
    }
}
