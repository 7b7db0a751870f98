using System;
using System.Collections.Generic;
using Asterinas.Ostd.Timers;
using Asterinas.Services.Processes;

namespace Asterinas.Services.Time;

/// <summary>
/// A timer on any clock, which may repeat: the base of timerfd, POSIX timers and interval timers. A timer for a moment of the wall clock follows it when it is set. A timer on CPU
/// time looks when the time could have been used up at the earliest, and again, until it has.
/// LOCK ORDER: <see cref="_lock"/>, then a process' signal lock (CPU time), the framework's timers. What happens at the end of the time runs without locks.
/// </summary>
internal abstract class IntervalTimer
{
    private const long LeastCpuCheckNs = 1000000;

    private static readonly SpinLock s_wallLock = new("wall clock timers");
    private static readonly List<IntervalTimer> s_wallTimers = [];

    private readonly SpinLock _lock = new("interval timer");
    private readonly Timer _timer;
    private ClockSource _clock;
    private long _deadlineNs, _intervalNs;
    private bool _isArmed, _isListed;

    protected IntervalTimer(ClockSource clock)
    {
        _timer = new Timer(OnTimer);
        Clock = clock;
        _clock = clock;
    }

    /// <summary>The clock that it was made for.</summary>
    public ClockSource Clock { get; }

    /// <summary>The time is up; runs at a safe point, must not block.</summary>
    /// <param name="count">How often, since the last call.</param>
    protected abstract void OnExpire(long count);

    /// <summary>Somebody set the wall clock, of which a moment was waited for.</summary>
    protected virtual void OnClockSet()
    {
    }

    /// <summary>Sets it, or takes it back with a value of 0.</summary>
    /// <param name="isAbsolute">The value is a moment of the clock; else a duration.</param>
    /// <param name="valueNs">When it expires first.</param>
    /// <param name="intervalNs">Time between expirations behind that; 0 for only one.</param>
    /// <param name="oldRemainingNs">What was left before, as <see cref="Get"/>.</param>
    /// <param name="oldIntervalNs">The interval before.</param>
    public void Set(bool isAbsolute, long valueNs, long intervalNs, out long oldRemainingNs, out long oldIntervalNs)
    {
        using (SpinLock.Guard guard = _lock.Lock())
        {
            Remaining(out oldRemainingNs, out oldIntervalNs);
            _isArmed = valueNs != 0;
            // A duration does not depend on how the wall clock is set.
            _clock = !isAbsolute && Clock.Kind == ClockKind.RealTime ? ClockSource.Monotonic : Clock;
            _intervalNs = intervalNs;
            if (!_isArmed)
            {
                _intervalNs = 0;
                _timer.Cancel();
            }
            else
            {
                long now = isAbsolute ? 0 : _clock.NowNs;
                _deadlineNs = valueNs > long.MaxValue - now ? long.MaxValue : now + valueNs;
                Arm();
            }
        }
        Follow(valueNs != 0 && isAbsolute && Clock.Kind == ClockKind.RealTime);
    }

    /// <summary>What is left of the time, and the interval. Both 0 when it is not set; what has expired and not been served yet counts as one nanosecond.</summary>
    public void Get(out long remainingNs, out long intervalNs)
    {
        using SpinLock.Guard guard = _lock.Lock();
        Remaining(out remainingNs, out intervalNs);
    }

    /// <summary>Takes it back for good: it is not used any more.</summary>
    public void Dispose() => Set(false, 0, 0, out long _, out long _);

    /// <summary>The wall clock was set: timers for a moment of it are set anew.</summary>
    public static void OnWallClockSet()
    {
        IntervalTimer[] timers;
        using (SpinLock.Guard guard = s_wallLock.Lock())
        {
            if (s_wallTimers.Count == 0) return;
            timers = [.. s_wallTimers];
        }
        foreach (IntervalTimer timer in timers)
        {
            using (SpinLock.Guard guard = timer._lock.Lock())
            {
                if (timer._isArmed) timer.Arm();
            }
            timer.OnClockSet();
        }
    }

    private void Follow(bool isFollowing)
    {
        if (!isFollowing && !_isListed) return;
        using SpinLock.Guard guard = s_wallLock.Lock();
        if (_isListed == isFollowing) return;
        _isListed = isFollowing;
        if (isFollowing) s_wallTimers.Add(this); else s_wallTimers.Remove(this);
    }

    private void Remaining(out long remainingNs, out long intervalNs)
    {
        intervalNs = _intervalNs;
        remainingNs = 0;
        if (_isArmed) remainingNs = Math.Max(_deadlineNs - _clock.NowNs, 1);
    }

    private void Arm()
    {
        long left = Math.Max(_deadlineNs - _clock.NowNs, 0);
        if (_clock.IsCpuTime)
        {
            int threads = _clock.Owner is Process process ? Math.Max(process.Threads.Count, 1) : 1;
            left = Math.Max(left / threads, LeastCpuCheckNs);
        }
        ulong now = Ostd.Timers.Clock.MonotonicNs;
        _timer.Set(now + (ulong)left);
    }

    private void OnTimer()
    {
        long count;
        using (SpinLock.Guard guard = _lock.Lock())
        {
            if (!_isArmed) return;
            long late = _clock.NowNs - _deadlineNs;
            if (late < 0)
            {
                Arm();
                return;
            }
            if (_intervalNs == 0)
            {
                _isArmed = false;
                count = 1;
            }
            else
            {
                count = 1 + late / _intervalNs;
                _deadlineNs += count * _intervalNs;
                Arm();
            }
        }
        OnExpire(count);
    }
}
