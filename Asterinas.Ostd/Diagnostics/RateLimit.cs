using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Timers;

namespace Asterinas.Ostd.Diagnostics;

/// <summary>Lets a burst of events pass in each interval, so that nobody floods the log.</summary>
internal sealed class RateLimit(int burst, ulong intervalNs)
{
    private SpinGate _gate;
    private ulong _start;
    private int _passed;
    private long _suppressed;

    /// <summary>Whether the event may pass.</summary>
    /// <param name="suppressed">Events that did not pass since the last one that did.</param>
    public bool TryPass(out long suppressed)
    {
        ulong now = Clock.MonotonicNs;
        _gate.Enter();
        if (now - _start >= intervalNs)
        {
            _start = now;
            _passed = 0;
        }
        bool passes = _passed < burst;
        suppressed = _suppressed;
        if (passes)
        {
            _passed++;
            _suppressed = 0;
        }
        else
        {
            _suppressed++;
        }
        _gate.Exit();
        return passes;
    }
}
