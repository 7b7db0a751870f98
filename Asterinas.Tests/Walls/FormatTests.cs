using System;
using System.Linq;
using NUnit.Framework;

namespace Asterinas.Tests.Walls;

/// <summary>Code that .editorconfig would format differently does not build: one real build of a badly formatted file.</summary>
[TestFixture]
internal sealed class FormatTests
{
    private const string Source = """
        internal class A  { }
        internal class B {
            private int M() => 1;

        →private void Tab() { }
            private int M(int x){ return x+1; }
            private void TrailingSpace() { }·
            private static int Well(int x) => x;
            private static void OnOneLine(int x) { if (x > 1) { Well(x); return; } }
        }
        """;

    // Arrow and dot stand for a tab and a space, which an editor would mend here.
    private static readonly Lazy<string[]> s_errors = new(() => ViolationBuild.Errors("Format", Source.Replace('→', '\t').Replace('·', ' ')));

    [TestCase(1, TestName = "Double_space_does_not_build")]
    [TestCase(2, TestName = "Brace_on_the_line_of_its_type_does_not_build")]
    [TestCase(5, TestName = "Tab_does_not_build")]
    [TestCase(6, TestName = "Operator_without_spaces_does_not_build")]
    [TestCase(7, TestName = "Space_at_the_end_of_a_line_does_not_build")]
    public void Violation(int line) => Assert.That(s_errors.Value, Does.Contain($"IDE0055:{line}"));

    [Test]
    public void Well_formatted_lines_build() => Assert.That(s_errors.Value.Where(error => error.EndsWith(":8", StringComparison.Ordinal) || error.EndsWith(":9", StringComparison.Ordinal)), Is.Empty);
}
