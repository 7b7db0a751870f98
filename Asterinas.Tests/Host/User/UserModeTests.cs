using System;
using System.Buffers.Binary;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.User;
using NUnit.Framework;

namespace Asterinas.Tests.Host.User;

/// <summary>User mode as services see it: the program is a delegate.</summary>
public sealed class UserModeTests : MachineFixture
{
    private VmSpace _space = null!;
    private readonly UserContext _context = new();

    [SetUp]
    public void CreateSpace() => _space = VmSpace.Create();

    [TearDown]
    public void Remove()
    {
        Machine.UserProgram = null;
        _space.Dispose();
    }

    [Test]
    public void Without_a_program_user_mode_cannot_be_entered() =>
        Assert.That(() => UserMode.Execute(_context, _space), Throws.TypeOf<InvalidOperationException>());

    [Test]
    public void System_call_carries_number_and_arguments_and_takes_the_result_back()
    {
        ulong seen = 0;
        Machine.UserProgram = registers =>
        {
            seen = registers[Register.Rax];
            registers[Register.Rax] = 39;
            Register[] arguments = [Register.Rdi, Register.Rsi, Register.Rdx, Register.R10, Register.R8, Register.R9];
            for (int i = 0; i < arguments.Length; i++) registers[arguments[i]] = (ulong)(100 + i);
            return new SimulatedTrap(ReturnReason.UserSyscall);
        };
        Assert.That(UserMode.Execute(_context, _space), Is.EqualTo(ReturnReason.UserSyscall));
        Assert.That(_context.SyscallNumber, Is.EqualTo(39));
        for (int i = 0; i < 6; i++) Assert.That(_context.SyscallArgument(i), Is.EqualTo((ulong)(100 + i)));
        Assert.That(() => _context.SyscallArgument(6), Throws.TypeOf<ArgumentOutOfRangeException>());
        _context.SyscallResult = -38;
        UserMode.Execute(_context, _space);
        Assert.That((long)seen, Is.EqualTo(-38));
    }

    [Test]
    public void Exception_is_reported_with_vector_error_and_address()
    {
        var fault = new UserException(UserException.PageFault, 6, 0xDEAD000);
        Machine.UserProgram = _ => new SimulatedTrap(ReturnReason.UserException, fault);
        Assert.That(UserMode.Execute(_context, _space), Is.EqualTo(ReturnReason.UserException));
        Assert.That(_context.Exception, Is.EqualTo(fault));
    }

    [TestCase(Register.Rip, 0x7F80_0000_0000UL)]
    [TestCase(Register.FsBase, 0xFFFF_8000_0000_0000UL)]
    [TestCase(Register.GsBase, ulong.MaxValue)]
    public void Addresses_outside_user_space_are_general_protection_faults_of_the_program(Register register, ulong value)
    {
        bool ran = false;
        Machine.UserProgram = _ =>
        {
            ran = true;
            return new SimulatedTrap(ReturnReason.UserSyscall);
        };
        _context[register] = value;
        ReturnReason reason = UserMode.Execute(_context, _space);
        _context[register] = 0;
        Assert.That((reason, _context.Exception.Vector, ran), Is.EqualTo((ReturnReason.UserException, UserException.GeneralProtection, false)));
    }

    [Test]
    public void Pending_event_returns_before_the_program_runs()
    {
        int runs = 0;
        Machine.UserProgram = _ =>
        {
            runs++;
            return new SimulatedTrap(ReturnReason.UserSyscall);
        };
        Machine.KickCpu(0);
        Assert.That(UserMode.Execute(_context, _space), Is.EqualTo(ReturnReason.KernelEvent));
        Asterinas.Ostd.Tasks.Task.YieldIfNeeded();
        Assert.That(UserMode.Execute(_context, _space), Is.EqualTo(ReturnReason.UserSyscall));
        Assert.That(runs, Is.EqualTo(1));
    }

    [Test]
    public void Program_runs_in_its_address_space_and_flags_are_masked()
    {
        const ulong Page = 0x400000;
        using (Frame frame = Frame.Allocate()) _space.Cursor(new VirtualRange(new UserAddress(Page), 4096)).Map(frame, new PageProperty(PageAccess.ReadWrite));
        ulong flags = 0;
        bool isActive = false;
        Machine.UserProgram = registers =>
        {
            flags = registers[Register.Rflags];
            isActive = _space.Writer(new UserAddress(Page), 8).Write(BitConverter.GetBytes(42UL)) == 8 && Machine.ActiveRoot() != Machine.KernelRoot();
            return new SimulatedTrap(ReturnReason.UserSyscall);
        };
        _context[Register.Rflags] = ulong.MaxValue;
        UserMode.Execute(_context, _space);
        Assert.That((flags & 0x3000, flags & 0x202, isActive), Is.EqualTo((0UL, 0x202UL, true)), "no I/O privilege, interrupts on");
        byte[] bytes = new byte[8];
        _space.Reader(new UserAddress(Page), 8).Read(bytes);
        Assert.That(BinaryPrimitives.ReadUInt64LittleEndian(bytes), Is.EqualTo(42));
    }

    [Test]
    public void Context_in_use_is_refused_to_a_second_task_and_to_copies()
    {
        Exception? second = null, copy = null;
        Machine.UserProgram = _ =>
        {
            second = Assert.Catch(() => UserMode.Execute(_context, _space));
            copy = Assert.Catch(() => new UserContext().CopyFrom(_context));
            return new SimulatedTrap(ReturnReason.UserSyscall);
        };
        UserMode.Execute(_context, _space);
        Assert.That(second, Is.TypeOf<InvalidOperationException>());
        Assert.That(copy, Is.TypeOf<InvalidOperationException>());
        Assert.That(() => new UserContext().CopyFrom(_context), Throws.Nothing);
    }

    [Test]
    public void Extended_state_of_random_bytes_is_made_harmless([Values(1, 2, 3)] int seed)
    {
        var random = new Random(seed);
        byte[] image = new byte[UserContext.ExtendedStateBytes];
        for (int i = 0; i < 50; i++)
        {
            random.NextBytes(image);
            _context.WriteExtendedState(image);
            byte[] back = new byte[UserContext.ExtendedStateBytes];
            _context.ReadExtendedState(back);
            Assert.That(BinaryPrimitives.ReadUInt32LittleEndian(back.AsSpan(24)) & ~0xFFFFu, Is.Zero, "MXCSR has no reserved bit");
            Assert.That(BinaryPrimitives.ReadUInt64LittleEndian(back.AsSpan(512)) & ~Machine.XsaveMask(), Is.Zero, "no component that the CPU lacks");
            Assert.That(back.AsSpan(520, 56).IndexOfAnyExcept((byte)0), Is.EqualTo(-1), "the header's reserved bytes are zero");
            bool hasSse = (image[512] & 2) != 0;
            Assert.That(back.AsSpan(160, 256).SequenceEqual(hasSse ? image.AsSpan(160, 256) : new byte[256]), Is.True);
        }
        Assert.That(() => _context.WriteExtendedState(new byte[575]), Throws.TypeOf<ArgumentException>());
        Assert.That(() => _context.ReadExtendedState(new byte[10]), Throws.TypeOf<ArgumentException>());
    }
}
