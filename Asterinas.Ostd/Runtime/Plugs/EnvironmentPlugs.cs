using System;
using System.Runtime;

namespace Asterinas.Ostd.Runtime;

/// <summary>getenv: the runtime's knobs that depend on the machine, computed at boot; every other name is unset.</summary>
// SAFETY: a value has at most 16 digits and a zero in its 24 bytes; statics do not move; the name is a C string of the archive.
internal static unsafe class EnvironmentPlugs
{
    private struct Values
    {
        public fixed byte HeapHardLimit[24];
        public fixed byte Gen0Size[24];
    }

    private static Values s_values;

    public static void Initialize(ulong heapHardLimit, ulong gen0Size)
    {
        fixed (byte* limit = s_values.HeapHardLimit) Hex(limit, heapHardLimit);
        fixed (byte* gen0 = s_values.Gen0Size) Hex(gen0, gen0Size);
    }

    [RuntimeExport("getenv")]
    private static byte* Get(byte* name)
    {
        if (StringPlugs.Compare(name, "DOTNET_GCHeapHardLimit\0"u8.Pointer) == 0)
        {
            fixed (byte* limit = s_values.HeapHardLimit) return limit;
        }
        if (StringPlugs.Compare(name, "DOTNET_GCgen0size\0"u8.Pointer) == 0)
        {
            fixed (byte* gen0 = s_values.Gen0Size) return gen0;
        }
        return null;
    }

    private static void Hex(byte* buffer, ulong value)
    {
        int length = 1;
        for (ulong rest = value >> 4; rest != 0; rest >>= 4) length++;
        for (int i = 0; i < length; i++)
        {
            int digit = (int)(value >> (4 * (length - 1 - i))) & 15;
            buffer[i] = (byte)(digit < 10 ? '0' + digit : 'a' + digit - 10);
        }
        buffer[length] = 0;
    }
}
