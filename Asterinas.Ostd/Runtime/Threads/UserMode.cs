using System;
using System.Runtime;
using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>
/// The way into user mode. The frame comes from managed code and is hostile all the same: what the CPU would fault on, in the kernel, is refused or
/// made harmless here (design of record, entry rules).
/// </summary>
// SAFETY: the managed side keeps the frame allocated, unmoved and as large as ostd says while it may be used (UserContext); its contents are hostile and checked here
// before the CPU sees them. Copies go through routines with a fault table, and addresses beyond the user half are refused.
internal static unsafe class UserMode
{
    private const int ReasonException = 1, ReasonEvent = 2;
    private const ulong FlagsUser = 0x240DD5;               // CF PF AF ZF SF TF DF OF AC ID: what a program may set
    private const uint MxcsrMask = 0xFFFF;
    private const ulong UserEnd = KernelMap.GcBase;

    /// <summary>Returns 0 system call, 1 exception, 2 kernel event.</summary>
    [RuntimeExport("ostd_user_execute")]
    private static int Execute(UserFrame* frame)
    {
        // A RIP or base outside the user half would fault at CPL 0: it becomes the general protection fault that the program deserves.
        if (frame->Rip >= UserEnd || frame->FsBase >= UserEnd || frame->GsBase >= UserEnd) return Refuse(frame);
        frame->Rflags = (frame->Rflags & FlagsUser) | 0x202;
        frame->Mxcsr &= MxcsrMask;
        if ((frame->Rflags & 0x100) != 0) frame->ReturnMode = 0;        // TF: SYSRET would trap a step too late
        frame->XsaveMask = Features.XsaveMask;
        ulong* header = (ulong*)((byte*)frame + UserFrame.XsaveOffset + 512);
        header[0] &= Features.XsaveMask;
        for (int i = 1; i < 8; i++) header[i] = 0;          // standard format, reserved bytes zero (SDM vol. 1 §13.8)
        *(uint*)((byte*)frame + UserFrame.XsaveOffset + 24) &= MxcsrMask;
        PerCpu* cpu = X64.PerCpu();
        cpu->Current->Frame = frame;
        X64.DisableInterrupts();
        if (Volatile.Read(ref cpu->Events) != 0)
        {
            X64.EnableInterrupts();
            return ReasonEvent;
        }
        int reason = X64.UserEnter(frame);
        Thread* self = Threads.Current;
        if (Volatile.Read(ref self->Activation) != 0) Activations.Deliver(self);
        return reason;
    }

    /// <summary>
    /// Called before the extended state in a frame is read or replaced, and before a frame goes away: wherever the registers hold it, they are saved and forgotten. A thread that is
    /// switched away from leaves nothing in the registers, so another CPU holds it only while the frame's thread is in the kernel there.
    /// </summary>
    [RuntimeExport("ostd_user_save")]
    private static void Save(UserFrame* frame)
    {
        PerCpu* self = X64.PerCpu();
        Threads.SaveExtended(self, frame);
        ulong holders = 0;
        for (int cpu = 0; cpu < Cpus.Count; cpu++)
        {
            if (Volatile.Read(ref *(nint*)&Cpus.Of(cpu)->FpuOwner) == (nint)frame) holders |= 1UL << cpu;
        }
        holders &= Cpus.Others(self);
        if (holders != 0)
        {
            self->CallKind = CpuCalls.SaveExtended;
            self->CallFrame = frame;
            CpuCalls.Send(self, holders);
        }
        if (self->Current->Frame == frame) self->Current->Frame = null;
    }

    private static int Refuse(UserFrame* frame)
    {
        frame->Vector = 13;
        frame->ErrorCode = 0;
        frame->FaultAddress = 0;
        frame->ReturnMode = 0;
        return ReasonException;
    }

    [RuntimeExport("ostd_copy_from_user")]
    private static nuint CopyFromUser(byte* destination, ulong source, nuint count) =>
        InUser(source, count) ? count - X64.CopyUser(destination, (void*)source, count) : 0;

    [RuntimeExport("ostd_copy_to_user")]
    private static nuint CopyToUser(ulong destination, byte* source, nuint count) =>
        InUser(destination, count) ? count - X64.CopyUser((void*)destination, source, count) : 0;

    [RuntimeExport("ostd_zero_user")]
    private static nuint ZeroUser(ulong destination, nuint count) =>
        InUser(destination, count) ? count - X64.ZeroUser((void*)destination, count) : 0;

    [RuntimeExport("ostd_compare_exchange_user32")]
    private static int CompareExchange(ulong address, uint expected, uint value, uint* found)
    {
        if ((address & 3) != 0 || !InUser(address, 4)) return 0;
        return X64.CompareExchangeUser((uint*)address, expected, value, found) == 0 ? 1 : 0;
    }

    private static bool InUser(ulong address, nuint count) => address < UserEnd && count <= UserEnd - address;
}
