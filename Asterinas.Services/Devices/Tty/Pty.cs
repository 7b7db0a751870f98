using System;
using System.Threading;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Devices.Tty;

/// <summary>
/// A pseudo-terminal (man 7 pty): a terminal whose wire is a program, the one that has the master open. This is the slave, with the line discipline; what it sends waits in a ring
/// that the master reads.
/// </summary>
internal sealed class Pty : Tty
{
    private const int RingBytes = 8192;

    // Under the terminal's lock.
    private readonly ByteRing _toMaster = new(RingBytes);
    private TtyChange _changes;
    private bool _isPacketMode;
    private int _slaves;
    private bool _wasOpened;
    private int _isLocked = 1;
    private int _isMasterGone;

    public Pty(int number, IPtyRegistry registry) : base(Termios.CreateInitial(false))
    {
        Number = number;
        Registry = registry;
    }

    public int Number { get; }

    /// <summary>Where the slave's node is.</summary>
    public IPtyRegistry Registry { get; }

    public override DeviceNumber Device => new(136, (uint)Number);

    /// <summary>Who waits for the master, or watches it.</summary>
    public Pollee MasterPollee { get; } = new();

    /// <summary>Whether the slave cannot be opened yet (TIOCSPTLCK).</summary>
    public bool IsLocked
    {
        get => Volatile.Read(ref _isLocked) != 0;
        set => Volatile.Write(ref _isLocked, value ? 1 : 0);
    }

    protected override bool IsCutWithLeader => false;

    // ---- the slave's side

    protected override int SendRoom => _toMaster.Room;

    protected override int SendQueue => _toMaster.Count;

    protected override void Send(ReadOnlySpan<byte> bytes) => _toMaster.Add(bytes);

    protected override void FlushSendQueue() => _toMaster.Clear();

    protected override void OnChange(TtyChange change)
    {
        if (!_isPacketMode) return;
        // Of opposites the last one counts.
        if ((change & TtyChange.Stop) != 0) _changes &= ~TtyChange.Start;
        if ((change & TtyChange.Start) != 0) _changes &= ~TtyChange.Stop;
        if ((change & TtyChange.FlowControl) != 0) _changes &= ~TtyChange.NoFlowControl;
        if ((change & TtyChange.NoFlowControl) != 0) _changes &= ~TtyChange.FlowControl;
        _changes |= change;
    }

    protected override void OnProgress() => MasterPollee.Notify(PollEvents.In | PollEvents.ReadNormal | PollEvents.Out | PollEvents.WriteNormal | PollEvents.Priority);

    // 8 bits, no parity, receiver on: there is no wire on which it could be otherwise.
    protected override Termios Accept(Termios termios) => termios.WithControl((termios.Control & ~(Termios.SizeMask | 0x100u)) | Termios.Size8 | Termios.Read);

    public override Errno OnOpen()
    {
        if (IsLocked || Volatile.Read(ref _isMasterGone) != 0) return Errno.EIO;
        using SpinLock.Guard guard = Lock.Lock();
        _slaves++;
        _wasOpened = true;
        return Errno.None;
    }

    public override void OnClose()
    {
        bool isLast;
        using (SpinLock.Guard guard = Lock.Lock()) isLast = --_slaves == 0;
        if (isLast) MasterPollee.Notify(PollEvents.HangUp | PollEvents.In | PollEvents.ReadNormal);
    }

    // ---- the master's side

    /// <summary>Whether all who had opened the slave have closed it: then the master reads what is left, and EIO behind it.</summary>
    public bool IsSlaveGone
    {
        get { using SpinLock.Guard guard = Lock.Lock(); return _slaves == 0 && _wasOpened; }
    }

    /// <summary>Whether a read of the master has something.</summary>
    public bool HasOutput
    {
        get { using SpinLock.Guard guard = Lock.Lock(); return _toMaster.Count > 0 || _changes != TtyChange.None; }
    }

    /// <summary>Whether the slave has room for input.</summary>
    public bool HasInputRoom
    {
        get { using SpinLock.Guard guard = Lock.Lock(); return CanReceive; }
    }

    /// <summary>Bytes that wait for the master.</summary>
    public int OutputCount
    {
        get { using SpinLock.Guard guard = Lock.Lock(); return _toMaster.Count; }
    }

    /// <summary>Packet mode (TIOCPKT): each read of the master begins with a byte that tells what happened.</summary>
    public bool IsPacketMode
    {
        get => Volatile.Read(ref _isPacketMode);
        set
        {
            using SpinLock.Guard guard = Lock.Lock();
            _isPacketMode = value;
            _changes = TtyChange.None;
        }
    }

    /// <summary>Whether packet mode has something to tell (POLLPRI).</summary>
    public bool HasChanges
    {
        get { using SpinLock.Guard guard = Lock.Lock(); return _changes != TtyChange.None; }
    }

    /// <summary>Takes output for the master; in packet mode the first byte tells what it is. Returns how many bytes.</summary>
    public int TakeOutput(Span<byte> destination)
    {
        int count;
        using (SpinLock.Guard guard = Lock.Lock())
        {
            if (_isPacketMode)
            {
                destination[0] = (byte)_changes;
                if (_changes != TtyChange.None)
                {
                    _changes = TtyChange.None;
                    return 1;
                }
                count = _toMaster.Take(destination[1..]);
                if (count > 0) count++;
            }
            else
            {
                count = _toMaster.Take(destination);
            }
        }
        if (count > 0) Pollee.Notify(PollEvents.Out | PollEvents.WriteNormal);
        return count;
    }

    /// <summary>tcflush(3) on the master: its input is the slave's output, and the other way round.</summary>
    public void FlushFromMaster(bool flushesInput, bool flushesOutput)
    {
        using (SpinLock.Guard guard = Lock.Lock())
        {
            if (flushesInput) _toMaster.Clear();
            if (flushesOutput) Discipline.FlushInput();
        }
        Pollee.Notify(PollEvents.Out | PollEvents.WriteNormal);
    }

    /// <summary>The master was closed: the line is cut for good.</summary>
    public void OnMasterClose()
    {
        Volatile.Write(ref _isMasterGone, 1);
        HangUp();
    }
}

/// <summary>Where slaves have their nodes: a mounted devpts.</summary>
internal interface IPtyRegistry
{
    /// <summary>The place of a slave, for TIOCGPTPEER. ENOENT.</summary>
    Result<VfsPath> FindSlave(int number, Mount? mount);

    /// <summary>The master is gone: so is the slave's node.</summary>
    void Remove(int number);
}
