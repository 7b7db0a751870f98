using System;
using System.Globalization;
using System.IO;
using System.Linq;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

/// <summary>
/// Ostd's share of all lines of kernel code, C# and assembly, without blank lines, comments and tests. Mirch is a simulation for tests, analyzers are part of
/// the build: neither is in the kernel. The limit means a kernel; before there is one, the share is only printed.
/// </summary>
public sealed class OstdShare : Task
{
    /// <summary>Per cent.</summary>
    public const double Limit = 15;

    /// <summary>Lines of Services from which on the limit is an error.</summary>
    public const int EnforcedFrom = 60000;

    [Required]
    public string Root { get; set; } = "";

    public override bool Execute()
    {
        int ostd = Count("Asterinas.Ostd", "Arch/Mirch", "Analyzers"), services = Count("Asterinas.Services"), boot = Count("Asterinas.Boot/Kernel");
        Log.LogMessage(MessageImportance.High, "Ostd {0:N0}, Services {1:N0}, Boot {2:N0} lines", ostd, services, boot);
        Log.LogMessage(MessageImportance.High, Describe(ostd, services, boot));
        if (IsTooLarge(ostd, services, boot)) Log.LogError(null, "ASTERINAS007", null, null, 0, 0, 0, 0, "Ostd is too large a share of the kernel");
        return !Log.HasLoggedErrors;
    }

    public static double Share(int ostd, int services, int boot) => 100.0 * ostd / Math.Max(1, ostd + services + boot);

    public static bool IsTooLarge(int ostd, int services, int boot) => services >= EnforcedFrom && Share(ostd, services, boot) >= Limit;

    public static string Describe(int ostd, int services, int boot) => string.Format(CultureInfo.InvariantCulture,
        "Ostd's share: {0:F1} %, limit {1:F0} %, {2}", Share(ostd, services, boot), Limit, services >= EnforcedFrom ? "enforced" : $"enforced from {EnforcedFrom:N0} lines of Services on");

    private int Count(string folder, params string[] without)
    {
        string root = Path.Combine(Root, folder);
        return Directory.EnumerateFiles(root, "*", SearchOption.AllDirectories).Sum(path =>
        {
            string relative = path.Substring(root.Length + 1);
            bool isOutput = relative.Split('/').Any(part => part is "bin" or "obj");
            if (isOutput || without.Any(part => relative.StartsWith(part + "/", StringComparison.Ordinal))) return 0;
            return Path.GetExtension(path) switch
            {
                ".cs" => CountCSharp(File.ReadAllText(path)),
                ".s" => CountAssembly(File.ReadAllText(path)),
                _ => 0,
            };
        });
    }

    /// <summary>Lines of C# with anything but white space and comments. Strings may hold what looks like a comment.</summary>
    public static int CountCSharp(string text)
    {
        int lines = 0;
        bool hasCode = false;
        for (int at = 0; at < text.Length; at++)
        {
            if (text[at] == '\n')
            {
                if (hasCode) lines++;
                hasCode = false;
            }
            else if (Starts(text, at, "//")) at = IndexOrEnd(text, "\n", at) - 1;
            else if (Starts(text, at, "/*"))
            {
                int end = IndexOrEnd(text, "*/", at + 2);
                // Code before the comment counts its first line; the lines inside it have none.
                if (text.IndexOf('\n', at, end - at) >= 0)
                {
                    if (hasCode) lines++;
                    hasCode = false;
                }
                at = end + 1;
            }
            else if (text[at] == '\'') (at, hasCode) = (EndOfQuoted(text, at), true);
            else if (text[at] == '"')
            {
                int end = EndOfString(text, at);
                lines += text.Substring(at, end - at).Split('\n').Reverse().Skip(1).Count(line => line.Trim().Length > 0);
                (at, hasCode) = (end, true);
            }
            else if (!char.IsWhiteSpace(text[at])) hasCode = true;
        }
        return hasCode ? lines + 1 : lines;
    }

    /// <summary>Lines of assembly with anything but white space and comments (# to the end of the line).</summary>
    public static int CountAssembly(string text) => text.Split('\n').Count(line => line.Split('#')[0].Trim().Length > 0);

    /// <summary>The last quote of a string that starts here: verbatim, raw or ordinary.</summary>
    private static int EndOfString(string text, int at)
    {
        int quotes = 0;
        while (at + quotes < text.Length && text[at + quotes] == '"') quotes++;
        if (quotes >= 3) return IndexOrEnd(text, new string('"', quotes), at + quotes) + quotes - 1;
        bool isVerbatim = at > 0 && text[at - 1] == '@' || at > 1 && text[at - 1] == '$' && text[at - 2] == '@';
        if (!isVerbatim) return EndOfQuoted(text, at);
        for (at++; at < text.Length; at++)
        {
            if (text[at] != '"') continue;
            if (at + 1 < text.Length && text[at + 1] == '"') at++;
            else break;
        }
        return Math.Min(at, text.Length - 1);
    }

    private static int EndOfQuoted(string text, int at)
    {
        char quote = text[at];
        for (at++; at < text.Length && text[at] != quote && text[at] != '\n'; at++)
        {
            if (text[at] == '\\') at++;
        }
        // One that does not end on its line leaves the line's end to be counted.
        return at >= text.Length || text[at] == '\n' ? Math.Min(at, text.Length) - 1 : at;
    }

    private static bool Starts(string text, int at, string what) => string.CompareOrdinal(text, at, what, 0, what.Length) == 0;

    private static int IndexOrEnd(string text, string what, int from) => text.IndexOf(what, from, StringComparison.Ordinal) is >= 0 and int index ? index : text.Length;
}
