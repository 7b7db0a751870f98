using System.Threading;

namespace Asterinas.Ostd.Memory;

/// <summary>An atomic change of a user word: those of FUTEX_WAKE_OP (man 2 futex; its ANDN is an and with the complement).</summary>
public enum UserWordOperation
{
    /// <summary>The operand.</summary>
    Set = 0,
    /// <summary>The sum, modulo 2^32.</summary>
    Add = 1,
    /// <summary>Bits of both.</summary>
    Or = 2,
    /// <summary>Bits that both have.</summary>
    And = 3,
    /// <summary>Bits that one of the two has.</summary>
    Xor = 4,
}

/// <summary>The operations on a word that the kernel reaches through the direct map.</summary>
internal static class UserWord
{
    /// <summary>Changes the word; returns what it was.</summary>
    public static uint Update(ref uint word, UserWordOperation operation, uint operand) => operation switch
    {
        UserWordOperation.Set => Interlocked.Exchange(ref word, operand),
        UserWordOperation.Add => Interlocked.Add(ref word, operand) - operand,
        UserWordOperation.Or => Interlocked.Or(ref word, operand),
        UserWordOperation.And => Interlocked.And(ref word, operand),
        _ => Xor(ref word, operand),
    };

    private static uint Xor(ref uint word, uint operand)
    {
        uint old = Volatile.Read(ref word);
        while (true)
        {
            uint seen = Interlocked.CompareExchange(ref word, old ^ operand, old);
            if (seen == old) return old;
            old = seen;
        }
    }
}
