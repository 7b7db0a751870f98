using System;
using System.Collections.Generic;
using System.Globalization;
using NUnit.Framework;

namespace Asterinas.Tests.Linux;

/// <summary>How a case ended.</summary>
internal enum CaseOutcome
{
    Passed,
    Failed,
    Skipped,
}

/// <summary>A case's outcome, with the line that said so and the notes of its children.</summary>
internal readonly record struct CaseResult(CaseOutcome Outcome, string Text);

/// <summary>
/// What regression programs print, line by line, as results. Lines of others (the kernel's log) are passed over. Results are named "folder/program.case".
/// </summary>
internal sealed class CaseResults
{
    private readonly Dictionary<string, CaseResult> _results = new(StringComparer.Ordinal);
    private readonly List<string> _notes = [];

    /// <summary>The program that prints now.</summary>
    public string Program { get; set; } = "";

    /// <summary>The case that was started and has not ended; null between cases.</summary>
    public string? Running { get; private set; }

    /// <summary>Whether the guest's init said that it is done.</summary>
    public bool AllEnded { get; private set; }

    /// <summary>Available memory in KiB and the number of tasks before each program, and at the "end", where the guest's init said so.</summary>
    public Dictionary<string, (long AvailableKib, long Tasks)> Memory { get; } = new(StringComparer.Ordinal);

    /// <summary>Whether there is a result for the case.</summary>
    public bool Has(string name) => _results.ContainsKey(name);

    /// <summary>Reads one line.</summary>
    public void Read(string line)
    {
        line = line.TrimEnd('\r');
        int blank = line.IndexOf(' ', StringComparison.Ordinal);
        if (blank < 0) return;
        string word = line[..blank], rest = line[(blank + 1)..];
        int end = rest.IndexOf(':', StringComparison.Ordinal);
        string name = end < 0 ? rest : rest[..end];
        switch (word)
        {
            case "program":
                Program = rest;
                Running = null;
                break;
            case "run":
                Running = Full(rest);
                _notes.Clear();
                break;
            case "note":
                _notes.Add(line);
                break;
            case "ok" when end < 0:
                End(name, CaseOutcome.Passed, line);
                break;
            case "FAIL":
                End(name, CaseOutcome.Failed, line);
                break;
            case "skip":
                End(name, CaseOutcome.Skipped, line);
                break;
            case "memory" when rest.Split(' ') is [var place, var available, var tasks]:
                Memory[place] = (long.Parse(available, CultureInfo.InvariantCulture), long.Parse(tasks, CultureInfo.InvariantCulture));
                break;
            case "all" when rest == "programs ended":
                AllEnded = true;
                break;
        }
    }

    /// <summary>Gives the running case, or else the given one, a failure: what ran it died.</summary>
    public void FailRunning(string otherwise, string reason)
    {
        _results[Running ?? otherwise] = new CaseResult(CaseOutcome.Failed, reason);
        Running = null;
    }

    /// <summary>Makes an NUnit result of the case's. A skip is a failure unless its reason is among <paramref name="skips"/>.</summary>
    public void Assert(string name, IReadOnlyDictionary<string, string> skips, string otherwise)
    {
        if (!_results.TryGetValue(name, out CaseResult result)) NUnit.Framework.Assert.Fail($"not reported: {otherwise}");
        else if (result.Outcome == CaseOutcome.Failed) NUnit.Framework.Assert.Fail(result.Text);
        else if (result.Outcome == CaseOutcome.Skipped && skips.TryGetValue(name, out string? reason)) NUnit.Framework.Assert.Ignore(reason);
        else if (result.Outcome == CaseOutcome.Skipped) NUnit.Framework.Assert.Fail($"{result.Text} (a skip that no list has a reason for)");
    }

    private string Full(string name) => $"{Program}.{name}";

    private void End(string name, CaseOutcome outcome, string line)
    {
        _results[Full(name)] = new CaseResult(outcome, _notes.Count == 0 ? line : $"{line}\n{string.Join('\n', _notes)}");
        _notes.Clear();
        Running = null;
    }
}
