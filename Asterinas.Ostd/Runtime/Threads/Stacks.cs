using System.Runtime;
using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>
/// Kernel stacks. Giving one back means to unmap it and to ask every CPU to flush: so up to 16 MiB of those that ended threads leave behind wait for the next thread of their size. They
/// count as free memory, and go back to the reserve when it runs short.
/// </summary>
// SAFETY: a stack on the list has no thread; its link lies in its own topmost words, which stay mapped. An area is handed out once: list and KernelArea change under their locks.
internal static unsafe class Stacks
{
    private const ulong MaxBytes = 16 << 20;

    private struct IdleStack
    {
        public IdleStack* Next;
        public ulong Area, Bytes;
    }

    private struct State
    {
        public IdleStack* First;
        public ulong Bytes;
        public int Lock;
    }

    private static State s_state;

    /// <summary>A slot of addresses whose first page is the guard and whose other pages are mapped; 0 when memory is short. Contents are whatever they were.</summary>
    public static ulong Allocate(ulong areaBytes)
    {
        ulong area = Take(areaBytes);
        if (area != 0) return area;
        area = KernelArea.Allocate(areaBytes);
        if (area == 0) return 0;
        if (KernelArea.Populate(area + 4096, areaBytes - 4096, FrameState.KernelStack, false)) return area;
        KernelArea.Free(area, areaBytes);
        return 0;
    }

    public static void Free(ulong area, ulong areaBytes)
    {
        Lock();
        if (s_state.Bytes + areaBytes <= MaxBytes)
        {
            IdleStack* top = (IdleStack*)(area + areaBytes) - 1;
            top->Area = area;
            top->Bytes = areaBytes;
            top->Next = s_state.First;
            s_state.First = top;
            Volatile.Write(ref s_state.Bytes, s_state.Bytes + areaBytes);
            Unlock();
            return;
        }
        Unlock();
        Release(area, areaBytes);
    }

    /// <summary>Gives all stacks that wait back to the reserve. False when there were none.</summary>
    public static bool Drain()
    {
        bool any = false;
        for (ulong area; (area = TakeAny(out ulong bytes)) != 0; any = true) Release(area, bytes);
        return any;
    }

    /// <summary>Pages of the stacks that wait.</summary>
    [RuntimeExport("ostd_idle_stack_pages")]
    private static ulong IdlePages() => Volatile.Read(ref s_state.Bytes) >> 12;

    private static ulong Take(ulong areaBytes)
    {
        Lock();
        fixed (IdleStack** first = &s_state.First)
        {
            for (IdleStack** at = first; *at != null; at = &(*at)->Next)
            {
                if ((*at)->Bytes != areaBytes) continue;
                ulong area = Unlink(at);
                Unlock();
                return area;
            }
        }
        Unlock();
        return 0;
    }

    private static ulong TakeAny(out ulong bytes)
    {
        bytes = 0;
        ulong area = 0;
        Lock();
        if (s_state.First != null)
        {
            bytes = s_state.First->Bytes;
            fixed (IdleStack** first = &s_state.First) area = Unlink(first);
        }
        Unlock();
        return area;
    }

    private static ulong Unlink(IdleStack** at)
    {
        IdleStack* found = *at;
        *at = found->Next;
        Volatile.Write(ref s_state.Bytes, s_state.Bytes - found->Bytes);
        return found->Area;
    }

    private static void Release(ulong area, ulong areaBytes)
    {
        KernelArea.Depopulate(area + 4096, areaBytes - 4096);
        KernelArea.Free(area, areaBytes);
    }

    private static void Lock()
    {
        while (Interlocked.CompareExchange(ref s_state.Lock, 1, 0) != 0) X64.Pause();
    }

    private static void Unlock() => Volatile.Write(ref s_state.Lock, 0);
}
