using System;
using System.Runtime;
using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>
/// Starts the CPUs that the firmware left halted (SDM vol. 3 §9.4.4: INIT, then STARTUP twice), one after the other. One that does not come up is reported, and the boot goes on without
/// it; if it comes later, it finds that nobody expects it, and stops for good (boot.s).
/// </summary>
// SAFETY: the trampoline's page is usable RAM below 1 MiB, which is never given to an allocator; a started CPU gets an area and a stack of its own, and the words that it reads them from
// are written before it is started and not again before it has answered or was given up by compare-and-swap.
internal static unsafe class ApplicationCpus
{
    private const int Nobody = -2, Claimed = -1;            // boot.s
    private const ulong StackBytes = 64 * 1024;
    private const ulong Millisecond = 1000000;
    private const ulong PatienceNs = 3000 * Millisecond;

    public static void Start(PerCpu* self, BootInfoData* info)
    {
        if (Acpi.CpuCount < 2) return;
        ulong page = FindPage(info);
        if (page == 0)
        {
            Console.Write("smp: no memory below 1 MiB to start CPUs from\n"u8);
            return;
        }
        ulong trampoline = X64.Symbol(ImageSymbol.ApTrampoline);
        X64.Copy(KernelMap.PhysToVirt(page), (void*)trampoline, (nuint)(X64.Symbol(ImageSymbol.ApTrampolineEnd) - trampoline));
        int parked = BootText.Number(info, "parkcpu=\0"u8.Pointer);        // for tests: the firmware's CPU N is not expected when it starts
        for (int i = 0; i < Acpi.CpuCount; i++)
        {
            uint apicId = Acpi.ApicIds.Id[i];
            if (apicId == self->ApicId) continue;
            if (StartOne(apicId, page, i == parked)) continue;
            Console.Write("smp: the CPU with APIC ID "u8);
            Console.WriteDecimal(apicId);
            Console.Write(" did not come up; going on without it\n"u8);
        }
    }

    private static bool StartOne(uint apicId, ulong page, bool isParked)
    {
        ulong frame = FrameReserve.Allocate(0, FrameState.Metadata);
        Thread* thread = frame == 0 ? null : Threads.Create(null, 0, StackBytes);
        if (thread == null)
        {
            if (frame != 0) FrameReserve.Free(frame, 0);
            return false;
        }
        PerCpu* cpu = (PerCpu*)KernelMap.PhysToVirt(frame);
        X64.Fill(cpu, 0, 4096);
        cpu->Self = cpu;
        cpu->CpuId = Cpus.Count;
        cpu->ActiveRoot = KernelMap.Root;
        cpu->Current = thread;
        *(ulong*)X64.Symbol(ImageSymbol.ApRoot) = KernelMap.Root;
        *(ulong*)X64.Symbol(ImageSymbol.ApStack) = thread->StackHigh;
        *(ulong*)X64.Symbol(ImageSymbol.ApArea) = (ulong)cpu;
        int* expected = (int*)X64.Symbol(ImageSymbol.ApExpected);
        if (!isParked) Interlocked.Exchange(ref *expected, (int)apicId);

        Apic.SendInit(apicId);
        Clock.Spin(10 * Millisecond);
        for (int tries = 0; tries < 2; tries++)
        {
            Apic.SendStartup(apicId, page);
            Clock.Spin(Millisecond / 5);
        }
        ulong end = Clock.Nanoseconds() + PatienceNs;
        while (Volatile.Read(ref cpu->IsOnline) == 0)
        {
            X64.Pause();
            if (Clock.Nanoseconds() < end || Volatile.Read(ref *expected) == Claimed) continue;
            int had = Interlocked.CompareExchange(ref *expected, Nobody, (int)apicId);
            if (had == Claimed) continue;                   // in the last moment: it will answer
            Threads.Discard(thread);
            FrameReserve.Free(frame, 0);
            return false;
        }
        Volatile.Write(ref *expected, Nobody);
        Cpus.Add(cpu);
        return true;
    }

    /// <summary>First C# code of a started CPU, on the stack of its first thread.</summary>
    [RuntimeExport("ostd_ap_main")]
    private static void Main(PerCpu* cpu)
    {
        Features.Enable();
        X64.WriteGsBase((ulong)cpu);
        Traps.InitializeCpu(cpu);
        X64.WriteGsBase((ulong)cpu);                        // loading selectors may have cleared it
        Threads.Adopt(cpu, cpu->Current);
        Apic.InitializeCpu(cpu);
        Apic.SetTimer(1 << 16, 0);
        Volatile.Write(ref cpu->IsOnline, 1);
        Threads.IdleUntilStarted(cpu);
    }

    /// <summary>A free page of RAM below 640 KiB, above the firmware's own data.</summary>
    private static ulong FindPage(BootInfoData* info)
    {
        for (ulong page = 0x8000; page < 0x90000; page += 0x1000)
        {
            if (Touches(page, info->InitramfsStart, info->InitramfsLength)) continue;
            for (int i = 0; i < info->RangeCount; i++)
            {
                BootMemoryRange* range = info->Range(i);
                if (range->Kind == BootMemoryKind.Usable && range->Start <= page && page + 0x1000 <= range->Start + range->Length) return page;
            }
        }
        return 0;
    }

    private static bool Touches(ulong page, ulong start, ulong length) => length != 0 && start < page + 0x1000 && start + length > page;
}
