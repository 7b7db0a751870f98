using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using NUnit.Framework;

namespace Asterinas.Tests.Linux;

/// <summary>
/// The regression programs on the Linux that the tests run on: a case that fails here tests something that Linux does not do. They need root, as they have it in the guest.
/// </summary>
[TestFixture("static")]
[TestFixture("static-pie")]
public sealed class HostTests(string link)
{
    private static readonly TimeSpan s_programLimit = TimeSpan.FromMinutes(20);

    // What machines that run tests forbid even root. The guest skips nothing.
    private static readonly Dictionary<string, string> s_skips = new(StringComparer.Ordinal)
    {
        ["processes/limits.nice_limit_lets_a_user_raise_priority"] = "root in a container may not raise limits (no CAP_SYS_RESOURCE)",
        ["processes/limits.rtprio_limit_lets_a_user_be_real_time"] = "root in a container may not raise limits (no CAP_SYS_RESOURCE)",
    };

    private readonly ConcurrentDictionary<string, Lazy<(CaseResults Results, string End)>> _runs = new(StringComparer.Ordinal);

    private static IEnumerable<TestCaseData> Cases =>
        from program in LinuxProgram.All
        from name in program.Cases
        select new TestCaseData(program.Name, name).SetName($"{program.Name}.{name}");

    [TestCaseSource(nameof(Cases))]
    public void Case(string program, string name)
    {
        (CaseResults results, string end) = _runs.GetOrAdd(program, _ => new Lazy<(CaseResults, string)>(() => Run(program))).Value;
        results.Assert($"{program}.{name}", s_skips, end);
    }

    [Test]
    public void Listed_skips_are_cases()
    {
        var cases = LinuxProgram.All.SelectMany(program => program.Cases.Select(name => $"{program.Name}.{name}")).ToHashSet(StringComparer.Ordinal);
        Assert.That(s_skips.Keys.Where(name => !cases.Contains(name)), Is.Empty);
    }

    private (CaseResults Results, string End) Run(string name)
    {
        string executable = LinuxProgram.Compile(name, link);
        string[] command = Environment.IsPrivilegedProcess ? [executable] : ["sudo", "-n", executable];
        var start = new ProcessStartInfo(command[0], command[1..]) { RedirectStandardOutput = true, RedirectStandardInput = true };
        start.ArgumentList.Add("--trace");
        start.Environment.Remove("TMPDIR");     // may be closed to the users that cases become
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        var results = new CaseResults { Program = name };
        process.OutputDataReceived += (_, e) =>
        {
            lock (results) results.Read(e.Data ?? "");
        };
        process.BeginOutputReadLine();
        bool ended = process.WaitForExit(s_programLimit);
        if (ended) process.WaitForExit();
        else process.Kill(entireProcessTree: true);
        lock (results) return (results, ended ? $"the program ended with status {process.ExitCode}" : $"the program ran longer than {s_programLimit}, in {results.Running}");
    }
}
