using System;
using System.Threading;
using Asterinas.Ostd.Arch;

namespace Asterinas.Ostd.User;

/// <summary>A general-purpose register of a user thread, in the order of the saved frame.</summary>
public enum Register
{
    /// <summary>RAX: system-call number and result.</summary>
    Rax,
    /// <summary>RBX.</summary>
    Rbx,
    /// <summary>RCX: destroyed by SYSCALL.</summary>
    Rcx,
    /// <summary>RDX: third argument.</summary>
    Rdx,
    /// <summary>RSI: second argument.</summary>
    Rsi,
    /// <summary>RDI: first argument.</summary>
    Rdi,
    /// <summary>RBP.</summary>
    Rbp,
    /// <summary>RSP: stack pointer.</summary>
    Rsp,
    /// <summary>R8: fifth argument.</summary>
    R8,
    /// <summary>R9: sixth argument.</summary>
    R9,
    /// <summary>R10: fourth argument of a system call.</summary>
    R10,
    /// <summary>R11: destroyed by SYSCALL.</summary>
    R11,
    /// <summary>R12.</summary>
    R12,
    /// <summary>R13.</summary>
    R13,
    /// <summary>R14.</summary>
    R14,
    /// <summary>R15.</summary>
    R15,
    /// <summary>RIP: instruction pointer.</summary>
    Rip,
    /// <summary>RFLAGS: only the flags that a program may set reach the CPU.</summary>
    Rflags,
    /// <summary>Base of FS.</summary>
    FsBase,
    /// <summary>Base of GS.</summary>
    GsBase,
}

/// <summary>A CPU exception of a user program (SDM vol. 3 §6.15).</summary>
/// <param name="Vector">0 to 31.</param>
/// <param name="ErrorCode">As the CPU pushed it; 0 when the exception has none.</param>
/// <param name="FaultAddress">CR2 of a page fault (vector 14), else 0. May lie outside user space.</param>
public readonly record struct UserException(int Vector, ulong ErrorCode, ulong FaultAddress)
{
    /// <summary>Vector of a page fault.</summary>
    public const int PageFault = 14;

    /// <summary>Vector of a general protection fault.</summary>
    public const int GeneralProtection = 13;
}

/// <summary>
/// The CPU state of a user thread: general registers, segment bases, x87, SSE and AVX state. Any value may be stored; what the CPU would not accept is made
/// harmless, or becomes a general protection fault of the program, when it runs. Not for use by two tasks at once: the one that is late gets an exception.
/// </summary>
public sealed unsafe class UserContext
{
    // SAFETY: the frame lies in a pinned array that this object owns. It never moves, and never goes away while the object is reachable; UserMode keeps it
    // reachable as long as the platform layer may still write to it (the extended state is saved at the next task switch). All offsets are those of
    // UserFrame in the platform layer, which entry.s and its C# struct share, and stay inside the array's length.
    private const int Alignment = 64;
    private const int VectorOffset = 160;
    private const int MxcsrOffset = 192;
    private const int ReturnModeOffset = 184;
    private const int XmmOffset = 256;
    private const int XmmBytes = 256;
    private const int XsaveOffset = 512;
    private const int LegacyXmmOffset = 160;
    private const int LegacyMxcsrOffset = 24;
    private const int HeaderOffset = 512;
    private const int HeaderBytes = 64;
    private const uint InitialMxcsr = 0x1F80;
    private const ushort InitialControlWord = 0x37F;
    private const ulong StateX87 = 1, StateSse = 2;

    private readonly byte[] _memory;
    private readonly byte* _frame;
    private int _busy;

    /// <summary>All registers zero, the extended state as after reset.</summary>
    /// <exception cref="OutOfMemoryException">There is no memory for the frame.</exception>
    public UserContext()
    {
        int bytes = XsaveOffset + ExtendedStateBytes;
        _memory = GC.AllocateArray<byte>(bytes + Alignment, pinned: true);
        fixed (byte* start = _memory) _frame = (byte*)(((ulong)start + Alignment - 1) & ~(ulong)(Alignment - 1));
        *(uint*)(_frame + MxcsrOffset) = InitialMxcsr;
        *(uint*)(_frame + XsaveOffset + LegacyMxcsrOffset) = InitialMxcsr;
        *(ushort*)(_frame + XsaveOffset) = InitialControlWord;
    }

    /// <summary>Bytes of the XSAVE image in standard format on this machine (SDM vol. 1 §13.4).</summary>
    public static int ExtendedStateBytes { get; } = (int)Math.Max(Machine.XsaveBytes(), HeaderOffset + HeaderBytes);

    /// <summary>The components of the extended state that are switched on (XCR0).</summary>
    public static ulong ExtendedStateMask { get; } = Machine.XsaveMask();

    /// <summary>A general register.</summary>
    /// <param name="register">Which one.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such register.</exception>
    public ulong this[Register register]
    {
        get => *Slot(register);
        set
        {
            *Slot(register) = value;
            if (register is Register.Rcx or Register.R11 or Register.Rip or Register.Rflags) InvalidateFastReturn();
        }
    }

    /// <summary>Instruction pointer. A value outside user space is a general protection fault when the program runs.</summary>
    public ulong InstructionPointer
    {
        get => this[Register.Rip];
        set => this[Register.Rip] = value;
    }

    /// <summary>Stack pointer.</summary>
    public ulong StackPointer
    {
        get => this[Register.Rsp];
        set => this[Register.Rsp] = value;
    }

    /// <summary>Number of the system call that UserMode.Execute reported.</summary>
    public ulong SyscallNumber => this[Register.Rax];

    /// <summary>Result of the system call for the program: a value, or a negated errno.</summary>
    public long SyscallResult
    {
        get => (long)this[Register.Rax];
        set => this[Register.Rax] = (ulong)value;
    }

    /// <summary>The exception that UserMode.Execute reported last.</summary>
    public UserException Exception => new((int)*(ulong*)(_frame + VectorOffset), *(ulong*)(_frame + VectorOffset + 8), *(ulong*)(_frame + VectorOffset + 16));

    /// <summary>An argument of a system call, in the order of the x86-64 ABI: RDI, RSI, RDX, R10, R8, R9.</summary>
    /// <param name="index">0 to 5.</param>
    /// <exception cref="ArgumentOutOfRangeException">The index is outside 0 to 5.</exception>
    public ulong SyscallArgument(int index) => index switch
    {
        0 => this[Register.Rdi],
        1 => this[Register.Rsi],
        2 => this[Register.Rdx],
        3 => this[Register.R10],
        4 => this[Register.R8],
        5 => this[Register.R9],
        _ => throw new ArgumentOutOfRangeException(nameof(index)),
    };

    /// <summary>Makes this context a copy of another one: registers and extended state (fork).</summary>
    /// <param name="source">A context that does not run.</param>
    /// <exception cref="InvalidOperationException">One of the two runs.</exception>
    public void CopyFrom(UserContext source)
    {
        ArgumentNullException.ThrowIfNull(source);
        if (ReferenceEquals(this, source)) return;
        using Claim theirs = source.Take(), ours = Take();
        Machine.UserSave(source._frame);
        Machine.UserSave(_frame);
        int bytes = XsaveOffset + ExtendedStateBytes;
        new ReadOnlySpan<byte>(source._frame, bytes).CopyTo(new Span<byte>(_frame, bytes));
        InvalidateFastReturn();
    }

    /// <summary>Copies the x87, SSE and AVX state as an XSAVE image in standard format.</summary>
    /// <param name="destination">At least <see cref="ExtendedStateBytes"/> long.</param>
    /// <exception cref="ArgumentException">The destination is too short.</exception>
    /// <exception cref="InvalidOperationException">The context runs.</exception>
    public void ReadExtendedState(Span<byte> destination)
    {
        if (destination.Length < ExtendedStateBytes) throw new ArgumentException("shorter than the XSAVE image", nameof(destination));
        using Claim claim = Take();
        Machine.UserSave(_frame);
        // Between entries the XMM registers and MXCSR live in the frame, everything else in the XSAVE area.
        byte* area = _frame + XsaveOffset;
        new ReadOnlySpan<byte>(_frame + XmmOffset, XmmBytes).CopyTo(new Span<byte>(area + LegacyXmmOffset, XmmBytes));
        *(uint*)(area + LegacyMxcsrOffset) = *(uint*)(_frame + MxcsrOffset);
        *(ulong*)(area + HeaderOffset) |= StateSse;
        if ((*(ulong*)(area + HeaderOffset) & StateX87) == 0)
        {
            // In its initial state the area may hold anything: write down what the initial state is (SDM vol. 1 §13.6).
            new Span<byte>(area, LegacyMxcsrOffset).Clear();
            *(ushort*)area = InitialControlWord;
            new Span<byte>(area + 32, 128).Clear();
        }
        new ReadOnlySpan<byte>(area, ExtendedStateBytes).CopyTo(destination);
    }

    /// <summary>
    /// Sets the x87, SSE and AVX state from an XSAVE image in standard format. Bits that the CPU would refuse are cleared; a short image leaves the rest
    /// in its initial state.
    /// </summary>
    /// <param name="source">At least 576 bytes: legacy region and header.</param>
    /// <exception cref="ArgumentException">The source is too short.</exception>
    /// <exception cref="InvalidOperationException">The context runs.</exception>
    public void WriteExtendedState(ReadOnlySpan<byte> source)
    {
        if (source.Length < HeaderOffset + HeaderBytes) throw new ArgumentException("shorter than the legacy region and the header", nameof(source));
        using Claim claim = Take();
        Machine.UserSave(_frame);
        byte* area = _frame + XsaveOffset;
        var whole = new Span<byte>(area, ExtendedStateBytes);
        whole.Clear();
        source[..Math.Min(source.Length, whole.Length)].CopyTo(whole);
        ulong present = *(ulong*)(area + HeaderOffset) & Machine.XsaveMask();
        if (source.Length < whole.Length) present &= StateX87 | StateSse;
        new Span<byte>(area + HeaderOffset, HeaderBytes).Clear();
        *(ulong*)(area + HeaderOffset) = present;
        if ((present & StateSse) == 0) new Span<byte>(area + LegacyXmmOffset, XmmBytes).Clear();
        new ReadOnlySpan<byte>(area + LegacyXmmOffset, XmmBytes).CopyTo(new Span<byte>(_frame + XmmOffset, XmmBytes));
        *(uint*)(_frame + MxcsrOffset) = *(uint*)(area + LegacyMxcsrOffset) & 0xFFFF;
    }

    /// <summary>After a change of RIP, RFLAGS, RCX or R11 by the kernel the short way back (SYSRET) would lose the change.</summary>
    private void InvalidateFastReturn() => *(ulong*)(_frame + ReturnModeOffset) = 0;

    internal byte* Frame => _frame;

    /// <summary>Claims the context for one user; the second one gets an exception.</summary>
    internal Claim Take()
    {
        if (Interlocked.CompareExchange(ref _busy, 1, 0) != 0) throw new InvalidOperationException("the user context is in use by another task");
        return new Claim(this);
    }

    private ulong* Slot(Register register)
    {
        if ((uint)register > (uint)Register.GsBase) throw new ArgumentOutOfRangeException(nameof(register));
        return (ulong*)_frame + (int)register;
    }

    internal readonly ref struct Claim(UserContext context)
    {
        public void Dispose() => Volatile.Write(ref context._busy, 0);
    }
}
