using System;
using System.Runtime;

namespace Asterinas.Ostd.Runtime;

/// <summary>
/// printf and scanf in the subset that the runtime uses: d i u x X o p s c %, widths, precision, the flags 0 - + # and space, and the sizes hh h l ll z j t.
/// Floating point is not formatted by the archive; a conversion that is not known is printed as it stands.
/// </summary>
// SAFETY: the argument list is what variadic.s saved, and formats are constants of the archive that match their arguments; Output counts but never writes
// beyond its capacity.
internal static unsafe class FormatPlugs
{
    /// <summary>va_list of the System V ABI, §3.5.7.</summary>
    public struct Arguments
    {
        public uint GpOffset;
        public uint FpOffset;
        public byte* Overflow;
        public byte* Saved;

        public ulong Next()
        {
            if (GpOffset < 48)
            {
                GpOffset += 8;
                return *(ulong*)(Saved + GpOffset - 8);
            }
            Overflow += 8;
            return *(ulong*)(Overflow - 8);
        }
    }

    private struct Output
    {
        public byte* Buffer;
        public nuint Capacity;
        public nuint Length;

        public void Put(byte value)
        {
            if (Length + 1 < Capacity) Buffer[Length] = value;
            Length++;
        }

        public void Fill(byte value, int count)
        {
            for (; count > 0; count--) Put(value);
        }
    }

    /// <summary>Returns the length of the whole text, of which at most capacity - 1 bytes and a zero are stored.</summary>
    [RuntimeExport("vsnprintf")]
    public static int Format(byte* buffer, nuint capacity, byte* format, Arguments* arguments)
    {
        Output output = default;
        output.Buffer = buffer;
        output.Capacity = capacity;
        for (; *format != 0; format++)
        {
            if (*format != (byte)'%')
            {
                output.Put(*format);
                continue;
            }
            byte* start = format++;
            bool left = false, zero = false, plus = false, space = false, alternate = false;
            for (; ; format++)
            {
                if (*format == (byte)'-') left = true;
                else if (*format == (byte)'0') zero = true;
                else if (*format == (byte)'+') plus = true;
                else if (*format == (byte)' ') space = true;
                else if (*format == (byte)'#') alternate = true;
                else break;
            }
            int width = Number(&format, arguments);
            if (width < 0)
            {
                left = true;
                width = -width;
            }
            int precision = -1;
            if (*format == (byte)'.')
            {
                format++;
                precision = Number(&format, arguments);
            }
            int size = 4;
            for (; ; format++)
            {
                if (*format == (byte)'h') size = size == 2 ? 1 : 2;
                else if (*format is (byte)'l' or (byte)'z' or (byte)'j' or (byte)'t') size = 8;
                else break;
            }
            switch (*format)
            {
                case (byte)'d' or (byte)'i':
                    long signed = Narrow((long)arguments->Next(), size);
                    byte sign = signed < 0 ? (byte)'-' : plus ? (byte)'+' : space ? (byte)' ' : (byte)0;
                    Integer(&output, signed < 0 ? 0 - (ulong)signed : (ulong)signed, 10, false, sign, false, width, precision, left, zero);
                    break;
                case (byte)'u':
                    Integer(&output, Widen(arguments->Next(), size), 10, false, 0, false, width, precision, left, zero);
                    break;
                case (byte)'o':
                    Integer(&output, Widen(arguments->Next(), size), 8, false, 0, false, width, precision, left, zero);
                    break;
                case (byte)'x' or (byte)'X':
                    Integer(&output, Widen(arguments->Next(), size), 16, *format == (byte)'X', 0, alternate, width, precision, left, zero);
                    break;
                case (byte)'p':
                    Integer(&output, arguments->Next(), 16, false, 0, true, width, precision, left, zero);
                    break;
                case (byte)'c':
                    if (!left) output.Fill((byte)' ', width - 1);
                    output.Put((byte)arguments->Next());
                    if (left) output.Fill((byte)' ', width - 1);
                    break;
                case (byte)'s':
                    Text(&output, (byte*)arguments->Next(), width, precision, left);
                    break;
                case (byte)'%':
                    output.Put((byte)'%');
                    break;
                default:
                    for (; start <= format && *start != 0; start++) output.Put(*start);
                    if (*format == 0) format--;
                    break;
            }
        }
        if (capacity > 0) buffer[output.Length < capacity ? output.Length : capacity - 1] = 0;
        return (int)output.Length;
    }

    [RuntimeExport("vasprintf")]
    private static int FormatAllocated(byte** result, byte* format, Arguments* arguments)
    {
        Arguments copy = *arguments;
        int length = Format(null, 0, format, &copy);
        byte* buffer = (byte*)KernelHeap.Allocate((nuint)length + 1);
        if (buffer == null) return -1;
        *result = buffer;
        return Format(buffer, (nuint)length + 1, format, arguments);
    }

    [RuntimeExport("vfprintf")]
    private static int FormatToStream(nint stream, byte* format, Arguments* arguments)
    {
        byte* buffer = stackalloc byte[1024];
        int length = Format(buffer, 1024, format, arguments);
        return StdioPlugs.Put(stream, buffer, (nuint)(length < 1023 ? length : 1023)) ? length : -1;
    }

    /// <summary>%d %i %u %x with sizes, %s, %c, %n, %*; returns the fields stored, -1 when the input ends before the first.</summary>
    [RuntimeExport("vsscanf")]
    private static int Scan(byte* input, byte* format, Arguments* arguments)
    {
        byte* start = input;
        int stored = 0;
        for (; *format != 0; format++)
        {
            if (IsSpace(*format))
            {
                while (IsSpace(*input)) input++;
                continue;
            }
            if (*format != (byte)'%')
            {
                if (*input != *format) return stored == 0 && *input == 0 ? -1 : stored;
                input++;
                continue;
            }
            format++;
            bool skip = *format == (byte)'*';
            if (skip) format++;
            int width = Number(&format, arguments);
            int size = 4;
            for (; *format is (byte)'l' or (byte)'z' or (byte)'j' or (byte)'h'; format++) size = *format == (byte)'h' ? 2 : 8;
            byte conversion = *format;
            if (conversion == (byte)'n')
            {
                *(int*)arguments->Next() = (int)(input - start);
                continue;
            }
            if (conversion != (byte)'c') while (IsSpace(*input)) input++;
            if (*input == 0) return stored == 0 ? -1 : stored;
            if (conversion is (byte)'d' or (byte)'i' or (byte)'u' or (byte)'x')
            {
                byte* end;
                int radix = conversion == (byte)'x' ? 16 : conversion == (byte)'i' ? 0 : 10;
                ulong value = conversion is (byte)'d' or (byte)'i' ? (ulong)StringPlugs.ToSigned(input, &end, radix) : StringPlugs.ToUnsigned(input, &end, radix);
                if (end == input) return stored;
                input = end;
                if (skip) continue;
                void* target = (void*)arguments->Next();
                if (size == 8) *(ulong*)target = value;
                else if (size == 2) *(ushort*)target = (ushort)value;
                else *(uint*)target = (uint)value;
                stored++;
            }
            else if (conversion is (byte)'s' or (byte)'c')
            {
                byte* target = skip ? null : (byte*)arguments->Next();
                int limit = width != 0 ? width : conversion == (byte)'c' ? 1 : int.MaxValue;
                int i = 0;
                for (; i < limit && *input != 0 && (conversion == (byte)'c' || !IsSpace(*input)); i++, input++)
                {
                    if (target != null) target[i] = *input;
                }
                if (skip) continue;
                if (conversion == (byte)'s') target[i] = 0;
                stored++;
            }
            else if (conversion == (byte)'%')
            {
                if (*input++ != (byte)'%') return stored;
            }
            else return stored;
        }
        return stored;
    }

    /// <summary>No stream can ever be open for reading.</summary>
    [RuntimeExport("vfscanf")]
    private static int ScanStream(nint stream, byte* format, Arguments* arguments)
    {
        Errno.Set(Errno.EBADF);
        return -1;
    }

    private static int Number(byte** format, Arguments* arguments)
    {
        if (**format == (byte)'*')
        {
            (*format)++;
            return (int)arguments->Next();
        }
        int value = 0;
        for (; **format is >= (byte)'0' and <= (byte)'9'; (*format)++) value = value * 10 + **format - '0';
        return value;
    }

    private static void Integer(Output* output, ulong value, uint radix, bool upper, byte sign, bool prefix, int width, int precision, bool left, bool zero)
    {
        byte* digits = stackalloc byte[24];
        int count = 0;
        bool nonZero = value != 0;
        for (; value != 0; value /= radix)
        {
            uint digit = (uint)(value % radix);
            digits[count++] = (byte)(digit < 10 ? '0' + digit : (upper ? 'A' : 'a') + digit - 10);
        }
        if (count == 0 && precision != 0) digits[count++] = (byte)'0';
        int zeros = precision > count ? precision - count : 0;
        int extra = (sign != 0 ? 1 : 0) + (prefix && nonZero ? 2 : 0);
        int padding = width - count - zeros - extra;
        if (zero && !left && precision < 0 && padding > 0)
        {
            zeros += padding;
            padding = 0;
        }
        if (!left) output->Fill((byte)' ', padding);
        if (sign != 0) output->Put(sign);
        if (prefix && nonZero)
        {
            output->Put((byte)'0');
            output->Put(upper ? (byte)'X' : (byte)'x');
        }
        output->Fill((byte)'0', zeros);
        while (count > 0) output->Put(digits[--count]);
        if (left) output->Fill((byte)' ', padding);
    }

    private static void Text(Output* output, byte* text, int width, int precision, bool left)
    {
        if (text == null) text = "(null)\0"u8.Pointer;
        int length = 0;
        while ((precision < 0 || length < precision) && text[length] != 0) length++;
        if (!left) output->Fill((byte)' ', width - length);
        for (int i = 0; i < length; i++) output->Put(text[i]);
        if (left) output->Fill((byte)' ', width - length);
    }

    private static long Narrow(long value, int size) => size switch { 1 => (sbyte)value, 2 => (short)value, 4 => (int)value, _ => value };
    private static ulong Widen(ulong value, int size) => size switch { 1 => (byte)value, 2 => (ushort)value, 4 => (uint)value, _ => value };
    private static bool IsSpace(byte value) => value is (byte)' ' or >= 9 and <= 13;
}
