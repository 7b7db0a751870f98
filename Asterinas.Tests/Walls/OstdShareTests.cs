using Asterinas.Tests.Boots;
using NUnit.Framework;

namespace Asterinas.Tests.Walls;

/// <summary>How lines are counted, and when Ostd is too large a share of them.</summary>
[TestFixture]
internal sealed class OstdShareTests
{
    [TestCase("", 0, TestName = "An_empty_file_has_no_lines")]
    [TestCase("int x;", 1, TestName = "A_last_line_without_its_end_counts")]
    [TestCase("\n  \n\t\nint x;\n\n", 1, TestName = "Blank_lines_do_not_count")]
    [TestCase("// a\n/// <summary>b</summary>\n  // c\nint x; // d\n", 1, TestName = "Comment_lines_do_not_count")]
    [TestCase("/* a\n b\n\n c */\nint x;\n/* d */ int y;\n", 2, TestName = "Block_comments_do_not_count")]
    [TestCase("int x; /* a\n b */ int y;\n", 2, TestName = "Code_on_both_sides_of_a_comment_counts")]
    [TestCase("string s = \"/*\";\nint y;\nstring t = \"*/\";\n", 3, TestName = "A_string_begins_no_comment")]
    [TestCase("string s = \"\\\"/*\";\nint y;\n", 2, TestName = "An_escaped_quote_ends_no_string")]
    [TestCase("char c = '\"';\n// no\nchar d = '\\'';\n", 2, TestName = "A_character_begins_no_string")]
    [TestCase("string s = @\"\\\";\n// no\nint y;\n", 2, TestName = "A_verbatim_string_has_no_escapes")]
    [TestCase("string s = @\"a \"\"\n// text\n\nb\";\n", 3, TestName = "Lines_of_a_verbatim_string_count")]
    [TestCase("string s = \"\"\"\n    // text\n\n    /* \"text\"\n    \"\"\";\nint y;\n", 5, TestName = "Lines_of_a_raw_string_count")]
    [TestCase("{\n}\n#if X\n#endif\n", 4, TestName = "Braces_and_directives_count")]
    public void CSharp(string text, int lines) => Assert.That(OstdShare.CountCSharp(text), Is.EqualTo(lines));

    [Test]
    public void Comments_and_blank_lines_of_assembly_do_not_count() => Assert.That(OstdShare.CountAssembly("# a\n\n  # b\nlabel:\n    ret # c\n"), Is.EqualTo(2));

    [TestCase(9000, 60000, 100, false, TestName = "Under_the_limit_is_allowed")]
    [TestCase(12000, 60000, 100, true, TestName = "Over_the_limit_fails_once_there_are_services")]
    [TestCase(10200, 57700, 100, false, TestName = "Over_the_limit_is_allowed_while_services_are_few")]
    [TestCase(15000, 85000, 0, true, TestName = "The_limit_itself_fails")]
    public void Limit(int ostd, int services, int boot, bool isTooLarge) => Assert.That(OstdShare.IsTooLarge(ostd, services, boot), Is.EqualTo(isTooLarge));

    [Test]
    public void The_command_prints_the_share_and_the_limit()
    {
        (int status, string output) = ObjectFile.Run("dotnet", "msbuild", $"{Launcher.Root}/Asterinas.Boot/Asterinas.Boot.csproj", "-t:OstdShare", "-nologo", "-nodeReuse:false");
        Assert.That(status, Is.Zero, output);
        Assert.That(output, Does.Match(@"Ostd [\d,]+, Services [\d,]+, Boot [\d,]+ lines\s+Ostd's share: \d+\.\d %, limit 15 %, enforced"));
    }
}
