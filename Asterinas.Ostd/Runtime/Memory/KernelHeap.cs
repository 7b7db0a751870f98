using System.Runtime;
using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>
/// malloc for the runtime and the platform layer. Small blocks come from 16 KiB chunks of one size class; larger ones are frames of their
/// own, contiguous up to 2 MiB, mapped page by page beyond. A block's chunk header lies at its address rounded down to 16 KiB.
/// </summary>
// SAFETY: blocks come from frames of this heap alone; a pointer given back is taken only when its chunk header has a magic number of ours, and anything else is a
// panic. Free lists lie inside free blocks and change under Lock.
internal static unsafe class KernelHeap
{
    private const ulong ChunkBytes = 16384;
    private const uint MagicSmall = 0x4B534D4C, MagicLarge = 0x4B4C5247, MagicMapped = 0x4B4D4150;
    private const int HeaderBytes = 64;
    private const int ClassCount = 16;

    private struct Chunk
    {
        public uint Magic;
        public int Class;
        public int Used;
        public int Order;                   // large: order of the block
        public ulong Bytes;                 // usable bytes of a block
        public void* Free;                  // small: linked through the first word
        public Chunk* Next, Previous;       // chunks of the class with free blocks
        public ulong AreaBytes;             // mapped: length of the area
    }

    private struct State
    {
        public fixed ulong Partial[ClassCount];
        public int Lock;
    }

    private static State s_state;

    private static int BlockBytes(int index) => index switch
    {
        0 => 16,
        1 => 32,
        2 => 48,
        3 => 64,
        4 => 96,
        5 => 128,
        6 => 192,
        7 => 256,
        8 => 384,
        9 => 512,
        10 => 768,
        11 => 1024,
        12 => 1536,
        13 => 2048,
        14 => 2688,
        _ => 4064,
    };

    [RuntimeExport("malloc")]
    public static void* Allocate(nuint bytes)
    {
        if (bytes == 0) bytes = 1;
        void* block = bytes <= 4064 ? AllocateSmall((int)bytes) : AllocateLarge(bytes, HeaderBytes);
        if (block == null) Errno.Set(Errno.ENOMEM);
        return block;
    }

    [RuntimeExport("calloc")]
    public static void* AllocateZeroed(nuint count, nuint size)
    {
        nuint bytes = count * size;
        if (size != 0 && bytes / size != count)
        {
            Errno.Set(Errno.ENOMEM);
            return null;
        }
        void* block = Allocate(bytes);
        if (block != null) X64.Fill(block, 0, bytes);
        return block;
    }

    [RuntimeExport("realloc")]
    private static void* Reallocate(void* block, nuint bytes)
    {
        if (block == null) return Allocate(bytes);
        Chunk* chunk = ChunkOf(block);
        if (bytes <= chunk->Bytes && bytes != 0) return block;
        void* grown = Allocate(bytes);
        if (grown == null) return null;
        X64.Copy(grown, block, (nuint)(chunk->Bytes < bytes ? chunk->Bytes : bytes));
        Free(block);
        return grown;
    }

    /// <summary>Alignment: a power of two, at most 8 KiB.</summary>
    [RuntimeExport("aligned_alloc")]
    public static void* AllocateAligned(nuint alignment, nuint bytes)
    {
        if (alignment <= 16) return Allocate(bytes);
        if ((alignment & (alignment - 1)) != 0 || alignment > 8192)
        {
            Errno.Set(Errno.EINVAL);
            return null;
        }
        return AllocateLarge(bytes, alignment < HeaderBytes ? HeaderBytes : alignment);
    }

    [RuntimeExport("posix_memalign")]
    private static int AllocateAlignedPosix(void** result, nuint alignment, nuint bytes)
    {
        if (alignment < 8 || (alignment & (alignment - 1)) != 0 || alignment > 8192) return Errno.EINVAL;
        void* block = AllocateAligned(alignment, bytes);
        if (block == null) return Errno.ENOMEM;
        *result = block;
        return 0;
    }

    [RuntimeExport("free")]
    public static void Free(void* block)
    {
        if (block == null) return;
        Chunk* chunk = ChunkOf(block);
        if (chunk->Magic == MagicLarge)
        {
            chunk->Magic = 0;
            FrameReserve.Free((ulong)chunk - KernelMap.DirectMapBase, chunk->Order);
            return;
        }
        if (chunk->Magic == MagicMapped)
        {
            ulong bytes = chunk->AreaBytes;
            KernelArea.Depopulate((ulong)chunk, bytes);
            KernelArea.Free((ulong)chunk, bytes);
            return;
        }
        Lock();
        bool full = chunk->Free == null;
        *(void**)block = chunk->Free;
        chunk->Free = block;
        chunk->Used--;
        if (full) Link(chunk);
        bool release = chunk->Used == 0 && (chunk->Next != null || chunk->Previous != null);     // keep the last one of a class
        if (release)
        {
            Unlink(chunk);
            chunk->Magic = 0;
        }
        Unlock();
        if (release) FrameReserve.Free((ulong)chunk - KernelMap.DirectMapBase, 2);
    }

    private static void* AllocateSmall(int bytes)
    {
        int index = 0;
        while (BlockBytes(index) < bytes) index++;
        Lock();
        Chunk* chunk = (Chunk*)s_state.Partial[index];
        if (chunk == null)
        {
            Unlock();
            ulong frames = FrameReserve.Allocate(2, FrameState.KernelHeap);
            if (frames == 0) return null;
            chunk = (Chunk*)KernelMap.PhysToVirt(frames);
            Format(chunk, index);
            Lock();
            Link(chunk);
        }
        void* block = chunk->Free;
        chunk->Free = *(void**)block;
        chunk->Used++;
        if (chunk->Free == null) Unlink(chunk);
        Unlock();
        return block;
    }

    private static void Format(Chunk* chunk, int index)
    {
        X64.Fill(chunk, 0, HeaderBytes);
        chunk->Magic = MagicSmall;
        chunk->Class = index;
        int size = BlockBytes(index);
        chunk->Bytes = (ulong)size;
        int count = (int)((ChunkBytes - HeaderBytes) / (ulong)size);
        byte* first = (byte*)chunk + HeaderBytes;
        for (int i = 0; i < count; i++) *(void**)(first + i * size) = i + 1 < count ? first + (i + 1) * size : null;
        chunk->Free = first;
    }

    private static void* AllocateLarge(nuint bytes, nuint offset)
    {
        if (bytes > 1UL << 32) return null;
        ulong total = bytes + offset;
        if (total <= 2UL << 20)
        {
            int order = 2;                  // at least a chunk, so that rounding down finds the header
            while (4096UL << order < total) order++;
            ulong frames = FrameReserve.Allocate(order, FrameState.KernelHeap);
            if (frames != 0)
            {
                Chunk* chunk = (Chunk*)KernelMap.PhysToVirt(frames);
                chunk->Magic = MagicLarge;
                chunk->Order = order;
                chunk->Bytes = (4096UL << order) - offset;
                return (byte*)chunk + offset;
            }
        }
        total = (total + 4095) & ~4095UL;
        ulong area = KernelArea.Allocate(total);
        if (area == 0) return null;
        if (!KernelArea.Populate(area, total, FrameState.KernelHeap, false))
        {
            KernelArea.Free(area, total);
            return null;
        }
        Chunk* mapped = (Chunk*)area;
        mapped->Magic = MagicMapped;
        mapped->AreaBytes = total;
        mapped->Bytes = total - offset;
        return (byte*)mapped + offset;
    }

    private static Chunk* ChunkOf(void* block)
    {
        Chunk* chunk = (Chunk*)((ulong)block & ~(ChunkBytes - 1));
        if (chunk->Magic != MagicSmall && chunk->Magic != MagicLarge && chunk->Magic != MagicMapped)
            Panic.FailHex("free of what malloc never returned:"u8, (ulong)block);
        return chunk;
    }

    private static void Link(Chunk* chunk)
    {
        Chunk* head = (Chunk*)s_state.Partial[chunk->Class];
        chunk->Next = head;
        chunk->Previous = null;
        if (head != null) head->Previous = chunk;
        s_state.Partial[chunk->Class] = (ulong)chunk;
    }

    private static void Unlink(Chunk* chunk)
    {
        if (chunk->Previous != null) chunk->Previous->Next = chunk->Next;
        else s_state.Partial[chunk->Class] = (ulong)chunk->Next;
        if (chunk->Next != null) chunk->Next->Previous = chunk->Previous;
        chunk->Next = chunk->Previous = null;
    }

    private static void Lock()
    {
        while (Interlocked.CompareExchange(ref s_state.Lock, 1, 0) != 0) X64.Pause();
    }

    private static void Unlock() => Volatile.Write(ref s_state.Lock, 0);
}
