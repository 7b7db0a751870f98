using System;
using System.Collections.Generic;
using System.IO;
using System.Text.RegularExpressions;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

/// <summary>
/// Compares what the runtime and the managed code leave undefined with the reviewed list in docs/runtime-plugs.md (the first column of its tables).
/// ostd_* is the seam between managed Ostd and the platform layer, reviewed as Arch/X64/Machine.
/// </summary>
public sealed class PlugGate : Task
{
    [Required]
    public string LinkerOutput { get; set; } = "";

    [Required]
    public string PlugList { get; set; } = "";

    public override bool Execute()
    {
        SortedSet<string> needed = Needed(File.ReadAllText(LinkerOutput)), reviewed = Reviewed(File.ReadAllText(PlugList));
        // The runtime always needs something: a linker that said nothing did not run.
        if (needed.Count == 0) Log.LogError(null, "ASTERINAS002", null, LinkerOutput, 0, 0, 0, 0, "the linker names no symbol that the runtime needs: it did not do its work");
        foreach (string symbol in needed)
        {
            if (reviewed.Contains(symbol)) continue;
            Log.LogError(null, "ASTERINAS002", null, PlugList, 0, 0, 0, 0, "the link needs '{0}', which is not on the reviewed list of runtime plugs", symbol);
        }
        return !Log.HasLoggedErrors;
    }

    /// <summary>The undefined symbols that a linker's messages name, without the seam's.</summary>
    public static SortedSet<string> Needed(string linkerOutput)
    {
        var needed = new SortedSet<string>(StringComparer.Ordinal);
        foreach (Match match in Regex.Matches(linkerOutput, "undefined reference to `([^']+)'"))
        {
            string symbol = match.Groups[1].Value;
            if (!symbol.StartsWith("ostd_", StringComparison.Ordinal)) needed.Add(symbol);
        }
        return needed;
    }

    /// <summary>The symbols of a list: what its tables have in the first column.</summary>
    public static SortedSet<string> Reviewed(string list)
    {
        var reviewed = new SortedSet<string>(StringComparer.Ordinal);
        foreach (Match match in Regex.Matches(list, @"^\|\s*`([^`]+)`", RegexOptions.Multiline)) reviewed.Add(match.Groups[1].Value);
        return reviewed;
    }
}
