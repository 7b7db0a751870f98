using System;
using System.Collections.Generic;
using System.Linq;
using NUnit.Framework;

namespace Asterinas.Tests.Linux;

/// <summary>The regression programs on the Linux that the tests run on: a case that fails here tests something that Linux does not do.</summary>
[TestFixture("static")]
[TestFixture("static-pie")]
public sealed class HostTests(string link)
{
    // What machines that run tests forbid even root. The guest does not skip them.
    private static readonly Dictionary<string, string> s_skips = new(StringComparer.Ordinal)
    {
        ["processes/limits.nice_limit_lets_a_user_raise_priority"] = "root in a container may not raise limits (no CAP_SYS_RESOURCE)",
        ["processes/limits.rtprio_limit_lets_a_user_be_real_time"] = "root in a container may not raise limits (no CAP_SYS_RESOURCE)",
    };

    private readonly HostRun _run = new(link);

    private static IEnumerable<TestCaseData> Cases =>
        from program in LinuxProgram.All
        from name in program.Cases
        select new TestCaseData(program.Name, name).SetName($"{program.Name}.{name}");

    [TestCaseSource(nameof(Cases))]
    public void Case(string program, string name) => _run.Assert(program, name, s_skips);

    [Test]
    public void Listed_skips_are_cases()
    {
        var cases = LinuxProgram.All.SelectMany(program => program.Cases.Select(name => $"{program.Name}.{name}")).ToHashSet(StringComparer.Ordinal);
        Assert.That(s_skips.Keys.Where(name => !cases.Contains(name)), Is.Empty);
    }
}
