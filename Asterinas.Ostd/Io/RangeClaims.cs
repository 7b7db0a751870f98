using System;
using System.Collections.Generic;
using System.Threading;

namespace Asterinas.Ostd.Io;

/// <summary>
/// Who owns which part of an address range (ports, device memory): claims are exclusive and never overlap a range that the framework keeps for itself. A kept range may have a
/// keeper, an object of the framework: a claim that it makes on somebody's behalf may overlap its own ranges.
/// </summary>
internal sealed class RangeClaims
{
    // INVARIANT: sorted by start, disjoint. Under _lock; claims are rare, so a sorted list is enough.
    private readonly List<(ulong Start, ulong End)> _claims = [];
    private readonly List<(ulong Start, ulong End, object? Keeper)> _sensitive = [];
    private int _lock;

    /// <summary>Keeps a range for the framework. Claims that exist already stay.</summary>
    public void AddSensitive(ulong start, ulong length, object? keeper = null)
    {
        Enter();
        _sensitive.Add((start, start + length, keeper));
        Exit();
    }

    /// <summary>Forgets the ranges of a keeper.</summary>
    public void RemoveSensitive(object keeper)
    {
        Enter();
        _sensitive.RemoveAll(range => range.Keeper == keeper);
        Exit();
    }

    /// <summary>Claims [start, start + length). False when any of it is claimed, or sensitive and not kept by the given keeper.</summary>
    public bool TryClaim(ulong start, ulong length, object? keeper = null)
    {
        ulong end = start + length;
        if (length == 0 || end < start) return false;
        Enter();
        try
        {
            if (Touches(start, end, keeper)) return false;
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

    /// <summary>Whether any of [start, start + length) is sensitive.</summary>
    public bool IsSensitive(ulong start, ulong length)
    {
        Enter();
        bool touches = Touches(start, start + length, null);
        Exit();
        return touches;
    }

    /// <summary>Gives a claim back.</summary>
    public void Release(ulong start, ulong length)
    {
        Enter();
        _claims.Remove((start, start + length));
        Exit();
    }

    private bool Touches(ulong start, ulong end, object? keeper)
    {
        foreach ((ulong low, ulong high, object? owner) in _sensitive)
        {
            if (start < high && end > low && (owner is null || owner != keeper)) return true;
        }
        return false;
    }

    private void Enter()
    {
        while (Interlocked.CompareExchange(ref _lock, 1, 0) != 0) Arch.Machine.Pause();
    }

    private void Exit() => Volatile.Write(ref _lock, 0);
}
