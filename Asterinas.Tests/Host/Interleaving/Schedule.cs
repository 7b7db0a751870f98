using System;
using System.Collections.Generic;

namespace Asterinas.Tests.Host.Interleaving;

/// <summary>
/// The decisions of one run, and the way to the next one: depth first over the tree of "who goes on here". Runs are repeatable, so a run repeats the decisions of the
/// path and takes the first option beyond it.
/// </summary>
internal sealed class Schedule
{
    // INVARIANT: every entry's choice is below its number of options.
    private readonly List<(int Choice, int Options)> _path = [];
    private int _depth;

    /// <summary>Whether every run has met the decisions of the run before it again.</summary>
    public bool IsRepeatable { get; private set; } = true;

    /// <summary>Begins a run.</summary>
    public void Rewind() => _depth = 0;

    /// <summary>Takes the next decision: 0 to options - 1.</summary>
    public int Decide(int options)
    {
        if (_depth == _path.Count) _path.Add((0, options));
        (int choice, int known) = _path[_depth++];
        IsRepeatable &= known == options;
        return Math.Min(choice, options - 1);
    }

    /// <summary>Moves to the next path; false when all have been run.</summary>
    public bool Next()
    {
        while (_path.Count > 0)
        {
            (int choice, int options) = _path[^1];
            _path.RemoveAt(_path.Count - 1);
            if (choice + 1 == options) continue;
            _path.Add((choice + 1, options));
            return true;
        }
        return false;
    }
}
