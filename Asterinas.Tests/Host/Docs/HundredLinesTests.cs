using System.Collections.Generic;
using System.IO;
using System.Linq;
using Asterinas.Tests.Boots;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Docs;

public sealed class HundredLinesTests
{
    private static readonly string s_source = Path.Combine(Launcher.Root, "Asterinas.Boot", "Samples", "HundredLines", "HundredLines.cs");

    [Test]
    public void Page_shows_the_whole_file_in_order()
    {
        var shown = new List<string>();
        bool inCode = false;
        foreach (string line in File.ReadLines(Path.Combine(Launcher.Root, "docs", "hundred-lines.md")))
        {
            if (line.StartsWith("```", System.StringComparison.Ordinal)) inCode = line == "```csharp";
            else if (inCode && line.Trim().Length > 0) shown.Add(line);
        }
        Assert.That(shown, Is.EqualTo(File.ReadLines(s_source).Where(line => line.Trim().Length > 0)));
    }

    [Test]
    public void File_is_about_a_hundred_lines_of_safe_code()
    {
        string[] lines = File.ReadAllLines(s_source);
        Assert.That(lines, Has.Length.LessThanOrEqualTo(110));
        Assert.That(lines, Has.None.Contains("unsafe"));
    }
}
