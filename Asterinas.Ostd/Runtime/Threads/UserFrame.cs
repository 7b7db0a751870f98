namespace Asterinas.Ostd.Runtime;

/// <summary>
/// The registers of a user thread while the kernel runs. entry.s knows the offsets. Lives in memory outside the GC heap, 64-byte aligned,
/// with the XSAVE area (SDM vol. 1 §13.4) behind it.
/// </summary>
// SAFETY: plain data with fixed arrays; the sizes and offsets are entry.s's.
internal unsafe struct UserFrame
{
    public const int XsaveOffset = 512;

    public ulong Rax, Rbx, Rcx, Rdx, Rsi, Rdi, Rbp, Rsp, R8, R9, R10, R11, R12, R13, R14, R15;
    public ulong Rip, Rflags, FsBase, GsBase;
    public ulong Vector;                    // 160: of the last exception
    public ulong ErrorCode;                 // 168
    public ulong FaultAddress;              // 176: CR2
    public ulong ReturnMode;                // 184: 1 = SYSRET is enough
    public ulong Mxcsr;                     // 192
    public ulong XsaveMask;                 // 200: XCR0
    public ulong XsaveBytes;                // 208
    public fixed ulong Reserved[5];         // 216
    public fixed byte Xmm[256];             // 256
}

/// <summary>What a vector's stub pushed; see entry.s.</summary>
// SAFETY: plain data with a fixed array; entry.s pushed exactly these fields.
internal unsafe struct TrapFrame
{
    public fixed byte Xmm[256];
    public ulong R15, R14, R13, R12, R11, R10, R9, R8, Rbp, Rdi, Rsi, Rdx, Rcx, Rbx, Rax;
    public ulong Vector, Error, Rip, Cs, Rflags, Rsp, Ss;
}
