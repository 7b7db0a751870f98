using System;
using System.Collections.Generic;
using System.Numerics;
using Asterinas.Services.Processes;

namespace Asterinas.Services.Signals;

/// <summary>
/// Somebody who queues one signal of his own again and again, and wants to know when it is taken: a POSIX timer, whose overruns count meanwhile (man 2 timer_getoverrun).
/// </summary>
internal interface ISignalSource
{
    /// <summary>The signal is about to be delivered: returns what it carries, with si_overrun as of now. Called under the receiver's signal lock: must be short and take no lock above it.</summary>
    SignalInfo OnTaken(in SignalInfo info);
}

/// <summary>
/// Signals that wait to be taken: of one thread, or of a process (man 7 signal). Standard signals are there once, real-time signals are queued with what they carry.
/// All members are called under the process' signal lock. Room for the first standard signal is made with it; real-time queues grow.
/// </summary>
internal sealed class PendingSignals
{
    private readonly record struct Entry(SignalInfo Info, UserAccount? Account, ISignalSource? Source);

    private const int FirstRealTime = (int)Signal.FirstRealTime;
    private Entry[]? _standard;
    private Queue<Entry>?[]? _realTime;

    /// <summary>Which signals wait.</summary>
    public SignalSet Set { get; private set; }

    /// <summary>
    /// Queues a signal. EAGAIN when the user has too many queued (RLIMIT_SIGPENDING) and the sender must know; a standard signal, or one of kill(2), then loses only what it carries.
    /// </summary>
    public Errno Add(in SignalInfo info, UserAccount account, ulong limit, ISignalSource? source = null)
    {
        Signal signal = info.Signal;
        bool isStandard = signal < Signal.FirstRealTime;
        if (isStandard && Set.Contains(signal)) return Errno.None;
        var entry = new Entry(info, account, source);
        // What the kernel itself sends is never lost (Linux: override of the limit for standard signals with kernel or kill(2) codes).
        bool isWithin = account.TryAddSignal(isStandard && info.Code >= 0 ? ulong.MaxValue : limit);
        if (!isWithin)
        {
            if (!isStandard && info.Code != SignalInfo.User) return Errno.EAGAIN;
            entry = new Entry(new SignalInfo(signal, SignalInfo.User), null, source);
        }
        if (isStandard)
        {
            _standard ??= new Entry[FirstRealTime];
            _standard[(int)signal] = entry;
        }
        else
        {
            _realTime ??= new Queue<Entry>?[(int)Signal.Last - FirstRealTime + 1];
            Queue<Entry> queue = _realTime[(int)signal - FirstRealTime] ??= new Queue<Entry>();
            // Beyond the limit the signal is pending, but not a second time.
            if (isWithin || queue.Count == 0) queue.Enqueue(entry);
        }
        Set |= SignalSet.Of(signal);
        return Errno.None;
    }

    /// <summary>Takes the first signal of a set: those of the CPU first, then by number. False when none of them waits.</summary>
    public bool TryTake(SignalSet wanted, out SignalInfo info)
    {
        ulong bits = Set.Bits & wanted.Bits;
        info = default;
        if (bits == 0) return false;
        ulong synchronous = bits & DefaultAction.Synchronous.Bits;
        var signal = (Signal)(BitOperations.TrailingZeroCount(synchronous != 0 ? synchronous : bits) + 1);
        info = Take(signal);
        return true;
    }

    /// <summary>Forgets signals.</summary>
    public void Remove(SignalSet signals)
    {
        ulong bits = Set.Bits & signals.Bits;
        while (bits != 0)
        {
            Take((Signal)(BitOperations.TrailingZeroCount(bits) + 1));
            bits = Set.Bits & signals.Bits;
        }
    }

    private SignalInfo Take(Signal signal)
    {
        Entry entry;
        if (signal < Signal.FirstRealTime)
        {
            entry = _standard![(int)signal];
            _standard[(int)signal] = default;
            Set &= ~SignalSet.Of(signal);
        }
        else
        {
            Queue<Entry> queue = _realTime![(int)signal - FirstRealTime]!;
            entry = queue.Dequeue();
            if (queue.Count == 0) Set &= ~SignalSet.Of(signal);
        }
        entry.Account?.RemoveSignal();
        return entry.Source is { } source ? source.OnTaken(entry.Info) : entry.Info;
    }
}
