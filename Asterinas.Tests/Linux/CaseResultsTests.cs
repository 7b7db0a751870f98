using System.Collections.Generic;
using NUnit.Framework;

namespace Asterinas.Tests.Linux;

/// <summary>What is made of the lines that the regression programs print.</summary>
public sealed class CaseResultsTests
{
    private static readonly Dictionary<string, string> s_skips = new() { ["a/b.listed"] = "a reason" };

    private static CaseResults Read(params string[] lines)
    {
        var results = new CaseResults();
        foreach (string line in lines) results.Read(line);
        return results;
    }

    private static void Outcome(CaseResults results, string name) => results.Assert(name, s_skips, "it ended");

    [Test]
    public void Passed_case_passes() => Assert.That(() => Outcome(Read("program a/b", "run one", "ok one\r"), "a/b.one"), Throws.Nothing);

    [Test]
    public void Failed_case_fails_with_its_line_and_the_notes_of_its_children()
    {
        CaseResults results = Read("program a/b", "run one", "note one: x.c:3: inner", "[    1.0] kernel: a line", "FAIL one: x.c:7: y == 2, errno 3 ESRCH", "run two", "ok two");
        Assert.That(() => Failure(results, "a/b.one"), Throws.TypeOf<AssertionException>().With.Message.Contains("x.c:7: y == 2, errno 3 ESRCH").And.Message.Contains("inner"));
        Assert.That(() => Outcome(results, "a/b.two"), Throws.Nothing);
    }

    [Test]
    public void Skip_fails_unless_it_is_listed()
    {
        CaseResults results = Read("program a/b", "skip one: no /proc", "skip listed: no such thing");
        Assert.That(() => Failure(results, "a/b.one"), Throws.TypeOf<AssertionException>().With.Message.Contains("no /proc"));
        Assert.That(() => Failure(results, "a/b.listed"), Throws.TypeOf<IgnoreException>().With.Message.Contains("a reason"));
    }

    [Test]
    public void Case_without_a_line_fails()
    {
        CaseResults results = Read("program a/b", "ok one", "program a/c", "run two");
        Assert.That(() => Failure(results, "a/c.one"), Throws.TypeOf<AssertionException>().With.Message.Contains("it ended"));
        Assert.That(results.Running, Is.EqualTo("a/c.two"));
        results.FailRunning("a/c.other", "the kernel died");
        Assert.That(() => Failure(results, "a/c.two"), Throws.TypeOf<AssertionException>().With.Message.Contains("the kernel died"));
        Assert.That(results.AllEnded, Is.False);
        results.Read("all programs ended");
        Assert.That(results.AllEnded, Is.True);
    }

    // An assertion that fails is recorded by NUnit even when it is caught, except in a context of its own.
    private static void Failure(CaseResults results, string name)
    {
        using (new NUnit.Framework.Internal.TestExecutionContext.IsolatedContext()) Outcome(results, name);
    }
}
