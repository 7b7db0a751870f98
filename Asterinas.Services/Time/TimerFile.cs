using System;
using System.Buffers.Binary;
using System.Threading;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Ipc;
using Asterinas.Services.Memory;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Time;

/// <summary>A timer to read from (man 2 timerfd_create).</summary>
internal sealed class TimerFile : OpenFile
{
    private const uint SetTicks = 0x40085400;

    private sealed class FileTimer(TimerFile file, ClockSource clock) : IntervalTimer(clock)
    {
        protected override void OnExpire(long count)
        {
            Interlocked.Add(ref file._ticks, count);
            file._pollee.Notify(PollEvents.In | PollEvents.ReadNormal);
        }

        protected override void OnClockSet()
        {
            if (!Volatile.Read(ref file._mayCancel)) return;
            Volatile.Write(ref file._isCanceled, true);
            file._pollee.Notify(PollEvents.In | PollEvents.ReadNormal);
        }
    }

    private readonly Pollee _pollee = new();
    private readonly FileTimer _timer;
    private readonly int _clockId;
    private long _ticks;
    private bool _mayCancel, _isCanceled;
    private int _flags;

    public TimerFile(int clockId, ClockSource clock, OpenFlags flags) : base(new VfsPath(null, AnonymousFileSystem.Files.Shared), OpenFlags.ReadWrite | flags)
    {
        _clockId = clockId;
        _timer = new FileTimer(this, clock);
    }

    public override bool IsPollable => true;

    public override string? AnonymousName => "anon_inode:[timerfd]";

    /// <summary>timerfd_settime(2). ECANCELED when the clock was set since, and that was to be told: the timer is set all the same.</summary>
    public Errno Set(bool isAbsolute, bool cancelsOnSet, long valueNs, long intervalNs, out long oldRemainingNs, out long oldIntervalNs)
    {
        bool wasCanceled = Volatile.Read(ref _isCanceled);
        _flags = (isAbsolute ? 1 : 0) | (cancelsOnSet ? 2 : 0);
        Volatile.Write(ref _mayCancel, cancelsOnSet && isAbsolute && _timer.Clock.Kind == ClockKind.RealTime);
        Volatile.Write(ref _isCanceled, false);
        Interlocked.Exchange(ref _ticks, 0);
        _timer.Set(isAbsolute, valueNs, intervalNs, out oldRemainingNs, out oldIntervalNs);
        return wasCanceled && _mayCancel ? Errno.ECANCELED : Errno.None;
    }

    public void Get(out long remainingNs, out long intervalNs) => _timer.Get(out remainingNs, out intervalNs);

    public override Result<long> ReadAt(ref IoSink sink, long position)
    {
        if (sink.Remaining < sizeof(ulong)) return Errno.EINVAL;
        long ticks;
        while ((ticks = Interlocked.Exchange(ref _ticks, 0)) == 0 || Volatile.Read(ref _isCanceled))
        {
            if (Volatile.Read(ref _isCanceled))
            {
                Volatile.Write(ref _isCanceled, false);
                return Errno.ECANCELED;
            }
            if (IsNonBlocking) return Errno.EAGAIN;
            Errno waited = _pollee.Wait(this, static file => Interlocked.Read(ref file._ticks) != 0 || Volatile.Read(ref file._isCanceled));
            if (waited != Errno.None) return waited;
        }
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, ticks);
        return sink.Write(bytes) == bytes.Length ? bytes.Length : Errno.EFAULT;
    }

    public override PollEvents Poll(PollObserver? observer)
    {
        if (observer is not null) _pollee.Register(observer);
        return Interlocked.Read(ref _ticks) != 0 || Volatile.Read(ref _isCanceled) ? PollEvents.In | PollEvents.ReadNormal : PollEvents.None;
    }

    public override Result<long> Control(Thread thread, uint command, ulong argument)
    {
        if (command != SetTicks) return Errno.ENOTTY;
        if (thread.Memory.Read(new UserAddress(argument), out long ticks) != Errno.None) return Errno.EFAULT;
        if (ticks == 0) return Errno.EINVAL;
        Interlocked.Exchange(ref _ticks, ticks);
        _pollee.Notify(PollEvents.In | PollEvents.ReadNormal);
        return 0;
    }

    public override string DescribeForProc()
    {
        Get(out long remaining, out long interval);
        return $"clockid: {_clockId}\nticks: {Interlocked.Read(ref _ticks)}\nsettime flags: 0{_flags}\n"
            + $"it_value: ({remaining / UserTime.Second}, {remaining % UserTime.Second})\nit_interval: ({interval / UserTime.Second}, {interval % UserTime.Second})\n";
    }

    protected override void OnRelease() => _timer.Dispose();
}
