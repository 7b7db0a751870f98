using System;
using System.Buffers.Binary;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.User;
using Asterinas.Services.Processes;

namespace Asterinas.Services.Signals;

/// <summary>
/// What a signal handler finds on its stack, and rt_sigreturn(2) reads back: exactly as Linux lays it out on x86-64.
/// <code>
///   high   128 bytes that the ABI lets a function use below its stack pointer (not on an alternate stack)
///          FP_XSTATE_MAGIC2
///          XSAVE image, with sw_reserved in bytes 464 to 511 of its legacy region      aligned to 64
///          siginfo_t (128)
///          ucontext_t (304)
///   low    return address: SA_RESTORER                                                 ◄ stack pointer, 8 below a multiple of 16
/// </code>
/// A frame that comes back is hostile: it may hold anything.
/// </summary>
internal static class SignalFrame
{
    private const int ContextBytes = 304, FrameBytes = 8 + ContextBytes + SignalInfoLayout.Bytes;
    private const int RedZone = 128;
    private const int StackOffset = 16, RegistersOffset = 40, MaskOffset = 296;
    private const int FlagsAt = RegistersOffset + 17 * 8, SegmentsAt = FlagsAt + 8, ErrorAt = SegmentsAt + 8, StateAt = ErrorAt + 32;
    private const int SoftwareOffset = 464;
    private const uint Magic1 = 0x46505853, Magic2 = 0x46505845;
    // UC_FP_XSTATE, UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS
    private const ulong ContextFlags = 7;
    private const ushort CodeSelector = 0x33, StackSelector = 0x2B;
    private const ulong DirectionFlag = 0x400, TrapFlag = 0x100, ResumeFlag = 0x10000;
    // CF PF AF ZF SF TF DF OF RF AC: what a frame may set (FIX_EFLAGS).
    private const ulong RestorableFlags = 0x50DD5;
    private const int LegacyBytes = 512, HeaderBytes = 64;

    private static readonly Register[] s_order =
    [
        Register.R8, Register.R9, Register.R10, Register.R11, Register.R12, Register.R13, Register.R14, Register.R15, Register.Rdi, Register.Rsi, Register.Rbp, Register.Rbx,
        Register.Rdx, Register.Rax, Register.Rcx, Register.Rsp, Register.Rip,
    ];

    /// <summary>Bytes of stack that a frame takes at most: AT_MINSIGSTKSZ.</summary>
    public static int MinimumStackBytes { get; } = FrameBytes + 16 + UserContext.ExtendedStateBytes + 4 + 64;

    /// <summary>Puts a frame on the stack and makes the thread continue in the handler. False when the stack cannot take it.</summary>
    public static bool TryPush(Thread thread, in SignalInfo info, SignalAction action, SignalSet savedMask)
    {
        UserContext context = thread.Context;
        int state = UserContext.ExtendedStateBytes;
        ref AlternateStack alternate = ref thread.AlternateStack;
        ulong stack = context.StackPointer;
        bool isNested = alternate.Contains(stack);
        ulong top = unchecked(stack - RedZone);
        if ((action.Flags & SignalActionFlags.OnStack) != 0 && alternate.Size != 0 && !isNested) top = alternate.Start + alternate.Size;
        ulong stateAt = unchecked(top - (ulong)(state + 4)) & ~63UL;
        ulong frameAt = unchecked(((stateAt - FrameBytes) & ~15UL) - 8);
        // A nested handler must not run out of the alternate stack unseen.
        if (isNested && !alternate.Contains(frameAt)) return false;
        if (frameAt > top || (action.Flags & SignalActionFlags.Restorer) == 0) return false;

        Span<byte> image = thread.StateBuffer;
        context.ReadExtendedState(image[..state]);
        Span<byte> software = image.Slice(SoftwareOffset, 48);
        software.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(software, Magic1);
        BinaryPrimitives.WriteUInt32LittleEndian(software[4..], (uint)state + 4);
        BinaryPrimitives.WriteUInt64LittleEndian(software[8..], UserContext.ExtendedStateMask);
        BinaryPrimitives.WriteUInt32LittleEndian(software[16..], (uint)state);
        BinaryPrimitives.WriteUInt32LittleEndian(image[state..], Magic2);
        if (thread.Memory.Write(new UserAddress(stateAt), image[..(state + 4)]) != Errno.None) return false;

        Span<byte> frame = stackalloc byte[FrameBytes];
        frame.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(frame, action.Restorer);
        Span<byte> uc = frame.Slice(8, ContextBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(uc, ContextFlags);
        alternate.Encode(uc[StackOffset..]);
        for (int i = 0; i < s_order.Length; i++) BinaryPrimitives.WriteUInt64LittleEndian(uc[(RegistersOffset + i * 8)..], context[s_order[i]]);
        BinaryPrimitives.WriteUInt64LittleEndian(uc[FlagsAt..], context[Register.Rflags]);
        BinaryPrimitives.WriteUInt16LittleEndian(uc[SegmentsAt..], CodeSelector);
        BinaryPrimitives.WriteUInt16LittleEndian(uc[(SegmentsAt + 6)..], StackSelector);
        UserException fault = thread.LastFault;
        BinaryPrimitives.WriteUInt64LittleEndian(uc[ErrorAt..], fault.ErrorCode);
        BinaryPrimitives.WriteUInt64LittleEndian(uc[(ErrorAt + 8)..], (ulong)fault.Vector);
        BinaryPrimitives.WriteUInt64LittleEndian(uc[(ErrorAt + 16)..], savedMask.Bits);
        BinaryPrimitives.WriteUInt64LittleEndian(uc[(ErrorAt + 24)..], fault.FaultAddress);
        BinaryPrimitives.WriteUInt64LittleEndian(uc[StateAt..], stateAt);
        BinaryPrimitives.WriteUInt64LittleEndian(uc[MaskOffset..], savedMask.Bits);
        SignalInfoLayout.Encode(info, frame[(8 + ContextBytes)..]);
        if (thread.Memory.Write(new UserAddress(frameAt), frame) != Errno.None) return false;
        if ((alternate.Flags & AlternateStack.AutoDisarm) != 0) alternate = AlternateStack.None;

        context[Register.Rdi] = (ulong)info.Signal;
        context[Register.Rsi] = frameAt + 8 + ContextBytes;
        context[Register.Rdx] = frameAt + 8;
        context[Register.Rax] = 0;
        context.StackPointer = frameAt;
        context.InstructionPointer = action.Handler;
        context[Register.Rflags] &= ~(DirectionFlag | TrapFlag | ResumeFlag);
        return true;
    }

    /// <summary>rt_sigreturn(2): makes the thread continue as the frame at its stack pointer says. False when the frame cannot be read.</summary>
    public static bool TryPop(Thread thread)
    {
        UserContext context = thread.Context;
        Span<byte> uc = stackalloc byte[ContextBytes];
        if (thread.Memory.Read(new UserAddress(context.StackPointer), uc) != Errno.None) return false;
        ulong stateAt = BinaryPrimitives.ReadUInt64LittleEndian(uc[StateAt..]);
        if (!TryRestoreState(thread, stateAt)) return false;
        thread.SetMask(new SignalSet(BinaryPrimitives.ReadUInt64LittleEndian(uc[MaskOffset..])));
        for (int i = 0; i < s_order.Length; i++) context[s_order[i]] = BinaryPrimitives.ReadUInt64LittleEndian(uc[(RegistersOffset + i * 8)..]);
        ulong flags = BinaryPrimitives.ReadUInt64LittleEndian(uc[FlagsAt..]);
        context[Register.Rflags] = (context[Register.Rflags] & ~RestorableFlags) | (flags & RestorableFlags);
        // As sigaltstack(2) with the stack pointer restored; what it refuses stays as it is.
        AlternateStack wanted = AlternateStack.Decode(uc[StackOffset..]);
        thread.TrySetAlternateStack(wanted, ulong.MaxValue);
        return true;
    }

    private static bool TryRestoreState(Thread thread, ulong stateAt)
    {
        int size = UserContext.ExtendedStateBytes;
        Span<byte> image = thread.StateBuffer;
        image.Clear();
        if (stateAt == 0)
        {
            InitialState(image);
            thread.Context.WriteExtendedState(image[..size]);
            return true;
        }
        if (thread.Memory.Read(new UserAddress(stateAt), image[..LegacyBytes]) != Errno.None) return false;
        Span<byte> software = image.Slice(SoftwareOffset, 48);
        bool isWhole = BinaryPrimitives.ReadUInt32LittleEndian(software) == Magic1;
        uint claimed = BinaryPrimitives.ReadUInt32LittleEndian(software[16..]), extended = BinaryPrimitives.ReadUInt32LittleEndian(software[4..]);
        ulong features = BinaryPrimitives.ReadUInt64LittleEndian(software[8..]);
        isWhole = isWhole && claimed >= LegacyBytes + HeaderBytes && claimed <= size && claimed <= extended;
        if (isWhole)
        {
            if (thread.Memory.Read(new UserAddress(stateAt + claimed), out uint magic) != Errno.None) return false;
            isWhole = magic == Magic2;
        }
        if (isWhole)
        {
            if (thread.Memory.Read(new UserAddress(stateAt + LegacyBytes), image[LegacyBytes..(int)claimed]) != Errno.None) return false;
            Span<byte> header = image.Slice(LegacyBytes, HeaderBytes);
            BinaryPrimitives.WriteUInt64LittleEndian(header, BinaryPrimitives.ReadUInt64LittleEndian(header) & features);
        }
        else
        {
            // Only the legacy region: x87 and SSE are in it, the rest is as after reset.
            BinaryPrimitives.WriteUInt64LittleEndian(image[LegacyBytes..], 3);
        }
        thread.Context.WriteExtendedState(image[..size]);
        return true;
    }

    /// <summary>The state of x87, SSE and AVX that a program begins with.</summary>
    public static void InitialState(Span<byte> image)
    {
        image.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(image, 0x37F);
        BinaryPrimitives.WriteUInt32LittleEndian(image[24..], 0x1F80);
    }
}

/// <summary>Where a thread's handlers with SA_ONSTACK run (man 2 sigaltstack).</summary>
/// <param name="Start">The lowest address.</param>
/// <param name="Size">Bytes; 0 for none.</param>
/// <param name="Flags">SS_AUTODISARM or SS_DISABLE.</param>
internal readonly record struct AlternateStack(ulong Start, ulong Size, uint Flags)
{
    public const uint OnStack = 1, Disable = 2, AutoDisarm = 1u << 31;
    public const ulong MinimumBytes = 2048;
    public const int Bytes = 24;
    public static readonly AlternateStack None = new(0, 0, Disable);

    /// <summary>Whether a stack pointer is on it. Never, while it disarms itself.</summary>
    public bool Contains(ulong stackPointer) => (Flags & AutoDisarm) == 0 && stackPointer > Start && stackPointer - Start <= Size;

    public void Encode(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(destination, Start);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[8..], Flags);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[16..], Size);
    }

    public static AlternateStack Decode(ReadOnlySpan<byte> source) =>
        new(BinaryPrimitives.ReadUInt64LittleEndian(source), BinaryPrimitives.ReadUInt64LittleEndian(source[16..]), BinaryPrimitives.ReadUInt32LittleEndian(source[8..]));
}
