using System.Runtime;
using System.Runtime.CompilerServices;

namespace System;

/// <summary>Block operations that the compiler calls for large structs and stackalloc.</summary>
// SAFETY: the code generator passes the bytes of a variable and its size; nothing moves in this compilation, so the pointers stay good.
internal static unsafe class SpanHelpers
{
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "memset")] private static extern void* Set(void* destination, int value, nuint count);
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "memmove")] private static extern void* Move(void* destination, void* source, nuint count);

    public static void ClearWithoutReferences(ref byte destination, nuint count)
    {
        fixed (byte* p = &destination) Set(p, 0, count);
    }

    public static void Fill(ref byte destination, byte value, nuint count)
    {
        fixed (byte* p = &destination) Set(p, value, count);
    }

    public static void Memmove(ref byte destination, ref byte source, nuint count)
    {
        fixed (byte* to = &destination)
        fixed (byte* from = &source) Move(to, from, count);
    }
}
