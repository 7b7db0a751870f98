using System;
using System.Runtime;
using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>The vectors of this kernel. Lines of devices get the ones between <see cref="FirstDevice"/> and <see cref="LastDevice"/>.</summary>
internal static class Vectors
{
    public const int FirstDevice = 0x30;
    public const int LastDevice = 0xDF;
    public const int Timer = 0xE0;
    public const int Activation = 0xE1;
    public const int Reschedule = 0xE2;
    public const int Call = 0xE3;
    public const int Spurious = 0xFF;
}

/// <summary>
/// The local APIC of each CPU (SDM vol. 3 ch. 11). xAPIC, registers in memory; or x2APIC, registers as MSRs, when the firmware has switched it on. The x2APIC path is
/// NOT TESTED: software emulation has no x2APIC.
/// </summary>
// SAFETY: the registers are mapped once, uncached, at the address that the CPU gives, the same on all CPUs, and stay mapped; offsets are constants.
internal static unsafe class Apic
{
    private const int Id = 0x20, TaskPriority = 0x80, EndOfInterruptRegister = 0xB0, SpuriousRegister = 0xF0, CommandLow = 0x300, CommandHigh = 0x310, LvtTimer = 0x320,
        LvtLint0 = 0x350, LvtLint1 = 0x360, LvtError = 0x370, InitialCount = 0x380, CurrentCount = 0x390, DivideConfiguration = 0x3E0;
    private const uint Masked = 1 << 16, DeliveryPending = 1 << 12, Assert = 1 << 14, DeliverNmi = 4 << 8, DeliverInit = 5 << 8, DeliverStartup = 6 << 8;
    private const ulong X2ApicEnabled = 0x400;
    private const uint X2ApicMsrs = 0x800;

    private static uint* s_local;
    private static bool s_isX2;

    /// <summary>On the boot CPU: maps the registers and switches its local APIC on.</summary>
    public static void Initialize(PerCpu* cpu)
    {
        // The legacy 8259s: moved away from the exceptions and masked.
        X64.Out8(0x20, 0x11); X64.Out8(0xA0, 0x11);
        X64.Out8(0x21, 0x20); X64.Out8(0xA1, 0x28);
        X64.Out8(0x21, 0x04); X64.Out8(0xA1, 0x02);
        X64.Out8(0x21, 0x01); X64.Out8(0xA1, 0x01);
        X64.Out8(0x21, 0xFF); X64.Out8(0xA1, 0xFF);

        ulong setting = X64.ReadMsr(X64.MsrApicBase);
        s_isX2 = (setting & X2ApicEnabled) != 0;
        if (!s_isX2) s_local = (uint*)MapDevice(setting & 0x000FFFFFFFFFF000);
        InitializeCpu(cpu);
        ApicTimer.Initialize();
        IoApic.Initialize();
    }

    /// <summary>On each CPU.</summary>
    public static void InitializeCpu(PerCpu* cpu)
    {
        ulong setting = X64.ReadMsr(X64.MsrApicBase) | 0x800;
        if (s_isX2) setting |= X2ApicEnabled;
        X64.WriteMsr(X64.MsrApicBase, setting);
        Write(TaskPriority, 0);
        Write(LvtLint0, Masked);
        Write(LvtLint1, 0x400);                             // NMI
        Write(LvtError, Masked);
        Write(SpuriousRegister, 0x100 | Vectors.Spurious);
        cpu->ApicId = s_isX2 ? Read(Id) : Read(Id) >> 24;
    }

    public static uint Read(int register) => s_isX2 ? (uint)X64.ReadMsr(X2ApicMsrs + (uint)register / 16) : s_local[register / 4];

    public static void Write(int register, uint value)
    {
        if (s_isX2) X64.WriteMsr(X2ApicMsrs + (uint)register / 16, value);
        else Volatile.Write(ref s_local[register / 4], value);
    }

    public static void EndOfInterrupt() => Write(EndOfInterruptRegister, 0);

    public static void SetTimer(uint vector, uint count)
    {
        Write(LvtTimer, vector);
        Write(DivideConfiguration, 3);                      // by 16
        Write(InitialCount, count);
    }

    public static uint TimerCount() => Read(CurrentCount);

    /// <summary>Interrupts another CPU. What was written before is visible there when it takes the interrupt.</summary>
    public static void Send(PerCpu* target, int vector) => Command(target->ApicId, Assert | (uint)vector);

    /// <summary>Interrupts another CPU whatever it does.</summary>
    public static void SendNmi(PerCpu* target) => Command(target->ApicId, Assert | DeliverNmi);

    public static void SendInit(uint apicId) => Command(apicId, Assert | DeliverInit);

    /// <summary>Starts a CPU that got INIT in real mode at a page below 1 MiB.</summary>
    public static void SendStartup(uint apicId, ulong page) => Command(apicId, Assert | DeliverStartup | (uint)(page >> 12));

    private static void Command(uint apicId, uint low)
    {
        if (s_isX2)
        {
            Interlocked.MemoryBarrier();                    // WRMSR to the x2APIC does not order earlier stores (SDM vol. 3 §11.12.3)
            X64.WriteMsr(X2ApicMsrs + CommandLow / 16, (ulong)apicId << 32 | low);
            return;
        }
        bool wasEnabled = (X64.ReadFlags() & 0x200) != 0;
        X64.DisableInterrupts();                            // a top half that sends one must not come between the halves
        while ((Read(CommandLow) & DeliveryPending) != 0) X64.Pause();
        Write(CommandHigh, apicId << 24);
        Write(CommandLow, low);
        if (wasEnabled) X64.EnableInterrupts();
    }

    public static void* MapDevice(ulong physical)
    {
        ulong area = KernelArea.Allocate(4096);
        ulong flags = KernelMap.Writable | KernelMap.NoExecute | KernelMap.CacheDisable | KernelMap.WriteThrough;
        if (area == 0 || !KernelMap.Map(area, physical & ~0xFFFUL, flags)) Panic.Fail("cannot map an APIC\n"u8);
        return (void*)(area + (physical & 0xFFF));
    }
}
