using System;
using System.Runtime;
using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>The end of the machine when something is broken: a message, a symbolised stack trace, exit status 134 (128 + SIGABRT).</summary>
// SAFETY: trap frames come from entry.s and lie on the stack in use; the managed caller's message is pinned for the call. Nothing is written.
internal static unsafe class Panic
{
    public const int ExitStatus = 134;
    private static int s_panicking;                         // number + 1 of the CPU that panics

    public static bool IsPanicking => Volatile.Read(ref s_panicking) != 0;

    public static void Fail(ReadOnlySpan<byte> message)
    {
        Begin(message);
        StackTrace.Print(0, X64.FramePointer(), 0);
        Power.Off(ExitStatus);
    }

    public static void FailHex(ReadOnlySpan<byte> message, ulong value)
    {
        Begin(message);
        Console.Write(" "u8);
        Console.WriteHex(value);
        Console.Write("\n"u8);
        StackTrace.Print(0, X64.FramePointer(), 0);
        Power.Off(ExitStatus);
    }

    /// <summary>A panic about the interrupted code.</summary>
    public static void FailTrap(ReadOnlySpan<byte> message, TrapFrame* frame)
    {
        Begin(message);
        Console.Write("\n  vector "u8);
        Console.WriteDecimal(frame->Vector);
        Console.Write(" error "u8);
        Console.WriteHex(frame->Error);
        Console.Write(" cr2 "u8);
        Console.WriteHex(X64.ReadCr2());
        Console.Write("\n  rip "u8);
        Console.WriteHex(frame->Rip);
        Console.Write(" rsp "u8);
        Console.WriteHex(frame->Rsp);
        Console.Write(" rbp "u8);
        Console.WriteHex(frame->Rbp);
        Console.Write("\n  rax "u8);
        Console.WriteHex(frame->Rax);
        Console.Write(" rdi "u8);
        Console.WriteHex(frame->Rdi);
        Console.Write(" rsi "u8);
        Console.WriteHex(frame->Rsi);
        Console.Write("\n"u8);
        StackTrace.Print(frame->Rip, frame->Rbp, frame->Rsp);
        Power.Off(ExitStatus);
    }

    /// <summary>A policy has not returned: its name, and where it is.</summary>
    public static void FailPolicy(ReadOnlySpan<byte> kind, byte* name, ulong seconds, TrapFrame* frame)
    {
        Begin("kernel panic: the "u8);
        Console.Write(kind);
        Console.Write(" "u8);
        Console.WriteZ(name);
        Console.Write(" has not returned for "u8);
        Console.WriteDecimal(seconds);
        Console.Write(" s\n"u8);
        StackTrace.Print(frame->Rip, frame->Rbp, frame->Rsp);
        Power.Off(ExitStatus);
    }

    [RuntimeExport("ostd_panic")]
    private static void Managed(byte* message, nuint length)
    {
        Begin("kernel panic: "u8);
        Console.Write(message, length);
        Console.Write("\n"u8);
        StackTrace.Print(0, X64.FramePointer(), 0);
        Power.Off(ExitStatus);
    }

    private static void Begin(ReadOnlySpan<byte> message)
    {
        X64.DisableInterrupts();
        int self = Cpus.Count == 0 ? 1 : X64.PerCpu()->CpuId + 1;
        int first = Interlocked.CompareExchange(ref s_panicking, self, 0);
        if (first != 0)
        {
            if (first != self) X64.Stop();              // another CPU has the word; it is about to stop this one
            // A fault while panicking: say only that, and end.
            Console.Break();
            Console.Write("panic while panicking\n"u8);
            Power.Off(ExitStatus);
        }
        for (int other = 0; other < Cpus.Count; other++)
        {
            if (other != self - 1) Apic.SendNmi(Cpus.Of(other));
        }
        Console.Break();
        Console.Write(message);
    }
}
