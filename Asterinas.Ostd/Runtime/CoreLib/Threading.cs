// Atomic operations. The compiler replaces the bodies by single instructions (LOCK CMPXCHG, XCHG, LOCK XADD): they are intrinsics.

namespace System.Threading
{
    using System.Runtime.CompilerServices;

    public static class Interlocked
    {
        [Intrinsic] public static int CompareExchange(ref int location, int value, int comparand) => CompareExchange(ref location, value, comparand);
        [Intrinsic] public static long CompareExchange(ref long location, long value, long comparand) => CompareExchange(ref location, value, comparand);
        [Intrinsic] public static int Exchange(ref int location, int value) => Exchange(ref location, value);
        [Intrinsic] public static long Exchange(ref long location, long value) => Exchange(ref location, value);
        [Intrinsic] public static int ExchangeAdd(ref int location, int value) => ExchangeAdd(ref location, value);
        [Intrinsic] public static long ExchangeAdd(ref long location, long value) => ExchangeAdd(ref location, value);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static int Add(ref int location, int value) => ExchangeAdd(ref location, value) + value;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static long Add(ref long location, long value) => ExchangeAdd(ref location, value) + value;

        public static int Increment(ref int location) => Add(ref location, 1);
        public static int Decrement(ref int location) => Add(ref location, -1);
        public static long Increment(ref long location) => Add(ref location, 1);
        public static long Decrement(ref long location) => Add(ref location, -1);

        [Intrinsic] public static void MemoryBarrier() => MemoryBarrier();

        // SAFETY: signed and unsigned words of one size are the same bits; nothing moves in this compilation, and the reference lives longer than the call.
        public static unsafe uint CompareExchange(ref uint location, uint value, uint comparand)
        {
            fixed (uint* p = &location) return (uint)CompareExchange(ref *(int*)p, (int)value, (int)comparand);
        }

        // SAFETY: as above.
        public static unsafe ulong CompareExchange(ref ulong location, ulong value, ulong comparand)
        {
            fixed (ulong* p = &location) return (ulong)CompareExchange(ref *(long*)p, (long)value, (long)comparand);
        }

        // SAFETY: as above.
        public static unsafe uint Exchange(ref uint location, uint value)
        {
            fixed (uint* p = &location) return (uint)Exchange(ref *(int*)p, (int)value);
        }

        // SAFETY: as above.
        public static unsafe ulong Exchange(ref ulong location, ulong value)
        {
            fixed (ulong* p = &location) return (ulong)Exchange(ref *(long*)p, (long)value);
        }

        public static uint Or(ref uint location, uint value)
        {
            while (true)
            {
                uint old = Volatile.Read(ref location);
                if (CompareExchange(ref location, old | value, old) == old) return old;
            }
        }

        public static ulong Or(ref ulong location, ulong value)
        {
            while (true)
            {
                ulong old = Volatile.Read(ref location);
                if (CompareExchange(ref location, old | value, old) == old) return old;
            }
        }

        public static ulong And(ref ulong location, ulong value)
        {
            while (true)
            {
                ulong old = Volatile.Read(ref location);
                if (CompareExchange(ref location, old & value, old) == old) return old;
            }
        }
    }

    // SAFETY: a reference is read as one to a struct with a single volatile field of the same size; nothing moves in this compilation.
    public static unsafe class Volatile
    {
        private struct VolatileInt { public volatile int Value; }
        private struct VolatileUInt { public volatile uint Value; }
        private struct VolatileNInt { public volatile nint Value; }

        public static int Read(ref int location) { fixed (int* p = &location) return ((VolatileInt*)p)->Value; }
        public static uint Read(ref uint location) { fixed (uint* p = &location) return ((VolatileUInt*)p)->Value; }
        public static long Read(ref long location) { fixed (long* p = &location) return ((VolatileNInt*)p)->Value; }
        public static ulong Read(ref ulong location) { fixed (ulong* p = &location) return (ulong)((VolatileNInt*)p)->Value; }
        public static nint Read(ref nint location) { fixed (nint* p = &location) return ((VolatileNInt*)p)->Value; }

        public static void Write(ref int location, int value) { fixed (int* p = &location) ((VolatileInt*)p)->Value = value; }
        public static void Write(ref uint location, uint value) { fixed (uint* p = &location) ((VolatileUInt*)p)->Value = value; }
        public static void Write(ref long location, long value) { fixed (long* p = &location) ((VolatileNInt*)p)->Value = (nint)value; }
        public static void Write(ref ulong location, ulong value) { fixed (ulong* p = &location) ((VolatileNInt*)p)->Value = (nint)value; }
        public static void Write(ref nint location, nint value) { fixed (nint* p = &location) ((VolatileNInt*)p)->Value = value; }
    }
}
