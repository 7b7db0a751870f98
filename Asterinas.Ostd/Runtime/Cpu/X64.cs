using System;
using System.Runtime;
using System.Runtime.CompilerServices;

namespace Asterinas.Ostd.Runtime;

/// <summary>The instructions of Arch/X64/cpu.s and entry.s as methods.</summary>
// SAFETY: every import is a routine of cpu.s or entry.s with this signature (the link fails on a missing one). What it does to the machine is its caller's to justify;
// callers outside this compilation reach none of them except by an ostd_ name.
internal static unsafe class X64
{
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "ostd_in8")] public static extern byte In8(ushort port);
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "ostd_in16")] public static extern ushort In16(ushort port);
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "ostd_in32")] public static extern uint In32(ushort port);
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "ostd_out8")] public static extern void Out8(ushort port, byte value);
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "ostd_out16")] public static extern void Out16(ushort port, ushort value);
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "ostd_out32")] public static extern void Out32(ushort port, uint value);
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_read_msr")] public static extern ulong ReadMsr(uint msr);
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_write_msr")] public static extern void WriteMsr(uint msr, ulong value);
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_cpuid")] public static extern void CpuId(uint leaf, uint subleaf, uint* four);
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_read_tsc")] public static extern ulong ReadTsc();
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_rdrand")] public static extern ulong RdRand();
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_read_cr2")] public static extern ulong ReadCr2();
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_read_cr3")] public static extern ulong ReadCr3();
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_write_cr3")] public static extern void WriteCr3(ulong value);
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_read_cr4")] public static extern ulong ReadCr4();
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_write_cr4")] public static extern void WriteCr4(ulong value);
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_write_xcr0")] public static extern void WriteXcr0(ulong value);
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_invlpg")] public static extern void InvalidatePage(ulong address);
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_pause")] public static extern void Pause();
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_cli")] public static extern void DisableInterrupts();
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_sti")] public static extern void EnableInterrupts();
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_read_flags")] public static extern ulong ReadFlags();
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_sti_hlt")] public static extern void EnableInterruptsAndHalt();
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_cli_hlt")] public static extern void Stop();
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_lidt")] public static extern void LoadIdt(void* pointer);
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_load_gdt")] public static extern void LoadGdt(void* pointer, ushort taskSelector);
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_write_gs_base")] public static extern void WriteGsBase(ulong value);
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_write_fs_base")] public static extern void WriteFsBase(ulong value);
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_per_cpu")] public static extern PerCpu* PerCpu();
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_xsave")] public static extern void XSave(void* area, ulong mask);
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_frame_pointer")] public static extern ulong FramePointer();
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_copy_user")] public static extern nuint CopyUser(void* destination, void* source, nuint count);
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_zero_user")] public static extern nuint ZeroUser(void* destination, nuint count);
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_cmpxchg_user")] public static extern int CompareExchangeUser(uint* address, uint expected, uint value, uint* found);
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_user_enter")] public static extern int UserEnter(UserFrame* frame);
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_switch")] public static extern void Switch(Thread* previous, Thread* next);
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_symbol_table")] public static extern ulong* SymbolTable();
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "memset")] public static extern void* Fill(void* destination, int value, nuint count);
    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "memcpy")] public static extern void* Copy(void* destination, void* source, nuint count);

    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "x64_call")] public static extern nint Call(void* function, nint a, nint b, nint c);

    public const uint MsrApicBase = 0x1B;
    public const uint MsrEfer = 0xC0000080;
    public const uint MsrStar = 0xC0000081;
    public const uint MsrLstar = 0xC0000082;
    public const uint MsrCstar = 0xC0000083;
    public const uint MsrSfmask = 0xC0000084;
    public const uint MsrKernelGsBase = 0xC0000102;

    /// <summary>Bytes from the start of the image's address table: see <c>x64_symbols</c> and the linker script's symbols in layout.s.</summary>
    public static ulong Symbol(ImageSymbol symbol) => SymbolTable()[(int)symbol];
}

/// <summary>Index into the table of Arch/X64/layout.s.</summary>
internal enum ImageSymbol
{
    VectorStubs, SyscallEntry, ThreadStart,
    CopyUserFault, CopyUserFixup, ZeroUserFault, ZeroUserFixup, CompareExchangeUserFault, CompareExchangeUserFixup,
    TextStart, TextEnd, RodataStart, RodataEnd, DataStart, DataEnd, BssStart, BssEnd, KernelEnd,
    TlsDataStart, TlsDataEnd, TlsBssEnd, TlsAlign,
    InitArrayStart, InitArrayEnd,
    EhFrameHdrStart, EhFrameHdrEnd,
    SymbolsStart, SymbolsEnd,
    ManagedCodeStart, ManagedCodeEnd,
    BootStack, BootStackEnd, BootPml4,
    RuntimeMain, BootMain,
    Switch, SwitchEnd, ActivationEntry,
    ApTrampoline, ApTrampolineEnd, ApExpected, ApRoot, ApStack, ApArea,
    GcDoneEvent, GcWaitEvent,
}
