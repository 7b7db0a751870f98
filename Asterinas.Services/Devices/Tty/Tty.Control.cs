using System;
using System.Buffers.Binary;
using System.Threading;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Signals;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Devices.Tty;

/// <summary>ioctl(2) on terminals (man 2 ioctl_tty).</summary>
internal abstract partial class Tty
{
    private const int FlushInputQueue = 0, FlushOutputQueue = 1, FlushBoth = 2;
    private const int OutputOff = 0, OutputOn = 1, InputOff = 2, InputOn = 3;
    private const uint ModemAlwaysOn = 0x002 | 0x004 | 0x020 | 0x040 | 0x100;          // DTR, RTS, CTS, CD, DSR

    /// <summary>Somebody opens it. EIO when it cannot be opened (any more).</summary>
    public virtual Errno OnOpen() => Errno.None;

    /// <summary>Somebody who had opened it has closed it.</summary>
    public virtual void OnClose()
    {
    }

    /// <summary>Whether there are lines to a modem: on serial ports.</summary>
    protected virtual bool HasModemLines => false;

    /// <summary>Settings that the driver accepts, made from those that a program wants.</summary>
    protected virtual Termios Accept(Termios termios) => termios;

    /// <summary>ioctl(2). ENOTTY for what it does not know, EFAULT, EIO, EINVAL, EPERM, ERESTARTSYS. May block.</summary>
    /// <param name="thread">The caller.</param>
    /// <param name="command">See <see cref="TtyCommands"/>.</param>
    /// <param name="argument">A number or an address.</param>
    /// <param name="isMaster">Whether it came by the master of the pseudo-terminal, whose caller need not be controlled by the terminal.</param>
    public Result<long> Control(Thread thread, uint command, ulong argument, bool isMaster)
    {
        var address = new UserAddress(argument);
        switch (command)
        {
            case TtyCommands.SetTermios or TtyCommands.SetTermiosDrain or TtyCommands.SetTermiosFlush:
            case TtyCommands.SetTermios2 or TtyCommands.SetTermios2Drain or TtyCommands.SetTermios2Flush:
            case TtyCommands.SetOld or TtyCommands.SetOldDrain or TtyCommands.SetOldFlush:
            case TtyCommands.SendBreak or TtyCommands.SendBreakPosix or TtyCommands.BreakOn or TtyCommands.BreakOff:
            case TtyCommands.Flow or TtyCommands.Flush or TtyCommands.SetForeground:
                Errno allowed = isMaster ? Errno.None : CheckForeground(thread, Signal.SIGTTOU);
                return allowed != Errno.None ? allowed : Change(thread, command, argument, isMaster);
            case TtyCommands.GetTermios: return GetTermios(thread, address, Termios.Size);
            case TtyCommands.GetTermios2: return GetTermios(thread, address, Termios.Size2);
            case TtyCommands.GetOld: return GetTermios(thread, address, Termios.OldSize);
            case TtyCommands.GetWindow: return GetWindow(thread, address);
            case TtyCommands.SetWindow: return SetWindow(thread, address);
            case TtyCommands.SetExclusive:
                Volatile.Write(ref _isExclusive, 1);
                return 0;
            case TtyCommands.ClearExclusive:
                Volatile.Write(ref _isExclusive, 0);
                return 0;
            case TtyCommands.GetExclusive: return Answer(thread, address, IsExclusive ? 1 : 0);
            case TtyCommands.TakeControl:
                if (argument == 1 && !thread.Credentials.Has(Capability.SysAdmin)) return TakeControl(thread.Process, false);
                return TakeControl(thread.Process, argument == 1);
            case TtyCommands.GiveUpControl:
                if (!ReferenceEquals(Of(thread.Process), this)) return Errno.ENOTTY;
                GiveUpControl(thread.Process);
                return 0;
            case TtyCommands.GetForeground: return GetForeground(thread, address, isMaster);
            case TtyCommands.GetSession: return GetSession(thread, address, isMaster);
            case TtyCommands.OutputQueue:
                using (SpinLock.Guard guard = _lock.Lock()) argument = (ulong)SendQueue;
                return Answer(thread, address, (int)argument);
            case TtyCommands.InputQueue:
                using (SpinLock.Guard guard = _lock.Lock()) argument = (ulong)_discipline.Readable;
                return Answer(thread, address, (int)argument);
            case TtyCommands.SimulateInput: return SimulateInput(thread, address);
            case TtyCommands.GetModem or TtyCommands.SetModem or TtyCommands.SetModemBits or TtyCommands.ClearModemBits when !HasModemLines: return Errno.ENOTTY;
            case TtyCommands.GetModem: return Answer(thread, address, (int)ModemAlwaysOn);
            case TtyCommands.SetModem or TtyCommands.SetModemBits or TtyCommands.ClearModemBits:
                // The lines of an emulated port lead nowhere.
                return thread.Memory.Read(address, out int _);
            case TtyCommands.GetSoftCarrier: return Answer(thread, address, (_discipline.Termios.Control & Termios.IgnoreModem) != 0 ? 1 : 0);
            case TtyCommands.SetDiscipline:
                if (thread.Memory.Read(address, out int discipline) != Errno.None) return Errno.EFAULT;
                return discipline == 0 ? 0 : Errno.EINVAL;
            case TtyCommands.GetDiscipline: return Answer(thread, address, 0);
            case TtyCommands.GetDevice: return Answer(thread, address, (int)Device.Encoded);
            case TtyCommands.HangUp:
                if (!thread.Credentials.Has(Capability.SysAdmin)) return Errno.EPERM;
                HangUp();
                return 0;
            default: return Errno.ENOTTY;
        }
    }

    protected static Result<long> Answer(Thread thread, UserAddress address, int value) => thread.Memory.Write(address, value);

    // What a process in the background may not do.
    private Result<long> Change(Thread thread, uint command, ulong argument, bool isMaster)
    {
        switch (command)
        {
            case TtyCommands.Flow: return Flow(argument);
            case TtyCommands.Flush: return Flush(argument);
            case TtyCommands.SetForeground: return SetForeground(thread, new UserAddress(argument), isMaster);
            case TtyCommands.SendBreak or TtyCommands.SendBreakPosix:
                // With an argument TCSBRK is tcdrain(3). A break itself would go to a peer that does not know it.
                return Drain();
            case TtyCommands.BreakOn or TtyCommands.BreakOff: return 0;
            default: return SetTermios(thread, command, new UserAddress(argument));
        }
    }

    // ---- settings

    private Result<long> GetTermios(Thread thread, UserAddress address, int size)
    {
        Span<byte> bytes = stackalloc byte[Termios.Size2];
        bytes = bytes[..size];
        Termios termios = _discipline.Termios;
        if (size == Termios.OldSize) termios.EncodeOld(bytes); else termios.Encode(bytes);
        return thread.Memory.Write(address, bytes);
    }

    private Result<long> SetTermios(Thread thread, uint command, UserAddress address)
    {
        int size = command switch
        {
            TtyCommands.SetTermios or TtyCommands.SetTermiosDrain or TtyCommands.SetTermiosFlush => Termios.Size,
            TtyCommands.SetTermios2 or TtyCommands.SetTermios2Drain or TtyCommands.SetTermios2Flush => Termios.Size2,
            _ => Termios.OldSize,
        };
        Span<byte> bytes = stackalloc byte[Termios.Size2];
        bytes = bytes[..size];
        if (thread.Memory.Read(address, bytes) != Errno.None) return Errno.EFAULT;
        if (command is TtyCommands.SetTermiosFlush or TtyCommands.SetTermios2Flush or TtyCommands.SetOldFlush) Flush(FlushInputQueue);
        if (command is not (TtyCommands.SetTermios or TtyCommands.SetTermios2 or TtyCommands.SetOld))
        {
            Result<long> drained = Drain();
            if (!drained.IsOk) return drained;
        }
        Termios wanted = Accept(size == Termios.OldSize ? _discipline.Termios.WithOld(bytes) : Termios.Decode(bytes));
        using (SpinLock.Guard guard = _lock.Lock())
        {
            bool wasStopped = _discipline.IsStopped, hadFlow = HasFlowControl(_discipline.Termios);
            _discipline.SetTermios(wanted);
            if (hadFlow != HasFlowControl(wanted)) OnChange(hadFlow ? TtyChange.NoFlowControl : TtyChange.FlowControl);
            if (wasStopped && !_discipline.IsStopped) OnChange(TtyChange.Start);
            SendEcho();
        }
        Pollee.Notify(PollEvents.In | PollEvents.Out | PollEvents.ReadNormal | PollEvents.WriteNormal);
        OnProgress();
        return 0;
    }

    private static bool HasFlowControl(Termios termios) =>
        termios.Has(InputModes.FlowControlOutput) && termios[ControlCharacter.Stop] == 0x13 && termios[ControlCharacter.Start] == 0x11;

    // Waits until all output is sent.
    private Result<long> Drain()
    {
        Errno waited = Pollee.Wait(this, static tty =>
        {
            using SpinLock.Guard guard = tty._lock.Lock();
            return tty._discipline.EchoCount == 0 || tty._discipline.IsStopped || tty.SendRoom == 0;
        });
        return waited == Errno.None ? 0 : waited;
    }

    private Result<long> Flush(ulong which)
    {
        if (which > FlushBoth) return Errno.EINVAL;
        using (SpinLock.Guard guard = _lock.Lock())
        {
            TtyChange change = TtyChange.None;
            if (which is FlushInputQueue or FlushBoth)
            {
                _discipline.FlushInput();
                change |= TtyChange.FlushInput;
            }
            if (which is FlushOutputQueue or FlushBoth)
            {
                _discipline.FlushEcho();
                FlushSendQueue();
                change |= TtyChange.FlushOutput;
            }
            OnChange(change);
        }
        Pollee.Notify(PollEvents.Out | PollEvents.WriteNormal);
        OnProgress();
        return 0;
    }

    private Result<long> Flow(ulong what)
    {
        if (what > InputOn) return Errno.EINVAL;
        using (SpinLock.Guard guard = _lock.Lock())
        {
            switch ((int)what)
            {
                case OutputOff when !_discipline.IsStoppedByProgram:
                    _discipline.SetStoppedByProgram(true);
                    OnChange(TtyChange.Stop);
                    break;
                case OutputOn when _discipline.IsStopped:
                    _discipline.SetStoppedByProgram(false);
                    OnChange(TtyChange.Start);
                    break;
                case InputOff:
                    _discipline.SendFlowCharacter(ControlCharacter.Stop);
                    break;
                case InputOn:
                    _discipline.SendFlowCharacter(ControlCharacter.Start);
                    break;
            }
            SendEcho();
        }
        Pollee.Notify(PollEvents.Out | PollEvents.WriteNormal);
        OnProgress();
        return 0;
    }

    private Result<long> SimulateInput(Thread thread, UserAddress address)
    {
        if (!ReferenceEquals(Of(thread.Process), this) && !thread.Credentials.Has(Capability.SysAdmin)) return Errno.EPERM;
        if (thread.Memory.Read(address, out byte value) != Errno.None) return Errno.EFAULT;
        Receive(new ReadOnlySpan<byte>(in value));
        return 0;
    }

    // ---- window

    private Result<long> GetWindow(Thread thread, UserAddress address)
    {
        WindowSize window;
        using (SpinLock.Guard guard = _lock.Lock()) window = _window;
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, window.Rows);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[2..], window.Columns);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[4..], window.PixelWidth);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[6..], window.PixelHeight);
        return thread.Memory.Write(address, bytes);
    }

    private Result<long> SetWindow(Thread thread, UserAddress address)
    {
        Span<byte> bytes = stackalloc byte[8];
        if (thread.Memory.Read(address, bytes) != Errno.None) return Errno.EFAULT;
        var window = new WindowSize(BinaryPrimitives.ReadUInt16LittleEndian(bytes), BinaryPrimitives.ReadUInt16LittleEndian(bytes[2..]),
            BinaryPrimitives.ReadUInt16LittleEndian(bytes[4..]), BinaryPrimitives.ReadUInt16LittleEndian(bytes[6..]));
        bool isChanged;
        using (SpinLock.Guard guard = _lock.Lock())
        {
            isChanged = window != _window;
            _window = window;
        }
        if (isChanged) SignalForeground(Signal.SIGWINCH);
        return 0;
    }

    // ---- job control

    private Result<long> GetForeground(Thread thread, UserAddress address, bool isMaster)
    {
        if (!isMaster && !ReferenceEquals(Of(thread.Process), this)) return Errno.ENOTTY;
        int number;
        using (SpinLock.Guard guard = ProcessTree.Lock.Lock()) number = Foreground?.Pid.NumberIn(thread.Namespaces.Pid) ?? 0;
        return Answer(thread, address, number);
    }

    private Result<long> GetSession(Thread thread, UserAddress address, bool isMaster)
    {
        if (!isMaster && !ReferenceEquals(Of(thread.Process), this)) return Errno.ENOTTY;
        int number;
        using (SpinLock.Guard guard = ProcessTree.Lock.Lock())
        {
            if (Session is null) return Errno.ENOTTY;
            number = Session.Pid.NumberIn(thread.Namespaces.Pid);
        }
        return Answer(thread, address, number);
    }

    private Result<long> SetForeground(Thread thread, UserAddress address, bool isMaster)
    {
        if (isMaster || !ReferenceEquals(Of(thread.Process), this)) return Errno.ENOTTY;
        if (thread.Memory.Read(address, out int number) != Errno.None) return Errno.EFAULT;
        if (number < 0) return Errno.EINVAL;
        Pid? pid = thread.Namespaces.Pid.Find(number);
        using SpinLock.Guard guard = ProcessTree.Lock.Lock();
        if (pid?.Group is not { } group) return Errno.ESRCH;
        if (!ReferenceEquals(group.Session, thread.Process.Session)) return Errno.EPERM;
        Volatile.Write(ref Foreground, group);
        return 0;
    }
}
