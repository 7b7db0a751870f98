using System;
using System.Collections.Generic;
using System.Linq;
using NUnit.Framework;

namespace Asterinas.Tests.Linux;

/// <summary>The hostile and the repeating programs on the Linux that the tests run on, with small numbers: that they do what they are for. Their processes are boxed.</summary>
public sealed class HostileHostTests
{
    // The guest does not skip these.
    private static readonly Dictionary<string, string> s_skips = LinuxProgram.Hostile.Where(program => program.Name == "hostile/oom").SelectMany(program => program.Cases)
        .ToDictionary(name => $"hostile/oom.{name}", _ => "would take this machine's memory", StringComparer.Ordinal);

    private readonly HostRun _run = new("static", "HOSTILE_CALLS=10000", "HOSTILE_FRAMES=600", "HOSTILE_MS=300", "SOAK_ROUNDS=300");

    private static IEnumerable<TestCaseData> Cases =>
        from program in LinuxProgram.Hostile
        from name in program.Cases
        select new TestCaseData(program.Name, name).SetName($"{program.Name}.{name}");

    [TestCaseSource(nameof(Cases))]
    public void Case(string program, string name) => _run.Assert(program, name, s_skips);
}
