using System;
using System.Collections.Generic;
using System.Threading;
using Asterinas.Services.Processes;
using Asterinas.Services.Signals;

namespace Asterinas.Services.Time;

/// <summary>The timers of a process: three interval timers (man 2 setitimer), which exec keeps, and those of timer_create(2), which it does not.</summary>
internal sealed class ProcessTimers(Process process)
{
    private sealed class SignalTimer(Process process, Signal signal, ClockSource clock) : IntervalTimer(clock)
    {
        protected override void OnExpire(long count) => process.Kill(signal);
    }

    private readonly SpinLock _lock = new("process timers");
    private readonly IntervalTimer?[] _interval = new IntervalTimer?[3];
    private readonly Dictionary<int, PosixTimer> _posix = [];
    private int _nextId;

    /// <summary>An interval timer, made when it is first asked for.</summary>
    /// <param name="which">ITIMER_REAL, ITIMER_VIRTUAL or ITIMER_PROF: 0 to 2.</param>
    public IntervalTimer Interval(int which)
    {
        if (Volatile.Read(ref _interval[which]) is { } present) return present;
        IntervalTimer made = which switch
        {
            0 => new SignalTimer(process, Signal.SIGALRM, ClockSource.Monotonic),
            1 => new SignalTimer(process, Signal.SIGVTALRM, new ClockSource(ClockKind.ProcessUser, process)),
            _ => new SignalTimer(process, Signal.SIGPROF, new ClockSource(ClockKind.ProcessCpu, process)),
        };
        return Interlocked.CompareExchange(ref _interval[which], made, null) ?? made;
    }

    /// <summary>timer_create(2): gives a timer its number. EAGAIN when there are too many.</summary>
    /// <param name="limit">RLIMIT_SIGPENDING.</param>
    public Errno Add(PosixTimer timer, ulong limit)
    {
        using SpinLock.Guard guard = _lock.Lock();
        if ((ulong)_posix.Count >= limit) return Errno.EAGAIN;
        while (!_posix.TryAdd(_nextId, timer)) _nextId = (_nextId + 1) & int.MaxValue;
        timer.Id = _nextId;
        _nextId = (_nextId + 1) & int.MaxValue;
        return Errno.None;
    }

    /// <summary>The timer with a number; null for none.</summary>
    public PosixTimer? Find(int id)
    {
        using SpinLock.Guard guard = _lock.Lock();
        return _posix.GetValueOrDefault(id);
    }

    /// <summary>timer_delete(2). EINVAL.</summary>
    public Errno Remove(int id)
    {
        PosixTimer? timer;
        using (SpinLock.Guard guard = _lock.Lock())
        {
            if (!_posix.Remove(id, out timer)) return Errno.EINVAL;
        }
        timer.Dispose();
        return Errno.None;
    }

    /// <summary>A new program begins.</summary>
    public void OnExec()
    {
        PosixTimer[] timers;
        using (SpinLock.Guard guard = _lock.Lock())
        {
            timers = [.. _posix.Values];
            _posix.Clear();
            _nextId = 0;
        }
        foreach (PosixTimer timer in timers) timer.Dispose();
    }

    /// <summary>The process ends.</summary>
    public void OnExit()
    {
        OnExec();
        foreach (IntervalTimer? timer in _interval) timer?.Dispose();
    }
}

/// <summary>A timer of timer_create(2), which tells by a signal. While that waits to be taken, further expirations are counted (man 2 timer_getoverrun).</summary>
internal sealed class PosixTimer(Process process, ClockSource clock, Signal signal, Thread? target, ulong value) : IntervalTimer(clock), ISignalSource
{
    private int _isQueued;
    private long _overruns, _lastOverruns;

    public int Id { get; set; }

    /// <summary>Overruns when the signal was last taken.</summary>
    public int Overruns => (int)Math.Min(Interlocked.Read(ref _lastOverruns), int.MaxValue);

    /// <summary>sigev_value; the timer's number when the program gave none.</summary>
    public ulong Value { get; set; } = value;

    /// <summary>It is set anew: what was counted is forgotten.</summary>
    public void Forget()
    {
        Interlocked.Exchange(ref _overruns, 0);
        Interlocked.Exchange(ref _lastOverruns, 0);
    }

    /// <inheritdoc/>
    public SignalInfo OnTaken(in SignalInfo info)
    {
        long overruns = Interlocked.Exchange(ref _overruns, 0);
        Interlocked.Exchange(ref _lastOverruns, overruns);
        Volatile.Write(ref _isQueued, 0);
        return info with { Uid = (uint)Math.Min(overruns, int.MaxValue) };
    }

    protected override void OnExpire(long count)
    {
        if (signal == Signal.None) return;
        // A signal that was ignored is not taken: then it is no longer there, and the next one is sent.
        if (Interlocked.CompareExchange(ref _isQueued, 1, 0) != 0 && IsPending())
        {
            Interlocked.Add(ref _overruns, count);
            return;
        }
        Interlocked.Exchange(ref _overruns, count - 1);
        process.Send(new SignalInfo(signal, SignalInfo.Timer) { Pid = Id, Value = Value }, target, this, true);
    }

    private bool IsPending()
    {
        using SpinLock.Guard guard = process.SignalLock.Lock();
        return (target is null ? process.SharedSignals : target.OwnSignals).Set.Contains(signal);
    }
}
