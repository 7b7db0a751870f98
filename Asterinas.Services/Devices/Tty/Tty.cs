using System;
using System.Threading;
using Asterinas.Services.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Signals;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Devices.Tty;

/// <summary>struct winsize.</summary>
internal readonly record struct WindowSize(ushort Rows, ushort Columns, ushort PixelWidth, ushort PixelHeight);

/// <summary>
/// A terminal with its line discipline, between programs and a driver that sends bytes. The driver derives from this.
/// <code>
///   operation                       lock
///   discipline, driver's state      _lock, spinning; also taken in bottom halves
///   read, write                     one reader and one writer at a time: _readers, _writers
/// </code>
/// LOCK ORDER: _readers or _writers; the process tree; _lock. Waiters and observers are told after _lock is released.
/// </summary>
internal abstract partial class Tty : Terminal
{
    private const int ChunkBytes = 256;

    private readonly Mutex _readers = new("terminal readers");
    private readonly Mutex _writers = new("terminal writers");
    private readonly SpinLock _lock = new("terminal");
    private readonly LineDiscipline _discipline;
    private readonly Termios _initial;
    private WindowSize _window;
    private int _hangUps;
    private int _isExclusive;
    private bool _isThrottled;

    protected Tty(Termios initial)
    {
        _initial = initial;
        _discipline = new LineDiscipline(initial);
    }

    /// <summary>Who waits for the terminal, or watches it.</summary>
    public Pollee Pollee { get; } = new();

    /// <summary>Guards the discipline, and what drivers share with it.</summary>
    protected SpinLock Lock => _lock;

    protected LineDiscipline Discipline => _discipline;

    /// <summary>Hang-ups so far: a file opened before the last one is cut off.</summary>
    public int HangUps => Volatile.Read(ref _hangUps);

    public bool IsExclusive => Volatile.Read(ref _isExclusive) != 0;

    // ---- what a driver does, under the lock

    /// <summary>Bytes that it can take at once.</summary>
    protected abstract int SendRoom { get; }

    /// <summary>Sends bytes, no more than there is room for.</summary>
    protected abstract void Send(ReadOnlySpan<byte> bytes);

    /// <summary>Bytes that are on their way (TIOCOUTQ).</summary>
    protected virtual int SendQueue => 0;

    /// <summary>Throws away what is on its way.</summary>
    protected virtual void FlushSendQueue()
    {
    }

    /// <summary>Output was stopped or goes on, input or output was thrown away, or the settings changed: a pseudo-terminal's master may want to know (packet mode).</summary>
    protected virtual void OnChange(TtyChange change)
    {
    }

    // ---- what a driver is told, without the lock

    /// <summary>There is more room for input, or bytes to send were queued.</summary>
    protected virtual void OnProgress()
    {
    }

    // ---- input

    /// <summary>The driver has received bytes. Returns how many there was room for. Does not block.</summary>
    public int Receive(ReadOnlySpan<byte> bytes)
    {
        int taken;
        SignalSet signals;
        using (SpinLock.Guard guard = _lock.Lock())
        {
            bool wasStopped = _discipline.IsStopped;
            taken = _discipline.Receive(bytes);
            signals = _discipline.TakeSignals();
            if (_discipline.TakeOutputFlush())
            {
                FlushSendQueue();
                OnChange(TtyChange.FlushInput | TtyChange.FlushOutput);
            }
            if (wasStopped != _discipline.IsStopped) OnChange(_discipline.IsStopped ? TtyChange.Stop : TtyChange.Start);
            Throttle();
            SendEcho();
        }
        if (!signals.IsEmpty)
        {
            if (signals.Contains(Signal.SIGINT)) SignalForeground(Signal.SIGINT);
            if (signals.Contains(Signal.SIGQUIT)) SignalForeground(Signal.SIGQUIT);
            if (signals.Contains(Signal.SIGTSTP)) SignalForeground(Signal.SIGTSTP);
        }
        Pollee.Notify(PollEvents.In | PollEvents.ReadNormal | PollEvents.Out | PollEvents.WriteNormal);
        OnProgress();
        return taken;
    }

    /// <summary>Whether <see cref="Receive"/> would take a byte.</summary>
    protected bool CanReceive => _discipline.Buffered < LineDiscipline.Capacity - 1 || (_discipline.Termios.IsCanonical && !_discipline.HasInput(1));

    // IXOFF: asks the sender to stop before the buffer is full, and to go on when it has been read.
    private void Throttle()
    {
        if (!_discipline.Termios.Has(InputModes.FlowControlInput)) return;
        bool isFull = _discipline.Buffered > LineDiscipline.Capacity * 3 / 4, isEmpty = _discipline.Buffered < LineDiscipline.Capacity / 4;
        if (_isThrottled ? !isEmpty : !isFull) return;
        _isThrottled = !_isThrottled;
        _discipline.SendFlowCharacter(_isThrottled ? ControlCharacter.Stop : ControlCharacter.Start);
    }

    private void SendEcho()
    {
        Span<byte> bytes = stackalloc byte[64];
        while (!_discipline.IsStopped && _discipline.EchoCount > 0)
        {
            int room = SendRoom;
            if (room == 0) return;
            Send(bytes[.._discipline.TakeEcho(bytes[..Math.Min(room, bytes.Length)])]);
        }
    }

    // ---- reading

    /// <summary>read(2). EAGAIN, EIO, ERESTARTSYS. May block.</summary>
    public Result<long> Read(ref IoSink sink, TtyFile file)
    {
        if (file.IsHungUp) return 0;
        Thread thread = Thread.Current!;
        Errno allowed = CheckForeground(thread, Signal.SIGTTIN);
        if (allowed != Errno.None) return allowed;
        if (file.IsNonBlocking)
        {
            using Mutex.Guard guard = _readers.TryLock();
            return guard.IsHeld ? ReadAlone(ref sink, file) : Errno.EAGAIN;
        }
        else
        {
            using Mutex.Guard guard = _readers.TryLockInterruptible(ulong.MaxValue, out Ostd.Sync.WaitResult result);
            return guard.IsHeld ? ReadAlone(ref sink, file) : Errno.ERESTARTSYS;
        }
    }

    private Result<long> ReadAlone(ref IoSink sink, TtyFile file)
    {
        const ulong Tick = 100000000;           // VTIME counts tenths of a second
        Termios termios = _discipline.Termios;
        int minimum = 1;
        ulong timeout = ulong.MaxValue, betweenBytes = 0;
        if (!termios.IsCanonical)
        {
            ulong time = termios[ControlCharacter.Time] * Tick;
            if (termios[ControlCharacter.Minimum] == 0)
            {
                timeout = time;
            }
            else
            {
                minimum = termios[ControlCharacter.Minimum];
                betweenBytes = time;
            }
        }
        long done = 0;
        Span<byte> chunk = stackalloc byte[ChunkBytes];
        while (sink.Remaining > 0)
        {
            int count = 0;
            bool isLineEnd = false, isCanonical, hasInput;
            using (SpinLock.Guard guard = _lock.Lock())
            {
                isCanonical = _discipline.Termios.IsCanonical;
                hasInput = _discipline.HasInput(1);
                if (hasInput) count = _discipline.Read(chunk[..(int)Math.Min(chunk.Length, sink.Remaining)], out isLineEnd);
                if (_isThrottled)
                {
                    Throttle();
                    SendEcho();
                }
            }
            if (!hasInput)
            {
                if (done >= minimum || file.IsHungUp) break;
                if (timeout == 0) break;
                if (file.IsNonBlocking) return done > 0 ? done : Errno.EAGAIN;
                Errno waited = Pollee.Wait(file, static file => file.Tty.IsReadDue(file), timeout);
                if (waited == Errno.ETIMEDOUT) break;
                if (waited != Errno.None) return done > 0 ? done : waited;
                continue;
            }
            int copied = sink.Write(chunk[..count]);
            done += copied;
            if (copied < count) return done > 0 ? done : Errno.EFAULT;
            if (isCanonical && isLineEnd) break;
            if (!isCanonical && betweenBytes != 0) timeout = betweenBytes;
        }
        OnProgress();
        return done;
    }

    private bool IsReadDue(TtyFile file)
    {
        if (file.IsHungUp) return true;
        using SpinLock.Guard guard = _lock.Lock();
        return _discipline.HasInput(1);
    }

    // ---- writing

    /// <summary>write(2). EAGAIN, EIO, ERESTARTSYS. May block.</summary>
    public Result<long> Write(ref IoSource source, TtyFile file)
    {
        if (file.IsHungUp) return Errno.EIO;
        Thread thread = Thread.Current!;
        if (_discipline.Termios.Has(LocalModes.StopBackgroundOutput))
        {
            Errno allowed = CheckForeground(thread, Signal.SIGTTOU);
            if (allowed != Errno.None) return allowed;
        }
        using Mutex.Guard guard = file.IsNonBlocking ? _writers.TryLock() : _writers.TryLockInterruptible(ulong.MaxValue, out Ostd.Sync.WaitResult _);
        if (!guard.IsHeld) return file.IsNonBlocking ? Errno.EAGAIN : Errno.ERESTARTSYS;
        Span<byte> chunk = stackalloc byte[ChunkBytes];
        long done = 0;
        while (source.Remaining > 0)
        {
            int count = source.Read(chunk[..(int)Math.Min(source.Remaining, chunk.Length)]);
            if (count == 0) return done > 0 ? done : Errno.EFAULT;
            int sent = 0;
            while (sent < count)
            {
                if (file.IsHungUp) return done > 0 ? done : Errno.EIO;
                int step = SendSome(chunk[sent..count]);
                sent += step;
                done += step;
                if (step != 0) continue;
                if (file.IsNonBlocking) return done > 0 ? done : Errno.EAGAIN;
                Errno waited = Pollee.Wait(file, static file => file.Tty.IsWriteDue(file));
                if (waited != Errno.None) return done > 0 ? done : waited;
            }
            OnProgress();
        }
        return done;
    }

    private int SendSome(ReadOnlySpan<byte> bytes)
    {
        Span<byte> processed = stackalloc byte[ChunkBytes];
        int consumed = 0;
        using (SpinLock.Guard guard = _lock.Lock())
        {
            SendEcho();
            while (!_discipline.IsStopped && consumed < bytes.Length)
            {
                int room = Math.Min(SendRoom, processed.Length);
                // A tab may become eight spaces.
                if (room < 8) break;
                consumed += _discipline.ProcessOutput(bytes[consumed..], processed[..room], out int produced);
                Send(processed[..produced]);
            }
        }
        if (consumed == 0) OnProgress();
        return consumed;
    }

    private bool IsWriteDue(TtyFile file)
    {
        if (file.IsHungUp) return true;
        using SpinLock.Guard guard = _lock.Lock();
        return !_discipline.IsStopped && SendRoom >= 8;
    }

    // ---- readiness and hang-up

    public PollEvents Poll(TtyFile file, PollObserver? observer)
    {
        if (observer is not null) Pollee.Register(observer);
        PollEvents events = PollEvents.None;
        if (file.IsHungUp) return PollEvents.HangUp | PollEvents.Error | PollEvents.In | PollEvents.ReadNormal | PollEvents.Out | PollEvents.WriteNormal;
        using SpinLock.Guard guard = _lock.Lock();
        if (_discipline.HasInput(_discipline.PollMinimum)) events |= PollEvents.In | PollEvents.ReadNormal;
        if (!_discipline.IsStopped && SendRoom >= 8) events |= PollEvents.Out | PollEvents.WriteNormal;
        return events;
    }

    /// <inheritdoc/>
    public override void HangUp()
    {
        using (SpinLock.Guard guard = ProcessTree.Lock.Lock())
        {
            if (Session is not null)
            {
                if (Session.Leader is { } leader)
                {
                    leader.Kill(Signal.SIGHUP);
                    leader.Kill(Signal.SIGCONT);
                }
                Send(Foreground, Signal.SIGHUP);
                Send(Foreground, Signal.SIGCONT);
            }
            Detach();
        }
        using (SpinLock.Guard guard = _lock.Lock())
        {
            Interlocked.Increment(ref _hangUps);
            _discipline.FlushInput();
            _discipline.FlushEcho();
            _discipline.SetStoppedByProgram(false);
            _discipline.SetTermios(_initial);
            FlushSendQueue();
        }
        Pollee.Notify(PollEvents.HangUp | PollEvents.Error | PollEvents.In | PollEvents.Out | PollEvents.ReadNormal | PollEvents.WriteNormal);
        OnProgress();
    }
}

/// <summary>What happened to a terminal, with the numbers of packet mode (ioctl_tty(2), TIOCPKT).</summary>
[Flags]
internal enum TtyChange
{
    None = 0,
    FlushInput = 1,
    FlushOutput = 2,
    Stop = 4,
    Start = 8,
    NoFlowControl = 16,
    FlowControl = 32,
}
