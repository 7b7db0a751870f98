using System;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Tasks;
using Asterinas.Ostd.User;

namespace Asterinas.Tests.Kernel;

/// <summary>A program in ring 3: machine code at <see cref="Code"/>, one page of data, one of stack.</summary>
internal sealed class UserProgram : IDisposable
{
    public const ulong Code = 0x400000, Data = 0x600000, StackTop = 0x7F0000001000;

    public UserProgram(ReadOnlySpan<byte> code)
    {
        Map(Code, PageAccess.ReadExecute, code);
        Map(Data, PageAccess.ReadWrite, default);
        Map(StackTop - PageSize.Small, PageAccess.ReadWrite, default);
        Context = NewContext();
    }

    public VmSpace Space { get; } = VmSpace.Create();

    public UserContext Context { get; }

    public static UserContext NewContext() => new() { InstructionPointer = Code, StackPointer = StackTop };

    public void Map(ulong address, PageAccess access, ReadOnlySpan<byte> contents)
    {
        using Frame frame = Frame.Allocate();
        frame.Writer().Write(contents);
        Expect.Equal(MapStatus.Mapped, Space.Cursor(new VirtualRange(new UserAddress(address), PageSize.Small)).Map(frame, new PageProperty(access)), "map");
    }

    /// <summary>Runs to the next system call or exception.</summary>
    public ReturnReason Run() => Run(Context);

    public ReturnReason Run(UserContext context)
    {
        ReturnReason reason;
        while ((reason = UserMode.Execute(context, Space)) == ReturnReason.KernelEvent) Task.YieldIfNeeded();
        return reason;
    }

    public void RunToSyscall()
    {
        ReturnReason reason = Run();
        if (reason != ReturnReason.UserSyscall) throw new TestFailure($"{reason} {Context.Exception} at {Context.InstructionPointer:x}");
    }

    public ulong Read64(ulong address)
    {
        VmReader reader = Space.Reader(new UserAddress(address), 8);
        Expect.True(reader.TryRead(out ulong value), "user memory is readable");
        return value;
    }

    public void Write64(ulong address, ulong value)
    {
        VmWriter writer = Space.Writer(new UserAddress(address), 8);
        Expect.True(writer.TryWrite(value), "user memory is writable");
    }

    public void Dispose() => Space.Dispose();
}
