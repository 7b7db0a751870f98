using System;
using System.Runtime;

namespace Asterinas.Ostd.Runtime;

/// <summary>
/// From the loader to the runtime: console, CPU features, boot information, memory, tables, time, interrupts, the boot thread; then the
/// runtime's own main, which ends in the kernel's Main.
/// </summary>
// SAFETY: runs once, on the boot stack, before any other code; statics are not moved (there is no collector in this compilation), and what is handed out as a
// pointer is static or belongs to the image.
internal static unsafe class Boot
{
    public const int ExitStatusNoBoot = 125;
    private const ulong MainStackBytes = 1 << 20;
    private const uint ProtocolPvh = 1, ProtocolMultiboot2 = 2;

    private struct Arguments
    {
        public byte* First;
        public byte* End;
    }

    private static BootInfoData s_info;
    private static Arguments s_arguments;
    private static PerCpu s_cpu0;
    private static Thread s_bootThread;
    private static ulong s_totalPages;

    public static ulong TotalPages => s_totalPages;

    [RuntimeExport("ostd_boot_info")]
    private static BootInfoData* Info()
    {
        fixed (BootInfoData* info = &s_info) return info;
    }

    [RuntimeExport("ostd_frame_metas")] private static FrameMeta* FrameMetas() => FrameReserve.Metas;
    [RuntimeExport("ostd_frame_count")] private static ulong FrameCount() => FrameReserve.Count;
    [RuntimeExport("ostd_reserve_free_pages")] private static ulong ReserveFreePages() => FrameReserve.FreePages;
    [RuntimeExport("ostd_reserve_set_low_water")] private static void ReserveSetLowWater(ulong pages) => FrameReserve.LowWater = pages;
    [RuntimeExport("ostd_reserve_allocate")] private static ulong ReserveAllocate(int order) => FrameReserve.Allocate(order, FrameState.Unused);
    [RuntimeExport("ostd_reserve_free")] private static int ReserveFree(ulong address, int order) => FrameReserve.Free(address, order) ? 1 : 0;

    [RuntimeExport("ostd_boot")]
    private static void Start(uint protocol, ulong information)
    {
        Console.Initialize();
        Features.Check();
        Features.Enable();
        fixed (BootInfoData* info = &s_info)
        {
            info->Protocol = protocol;
            if (protocol == ProtocolPvh) Pvh.Read(information, info);
            else Multiboot2.Read(information, info);
            if (info->RangeCount == 0) Refuse("boot failed: the loader gave no memory map\n"u8);
            InitializeMemory(info);
            Acpi.Initialize(info->Rsdp);
        }
        fixed (PerCpu* cpu = &s_cpu0)
        {
            cpu->Self = cpu;
            cpu->ActiveRoot = KernelMap.Root;
            X64.WriteGsBase((ulong)cpu);
            Traps.InitializeIdt();
            Traps.InitializeCpu(cpu);
            X64.WriteGsBase((ulong)cpu);                    // loading selectors may have cleared it
            Entropy.Initialize();
            fixed (Thread* thread = &s_bootThread) Threads.InitializeBoot(cpu, thread);
            GcMemory.Initialize();
            Clock.Initialize();
            Apic.Initialize(cpu);
            Cpus.Add(cpu);
            X64.EnableInterrupts();
            fixed (BootInfoData* info = &s_info)
            {
                ApplicationCpus.Start(cpu, info);
                Watchdog.Initialize(cpu, info);
            }
        }
        Settings.Initialize();
        RunConstructors();
        // Main gets a stack with a guard page; the boot stack becomes the idle thread's until the managed scheduler names one.
        Thread* main = Threads.CreateFromExport(MainStackBytes);
        if (main == null) Refuse("boot failed: no memory for the main thread\n"u8);
        Threads.IdleUntilReplaced(main);
    }

    /// <summary>First function of the main thread.</summary>
    [RuntimeExport("x64_boot_main")]
    private static void MainThread() => Power.Off((int)RunMain());

    /// <summary>Ends a boot that cannot go on: the reason on the console, status 125.</summary>
    public static void Refuse(ReadOnlySpan<byte> reason)
    {
        Console.Write(reason);
        Power.Off(ExitStatusNoBoot);
    }

    private static nint RunMain()
    {
        // Not stackalloc: the runtime sets the stack cookie inside this call, so a frame with a cookie would not survive it.
        fixed (Arguments* arguments = &s_arguments)
        {
            arguments->First = "kernel\0"u8.Pointer;
            return X64.Call((void*)X64.Symbol(ImageSymbol.RuntimeMain), 1, (nint)arguments, 0);
        }
    }

    private static void RunConstructors()
    {
        void** at = (void**)X64.Symbol(ImageSymbol.InitArrayStart);
        void** end = (void**)X64.Symbol(ImageSymbol.InitArrayEnd);
        for (; at < end; at++) X64.Call(*at, 0, 0, 0);
    }

    private static void InitializeMemory(BootInfoData* info)
    {
        ulong top = 0;
        for (int i = 0; i < info->RangeCount; i++)
        {
            BootMemoryRange* range = info->Range(i);
            if (range->Kind == BootMemoryKind.Usable && range->Start + range->Length > top) top = range->Start + range->Length;
        }
        if (top > 1UL << 46) top = 1UL << 46;
        ulong count = top >> 12;
        ulong metaBytes = (count * (ulong)sizeof(FrameMeta) + 4095) & ~4095UL;
        ulong kernelEnd = (KernelMap.ImageToPhys(X64.Symbol(ImageSymbol.KernelEnd)) + 4095) & ~4095UL;
        ulong metas = FindRoom(info, metaBytes, kernelEnd);
        if (metas == 0) Refuse("boot failed: not enough memory below 4 GiB\n"u8);
        FrameMeta* array = (FrameMeta*)KernelMap.PhysToVirt(metas);
        X64.Fill(array, 0, (nuint)metaBytes);
        FrameReserve.Initialize(array, count);
        AddUsable(info, 0, 1UL << 32, kernelEnd, metas, metas + metaBytes);
        KernelMap.Initialize();
        for (int pass = 0; pass < 2; pass++)
        {
            for (int i = 0; i < info->RangeCount; i++)
            {
                BootMemoryRange* range = info->Range(i);
                if (range->Kind is not (BootMemoryKind.Usable or BootMemoryKind.AcpiReclaimable or BootMemoryKind.AcpiNvs)) continue;
                ulong start = range->Start, end = range->Start + range->Length;
                // RAM below 4 GiB first: the boot tables reach it.
                if (pass == 0 ? start < 1UL << 32 : start >= 1UL << 32) KernelMap.AddDirect(start, end);
            }
            if (pass == 0)
            {
                KernelMap.AddDirect(0, 1 << 20);
                if (info->InitramfsLength != 0) KernelMap.AddDirect(info->InitramfsStart, info->InitramfsStart + info->InitramfsLength);
                KernelMap.Activate();
            }
        }
        AddUsable(info, 1UL << 32, ulong.MaxValue, kernelEnd, metas, metas + metaBytes);
        s_totalPages = FrameReserve.TotalPages;
    }

    /// <summary>Gives the usable ranges inside a window to the reserve, without the first MiB, the image, the initramfs and the metadata.</summary>
    private static void AddUsable(BootInfoData* info, ulong low, ulong high, ulong kernelEnd, ulong metaStart, ulong metaEnd)
    {
        ulong* holes = stackalloc ulong[6];
        holes[0] = 0;
        holes[1] = kernelEnd < 1 << 20 ? 1 << 20 : kernelEnd;
        holes[2] = metaStart;
        holes[3] = metaEnd;
        holes[4] = info->InitramfsStart & ~0xFFFUL;
        holes[5] = (info->InitramfsStart + info->InitramfsLength + 4095) & ~4095UL;
        for (int i = 0; i < info->RangeCount; i++)
        {
            BootMemoryRange* range = info->Range(i);
            if (range->Kind != BootMemoryKind.Usable) continue;
            ulong at = (range->Start + 4095) & ~4095UL, end = (range->Start + range->Length) & ~4095UL;
            if (at < low) at = low;
            if (end > high) end = high;
            while (at < end)
            {
                ulong stop = end;
                bool inside = false;
                for (int h = 0; h < 6; h += 2)
                {
                    if (at >= holes[h] && at < holes[h + 1])
                    {
                        at = holes[h + 1];
                        inside = true;
                    }
                    else if (holes[h] > at && holes[h] < stop && holes[h + 1] > holes[h]) stop = holes[h];
                }
                if (inside) continue;
                FrameReserve.AddRange(at, (stop - at) >> 12);
                at = stop;
            }
        }
    }

    private static ulong FindRoom(BootInfoData* info, ulong bytes, ulong kernelEnd)
    {
        ulong initramfsStart = info->InitramfsStart & ~0xFFFUL, initramfsEnd = (info->InitramfsStart + info->InitramfsLength + 4095) & ~4095UL;
        for (int i = 0; i < info->RangeCount; i++)
        {
            BootMemoryRange* range = info->Range(i);
            if (range->Kind != BootMemoryKind.Usable) continue;
            ulong at = (range->Start + 4095) & ~4095UL, end = range->Start + range->Length;
            if (end > 1UL << 32) end = 1UL << 32;
            if (at < kernelEnd) at = kernelEnd;
            if (info->InitramfsLength != 0 && at < initramfsEnd && at + bytes > initramfsStart) at = initramfsEnd;
            if (at + bytes <= end && at < end) return at;
        }
        return 0;
    }
}
