using System;
using System.Runtime;

namespace Asterinas.Ostd.Runtime;

/// <summary>The string functions of the C library (C11 §7.24, POSIX strtok_r, strcasecmp), byte-wise in the C locale.</summary>
// SAFETY: C11's contract: strings end with a zero, buffers are as large as the caller says. The callers are the archive and this folder.
internal static unsafe class StringPlugs
{
    [RuntimeExport("strlen")]
    public static nuint Length(byte* text)
    {
        nuint length = 0;
        while (text[length] != 0) length++;
        return length;
    }

    [RuntimeExport("strcmp")]
    public static int Compare(byte* left, byte* right)
    {
        while (*left != 0 && *left == *right)
        {
            left++;
            right++;
        }
        return *left - *right;
    }

    [RuntimeExport("strncmp")]
    public static int CompareLimited(byte* left, byte* right, nuint count)
    {
        for (nuint i = 0; i < count; i++)
        {
            if (left[i] != right[i] || left[i] == 0) return left[i] - right[i];
        }
        return 0;
    }

    [RuntimeExport("strcasecmp")]
    public static int CompareIgnoreCase(byte* left, byte* right)
    {
        while (*left != 0 && Lower(*left) == Lower(*right))
        {
            left++;
            right++;
        }
        return Lower(*left) - Lower(*right);
    }

    [RuntimeExport("strcpy")]
    public static byte* Copy(byte* destination, byte* source)
    {
        nuint i = 0;
        while ((destination[i] = source[i]) != 0) i++;
        return destination;
    }

    [RuntimeExport("strncpy")]
    public static byte* CopyLimited(byte* destination, byte* source, nuint count)
    {
        nuint i = 0;
        for (; i < count && source[i] != 0; i++) destination[i] = source[i];
        for (; i < count; i++) destination[i] = 0;
        return destination;
    }

    [RuntimeExport("strcat")]
    public static byte* Append(byte* destination, byte* source)
    {
        Copy(destination + Length(destination), source);
        return destination;
    }

    [RuntimeExport("strncat")]
    public static byte* AppendLimited(byte* destination, byte* source, nuint count)
    {
        byte* end = destination + Length(destination);
        nuint i = 0;
        for (; i < count && source[i] != 0; i++) end[i] = source[i];
        end[i] = 0;
        return destination;
    }

    [RuntimeExport("strchr")]
    public static byte* Find(byte* text, int value)
    {
        for (; ; text++)
        {
            if (*text == (byte)value) return text;
            if (*text == 0) return null;
        }
    }

    [RuntimeExport("strrchr")]
    public static byte* FindLast(byte* text, int value)
    {
        byte* found = null;
        for (; ; text++)
        {
            if (*text == (byte)value) found = text;
            if (*text == 0) return found;
        }
    }

    [RuntimeExport("strstr")]
    public static byte* FindText(byte* text, byte* wanted)
    {
        nuint length = Length(wanted);
        for (; ; text++)
        {
            if (CompareLimited(text, wanted, length) == 0) return text;
            if (*text == 0) return null;
        }
    }

    [RuntimeExport("strdup")]
    public static byte* Duplicate(byte* text)
    {
        nuint bytes = Length(text) + 1;
        byte* copy = (byte*)KernelHeap.Allocate(bytes);
        if (copy != null) X64.Copy(copy, text, bytes);
        return copy;
    }

    [RuntimeExport("strtok_r")]
    public static byte* Token(byte* text, byte* delimiters, byte** state)
    {
        if (text == null) text = *state;
        if (text == null) return null;
        while (*text != 0 && Find(delimiters, *text) != null) text++;
        if (*text == 0)
        {
            *state = null;
            return null;
        }
        byte* token = text;
        while (*text != 0 && Find(delimiters, *text) == null) text++;
        if (*text == 0) *state = null;
        else
        {
            *text = 0;
            *state = text + 1;
        }
        return token;
    }

    [RuntimeExport("strtoull")]
    public static ulong ToUnsigned(byte* text, byte** end, int radix)
    {
        bool negative;
        bool overflow;
        ulong value = Parse(text, end, radix, &negative, &overflow);
        if (overflow)
        {
            Errno.Set(Errno.ERANGE);
            return ulong.MaxValue;
        }
        return negative ? 0 - value : value;
    }

    [RuntimeExport("strtoul")] private static ulong ToUnsignedLong(byte* text, byte** end, int radix) => ToUnsigned(text, end, radix);

    [RuntimeExport("strtoll")]
    public static long ToSigned(byte* text, byte** end, int radix)
    {
        bool negative;
        bool overflow;
        ulong value = Parse(text, end, radix, &negative, &overflow);
        ulong limit = negative ? 1UL << 63 : (1UL << 63) - 1;
        if (overflow || value > limit)
        {
            Errno.Set(Errno.ERANGE);
            value = limit;
        }
        return negative ? (long)(0 - value) : (long)value;
    }

    [RuntimeExport("strtol")] private static long ToSignedLong(byte* text, byte** end, int radix) => ToSigned(text, end, radix);

    [RuntimeExport("strerror")]
    private static byte* ErrorText(int error) => "error of the C library (see errno)\0"u8.Pointer;

    /// <summary>The GNU variant: may return a text of its own instead of the buffer.</summary>
    [RuntimeExport("strerror_r")]
    private static byte* ErrorText(int error, byte* buffer, nuint count) => ErrorText(error);

    [RuntimeExport("gai_strerror")]
    private static byte* AddressErrorText(int error) => ErrorText(error);

    private static ulong Parse(byte* text, byte** end, int radix, bool* negative, bool* overflow)
    {
        byte* at = text;
        *negative = false;
        *overflow = false;
        while (*at is (byte)' ' or >= 9 and <= 13) at++;
        if (*at is (byte)'-' or (byte)'+') *negative = *at++ == (byte)'-';
        if (radix is 0 or 16 && at[0] == (byte)'0' && Lower(at[1]) == 'x' && Digit(at[2]) < 16)
        {
            at += 2;
            radix = 16;
        }
        else if (radix == 0) radix = *at == (byte)'0' ? 8 : 10;
        ulong value = 0;
        bool any = false;
        for (int digit; (digit = Digit(*at)) < radix; at++)
        {
            any = true;
            if (value > (ulong.MaxValue - (ulong)digit) / (ulong)radix) *overflow = true;
            else value = value * (ulong)radix + (ulong)digit;
        }
        if (end != null) *end = any ? at : text;
        return value;
    }

    public static int Digit(byte value) => value switch
    {
        >= (byte)'0' and <= (byte)'9' => value - '0',
        >= (byte)'a' and <= (byte)'z' => value - 'a' + 10,
        >= (byte)'A' and <= (byte)'Z' => value - 'A' + 10,
        _ => 99,
    };

    private static int Lower(byte value) => value is >= (byte)'A' and <= (byte)'Z' ? value + 32 : value;
}
