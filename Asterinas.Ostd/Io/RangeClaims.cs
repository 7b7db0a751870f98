using System;
using System.Collections.Generic;
using System.Threading;

namespace Asterinas.Ostd.Io;

/// <summary>
/// Who owns which part of an address range (ports, device memory): claims are exclusive and never overlap a range that the framework keeps for itself.
/// </summary>
internal sealed class RangeClaims
{
    // INVARIANT: sorted by start, disjoint. Under _lock; claims are rare, so a sorted list is enough.
    private readonly List<(ulong Start, ulong End)> _claims = [];
    private readonly List<(ulong Start, ulong End)> _sensitive = [];
    private int _lock;

    /// <summary>Keeps a range for the framework. Claims that exist already stay.</summary>
    public void AddSensitive(ulong start, ulong length)
    {
        Enter();
        _sensitive.Add((start, start + length));
        Exit();
    }

    /// <summary>Claims [start, start + length). False when any of it is sensitive or claimed.</summary>
    public bool TryClaim(ulong start, ulong length)
    {
        ulong end = start + length;
        if (length == 0 || end < start) return false;
        Enter();
        try
        {
            foreach ((ulong low, ulong high) in _sensitive)
            {
                if (start < high && end > low) return false;
            }
            int at = 0;
            while (at < _claims.Count && _claims[at].End <= start) at++;
            if (at < _claims.Count && _claims[at].Start < end) return false;
            _claims.Insert(at, (start, end));
            return true;
        }
        finally
        {
            Exit();
        }
    }

    /// <summary>Gives a claim back.</summary>
    public void Release(ulong start, ulong length)
    {
        Enter();
        _claims.Remove((start, start + length));
        Exit();
    }

    private void Enter()
    {
        while (Interlocked.CompareExchange(ref _lock, 1, 0) != 0) Arch.Machine.Pause();
    }

    private void Exit() => Volatile.Write(ref _lock, 0);
}
