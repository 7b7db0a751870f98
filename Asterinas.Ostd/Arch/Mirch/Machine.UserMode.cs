using System;
using System.Threading;
using Asterinas.Ostd.User;

namespace Asterinas.Ostd.Arch;

/// <summary>The registers of the simulated program while it "runs"; the frame's layout is that of the platform layer.</summary>
// SAFETY: made only for the duration of UserExecute, over the frame that its caller keeps alive; slots are checked against the enum.
internal readonly unsafe ref struct SimulatedRegisters(byte* frame)
{
    private readonly byte* _frame = frame;

    public ulong this[Register register]
    {
        get => *Slot(register);
        set => *Slot(register) = value;
    }

    private ulong* Slot(Register register) =>
        (uint)register <= (uint)Register.GsBase ? (ulong*)_frame + (int)register : throw new ArgumentOutOfRangeException(nameof(register));
}

/// <summary>How a simulated program left user mode.</summary>
/// <param name="Reason">Why.</param>
/// <param name="Exception">The exception, when that was the reason.</param>
internal readonly record struct SimulatedTrap(ReturnReason Reason, UserException Exception = default);

/// <summary>A simulated user program: runs until it traps. Memory it reaches through the active address space (CopyFromUser, CopyToUser).</summary>
internal delegate SimulatedTrap SimulatedProgram(SimulatedRegisters registers);

/// <summary>
/// Simulated user mode: there is no ring 3, so a test supplies what the program does. The checks of the entry are those of the platform layer.
/// </summary>
// SAFETY: the frame is the one that UserContext allocated, with the layout of UserFrame.
internal static unsafe partial class Machine
{
    private const int RipSlot = 16, RflagsSlot = 17, FsBaseSlot = 18, GsBaseSlot = 19, VectorSlot = 20, ReturnModeSlot = 23;
    private const ulong FlagsUser = 0x240DD5, FlagsFixed = 0x202;
    private const ulong StateX87AndSse = 3;
    private const uint XsaveImageBytes = 576;

    /// <summary>What user mode executes; without one it cannot be entered.</summary>
    public static SimulatedProgram? UserProgram { get; set; }

    public static int UserExecute(byte* frame)
    {
        var slots = (ulong*)frame;
        if (slots[RipSlot] >= UserEnd || slots[FsBaseSlot] >= UserEnd || slots[GsBaseSlot] >= UserEnd)
        {
            return Trap(slots, new SimulatedTrap(ReturnReason.UserException, new UserException(UserException.GeneralProtection, 0, 0)));
        }
        slots[RflagsSlot] = (slots[RflagsSlot] & FlagsUser) | FlagsFixed;
        if (Volatile.Read(ref Self().Cpu.Events) != 0) return (int)ReturnReason.KernelEvent;
        SimulatedProgram program = UserProgram ?? throw new InvalidOperationException("the simulated machine has no user program to run");
        return Trap(slots, program(new SimulatedRegisters(frame)));
    }

    /// <summary>The simulated program's extended state is always in the frame: there are no registers to save it from.</summary>
    public static void UserSave(byte* frame)
    {
    }

    public static ulong XsaveMask() => StateX87AndSse;

    public static uint XsaveBytes() => XsaveImageBytes;

    private static int Trap(ulong* slots, SimulatedTrap trap)
    {
        slots[ReturnModeSlot] = trap.Reason == ReturnReason.UserSyscall ? 1UL : 0;
        if (trap.Reason == ReturnReason.UserException)
        {
            slots[VectorSlot] = (ulong)trap.Exception.Vector;
            slots[VectorSlot + 1] = trap.Exception.ErrorCode;
            slots[VectorSlot + 2] = trap.Exception.FaultAddress;
        }
        return (int)trap.Reason;
    }
}
