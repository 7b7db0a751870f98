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
        var reviewed = new HashSet<string>(StringComparer.Ordinal);
        foreach (Match match in Regex.Matches(File.ReadAllText(PlugList), @"^\|\s*`([^`]+)`", RegexOptions.Multiline)) reviewed.Add(match.Groups[1].Value);
        var missing = new SortedSet<string>(StringComparer.Ordinal);
        foreach (Match match in Regex.Matches(File.ReadAllText(LinkerOutput), "undefined reference to `([^']+)'"))
        {
            string symbol = match.Groups[1].Value;
            if (!reviewed.Contains(symbol) && !symbol.StartsWith("ostd_", StringComparison.Ordinal)) missing.Add(symbol);
        }
        foreach (string symbol in missing)
            Log.LogError(null, "ASTERINAS002", null, PlugList, 0, 0, 0, 0, "the link needs '{0}', which is not on the reviewed list of runtime plugs", symbol);
        return !Log.HasLoggedErrors;
    }
}
