using System.Runtime.InteropServices;

namespace Asterinas.Ostd.Arch;

/// <summary>The heap outside the garbage collector: the host's.</summary>
// SAFETY: the contracts are those of malloc, aligned_alloc and free.
internal static unsafe partial class Machine
{
    public static void* Malloc(nuint bytes) => NativeMemory.Alloc(bytes);

    public static void* AlignedAlloc(nuint alignment, nuint bytes) => NativeMemory.AlignedAlloc(bytes, alignment);

    public static void Free(void* block) => NativeMemory.Free(block);
}
