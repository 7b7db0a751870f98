using System;
using System.Runtime;
using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>Descriptor tables, IST stacks, and what happens on a vector: top halves and faults, all in no-GC code.</summary>
// SAFETY: entry.s passes the frame that it pushed on the IST stack in use; tables and stacks are static or never freed; vectors are below 256, so bit and gate
// indices fit. The user frame is the one that this CPU executes.
internal static unsafe class Traps
{
    private const int StackBytes = 16384;
    private const int IstCount = 6;

    // Which IST stack a vector uses. Interrupts and faults differ, so that a fault inside a top half still has a stack to panic on.
    private const int IstInterrupt = 1, IstFault = 2, IstNmi = 3, IstDoubleFault = 4, IstDebug = 5, IstMachineCheck = 6;

    private struct Idt
    {
        public fixed ulong Gates[512];
    }

    private struct TablePointer
    {
        public ushort Limit;
        public ushort Base0, Base1, Base2, Base3;

        public void Set(void* table, int bytes)
        {
            Limit = (ushort)(bytes - 1);
            Base0 = (ushort)(ulong)table;
            Base1 = (ushort)((ulong)table >> 16);
            Base2 = (ushort)((ulong)table >> 32);
            Base3 = (ushort)((ulong)table >> 48);
        }
    }

    private static Idt s_idt;

    public static void InitializeIdt()
    {
        ulong stubs = X64.Symbol(ImageSymbol.VectorStubs);
        fixed (ulong* gates = s_idt.Gates)
        {
            for (int vector = 0; vector < 256; vector++)
            {
                ulong handler = stubs + (ulong)vector * 16;
                int ist = vector switch
                {
                    1 => IstDebug,
                    2 => IstNmi,
                    8 => IstDoubleFault,
                    18 => IstMachineCheck,
                    < 32 => IstFault,
                    _ => IstInterrupt,
                };
                ulong privilege = vector is 3 or 4 ? 3UL : 0;       // INT3 and INTO are for user programs
                gates[2 * vector] = (handler & 0xFFFF) | 0x08UL << 16 | (ulong)ist << 32 | 0x8EUL << 40 | privilege << 45 | (handler >> 16 & 0xFFFF) << 48;
                gates[2 * vector + 1] = handler >> 32;
            }
        }
    }

    /// <summary>Makes the tables of this CPU current: GDT, TSS with its IST stacks, IDT, GS base, system-call MSRs.</summary>
    public static void InitializeCpu(PerCpu* cpu)
    {
        byte* gdtBytes = cpu->Gdt;
        ulong* gdt = (ulong*)gdtBytes;
        ulong tss = (ulong)cpu->Tss;
        gdt[0] = 0;
        gdt[1] = 0x00AF9A000000FFFF;            // 0x08 kernel code
        gdt[2] = 0x00CF92000000FFFF;            // 0x10 kernel data
        gdt[3] = 0x00CFFA000000FFFF;            // 0x18 user code, 32 bit (unused, SYSRET's layout wants the slot)
        gdt[4] = 0x00CFF2000000FFFF;            // 0x20 user data
        gdt[5] = 0x00AFFA000000FFFF;            // 0x28 user code
        gdt[6] = 103 | (tss & 0xFFFFFF) << 16 | 0x89UL << 40 | (tss >> 24 & 0xFF) << 56;
        gdt[7] = tss >> 32;

        byte* stacks = AllocateStacks(cpu);
        for (int i = 0; i < IstCount; i++)
        {
            byte* stack = stacks + i * StackBytes;
            *(PerCpu**)stack = cpu;             // where exceptions find their CPU (entry.s)
            *(ulong*)(cpu->Tss + 36 + 8 * i) = (ulong)(stack + StackBytes);
        }
        *(ulong*)(cpu->Tss + 4) = (ulong)(stacks + StackBytes);     // RSP0: never used, every gate has an IST
        *(ushort*)(cpu->Tss + 102) = 104;       // no I/O permission bitmap

        TablePointer pointer = default;
        pointer.Set(gdt, 8 * 8);
        X64.LoadGdt(&pointer, 0x30);
        fixed (ulong* gates = s_idt.Gates) pointer.Set(gates, 4096);
        X64.LoadIdt(&pointer);
        X64.WriteMsr(X64.MsrStar, 0x08UL << 32 | 0x18UL << 48);
        X64.WriteMsr(X64.MsrLstar, EntryOfSyscall());
        X64.WriteMsr(X64.MsrCstar, 0);
        X64.WriteMsr(X64.MsrSfmask, 0x257FD5 & ~2UL);               // everything but the always-one bit is cleared on entry
        X64.WriteMsr(X64.MsrKernelGsBase, 0);
    }

    private static ulong EntryOfSyscall() => X64.Symbol(ImageSymbol.SyscallEntry);

    private static byte* AllocateStacks(PerCpu* cpu)
    {
        // Six stacks of 16 KiB in a block of 128 KiB: the buddy aligns it, and so each of them.
        ulong frames = FrameReserve.Allocate(5, FrameState.KernelStack);
        if (frames == 0) Panic.Fail("out of memory for interrupt stacks\n"u8);
        byte* stacks = (byte*)KernelMap.PhysToVirt(frames);
        X64.Fill(stacks, 0, 32 * 4096);
        return stacks;
    }

    /// <summary>A trap out of kernel code. Runs on an IST stack with interrupts off.</summary>
    [RuntimeExport("ostd_kernel_trap")]
    private static void KernelTrap(TrapFrame* frame)
    {
        if (frame->Vector >= 32)
        {
            Interrupt((int)frame->Vector, frame);
            if (frame->Vector == Vectors.Activation) Activations.OnInterrupt(X64.PerCpu(), frame);
            return;
        }
        switch (frame->Vector)
        {
            case 14:
                if (FixUserAccess(frame)) return;
                ulong address = X64.ReadCr2();
                Thread* thread = X64.PerCpu()->Current;
                if (IsStackOverflow(thread, address)) Panic.FailTrap("kernel panic: stack overflow"u8, frame);
                if (address < KernelMap.GcBase && IsManaged(frame->Rip) && Signals.Deliver(Signals.SIGSEGV, frame, address)) return;
                Panic.FailTrap("kernel panic: page fault in the kernel"u8, frame);
                return;
            case 0:
                if (IsManaged(frame->Rip) && Signals.Deliver(Signals.SIGFPE, frame, 0)) return;
                Panic.FailTrap("kernel panic: division error in the kernel"u8, frame);
                return;
            case 2:
                NonMaskable(frame);
                return;
            case 8:
                Panic.FailTrap("kernel panic: double fault"u8, frame);
                return;
            case 13:
                Panic.FailTrap("kernel panic: general protection fault in the kernel"u8, frame);
                return;
            case 18:
                Panic.FailTrap("kernel panic: machine check"u8, frame);
                return;
            default:
                Panic.FailTrap("kernel panic: exception in the kernel"u8, frame);
                return;
        }
    }

    /// <summary>
    /// A trap out of user mode. 0: go straight back; otherwise the reason for UserMode.Execute plus one (2 exception, 3 kernel event).
    /// </summary>
    [RuntimeExport("ostd_user_trap")]
    private static int UserTrap(TrapFrame* frame)
    {
        PerCpu* cpu = X64.PerCpu();
        int reason;
        if (frame->Vector >= 32)
        {
            Interrupt((int)frame->Vector, frame);
            if (Volatile.Read(ref cpu->Events) == 0) return 0;
            reason = 3;
        }
        else
        {
            if (frame->Vector == 2) NonMaskable(frame);
            if (frame->Vector is 8 or 18) Panic.FailTrap("kernel panic: double fault or machine check in user mode"u8, frame);
            reason = 2;
        }
        UserFrame* user = cpu->UserFrame;
        user->Rax = frame->Rax; user->Rbx = frame->Rbx; user->Rcx = frame->Rcx; user->Rdx = frame->Rdx;
        user->Rsi = frame->Rsi; user->Rdi = frame->Rdi; user->Rbp = frame->Rbp; user->Rsp = frame->Rsp;
        user->R8 = frame->R8; user->R9 = frame->R9; user->R10 = frame->R10; user->R11 = frame->R11;
        user->R12 = frame->R12; user->R13 = frame->R13; user->R14 = frame->R14; user->R15 = frame->R15;
        user->Rip = frame->Rip;
        user->Rflags = frame->Rflags;
        user->ReturnMode = 0;
        X64.Copy(user->Xmm, frame->Xmm, 256);
        if (reason == 2)
        {
            user->Vector = frame->Vector;
            user->ErrorCode = frame->Error;
            user->FaultAddress = frame->Vector == 14 ? X64.ReadCr2() : 0;
        }
        return reason;
    }

    /// <summary>The top half of every interrupt: acknowledge, note, leave.</summary>
    private static void Interrupt(int vector, TrapFrame* frame)
    {
        PerCpu* cpu = X64.PerCpu();
        cpu->InterruptCount++;
        if (vector == Vectors.Spurious) return;                     // not acknowledged (SDM vol. 3 §11.9)
        IoApic.MaskLevel(vector);
        Apic.EndOfInterrupt();
        if (vector == Vectors.Timer)
        {
            ApicTimer.OnInterrupt(cpu, frame);
            return;
        }
        if (vector == Vectors.Call)
        {
            CpuCalls.Serve(cpu);
            return;
        }
        if (vector is Vectors.Reschedule or Vectors.Activation) return;     // the sender has noted the event; see Activations
        if (vector is >= Vectors.FirstDevice and <= Vectors.LastDevice)
        {
            ulong* pending = cpu->PendingVectors;
            Interlocked.Or(ref pending[vector >> 6], 1UL << (vector & 63));
            Interlocked.Or(ref cpu->Events, CpuEvents.IrqPending);
        }
    }

    /// <summary>A CPU that panics stops the others so, and the watchdog asks so for a stack trace.</summary>
    private static void NonMaskable(TrapFrame* frame)
    {
        if (Panic.IsPanicking) X64.Stop();
        Watchdog.OnNmi(X64.PerCpu(), frame);
        Panic.FailTrap("kernel panic: non-maskable interrupt"u8, frame);
    }

    /// <summary>A fault inside the user-copy routines continues at their fixup: the copy comes back short.</summary>
    private static bool FixUserAccess(TrapFrame* frame)
    {
        if (X64.ReadCr2() >= KernelMap.GcBase) return false;
        return Fix(frame, ImageSymbol.CopyUserFault) || Fix(frame, ImageSymbol.ZeroUserFault) || Fix(frame, ImageSymbol.CompareExchangeUserFault);
    }

    private static bool Fix(TrapFrame* frame, ImageSymbol fault)
    {
        if (frame->Rip != X64.Symbol(fault)) return false;
        frame->Rip = X64.Symbol(fault + 1);
        return true;
    }

    private static bool IsStackOverflow(Thread* thread, ulong address)
    {
        if (thread == null) return false;
        return address < thread->StackLow && address >= thread->StackLow - 65536 && thread->StackLow != 0 && address >= KernelMap.DirectMapBase;
    }

    /// <summary>
    /// Faults become exceptions in managed code, and in the few helpers of the runtime that access memory for it: the runtime's own handler decides.
    /// </summary>
    private static bool IsManaged(ulong rip) => rip >= X64.Symbol(ImageSymbol.TextStart) && rip < X64.Symbol(ImageSymbol.TextEnd);

    [RuntimeExport("ostd_pending_events")]
    private static uint PendingEvents() => (uint)Volatile.Read(ref X64.PerCpu()->Events);

    [RuntimeExport("ostd_take_timer_expired")]
    private static int TakeTimerExpired() => Take(CpuEvents.TimerExpired);

    [RuntimeExport("ostd_take_reschedule")]
    private static int TakeReschedule() => Take(CpuEvents.Reschedule);

    [RuntimeExport("ostd_take_reserve_low")]
    private static int TakeReserveLow() => Take(CpuEvents.ReserveLow);

    [RuntimeExport("ostd_take_pending_vector")]
    private static int TakePendingVector()
    {
        PerCpu* cpu = X64.PerCpu();
        ulong* pending = cpu->PendingVectors;
        Take(CpuEvents.IrqPending);
        for (int word = 0; word < 4; word++)
        {
            ulong bits = Volatile.Read(ref pending[word]);
            if (bits == 0) continue;
            int bit = 0;
            while ((bits >> bit & 1) == 0) bit++;
            Interlocked.And(ref pending[word], ~(1UL << bit));
            // There may be more: the event stays until a look finds none.
            Interlocked.Or(ref cpu->Events, CpuEvents.IrqPending);
            return word * 64 + bit;
        }
        return -1;
    }

    [RuntimeExport("ostd_interrupt_count")]
    private static ulong InterruptCount() => X64.PerCpu()->InterruptCount;

    private static int Take(ulong bit)
    {
        PerCpu* cpu = X64.PerCpu();
        if ((Volatile.Read(ref cpu->Events) & bit) == 0) return 0;
        Interlocked.And(ref cpu->Events, ~bit);
        return 1;
    }
}
