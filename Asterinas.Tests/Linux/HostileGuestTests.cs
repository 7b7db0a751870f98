using System;
using System.Collections.Generic;
using System.Linq;
using NUnit.Framework;

namespace Asterinas.Tests.Linux;

/// <summary>
/// The hostile and the repeating programs in the guest: the kernel survives, logs no defect, and has its memory and its tasks back afterwards. A tenth of the full numbers, which
/// ASTERINAS_FULL_RUN asks for; ASTERINAS_SEED chooses another run.
/// </summary>
[Explicit("until the kernel runs Linux programs")]
public sealed class HostileGuestTests
{
    // Page tables, caches and tables that grow once stay; what a leak of a page a round would take is far more.
    private const long ToleratedKib = 8192;

    private static readonly Dictionary<string, string> s_skips = new(StringComparer.Ordinal);
    private static readonly bool s_full = Environment.GetEnvironmentVariable("ASTERINAS_FULL_RUN") is not null;

    private readonly GuestRun _run = new("hostile", 4, "static", LinuxProgram.Hostile, s_skips, "HOSTILE_IN_GUEST=1", $"HOSTILE_SEED={Environment.GetEnvironmentVariable("ASTERINAS_SEED") ?? "1"}",
        $"HOSTILE_CALLS={(s_full ? 2_000_000 : 200_000)}", $"SOAK_ROUNDS={(s_full ? 20_000 : 2_000)}")
    {
        SecondsWithoutALine = 7200,
    };

    private static IEnumerable<TestCaseData> Cases =>
        from program in LinuxProgram.Hostile
        from name in program.Cases
        select new TestCaseData(program.Name, name).SetName($"{program.Name}.{name}");

    private static IEnumerable<string> Programs => LinuxProgram.Hostile.Select(program => program.Name);

    [OneTimeSetUp]
    public void Boot() => _run.Run();

    [TestCaseSource(nameof(Cases))]
    public void Case(string program, string name) => _run.Assert(program, name);

    [TestCaseSource(nameof(Programs))]
    public void Memory_and_tasks_are_as_before_the_program(string program)
    {
        Assert.That(_run.Results.Memory, Does.ContainKey(program), "the guest did not say what it had");
        string next = Programs.SkipWhile(name => name != program).Skip(1).FirstOrDefault() ?? "end";
        Assert.That(_run.Results.Memory, Does.ContainKey(next), "the guest did not say what it had afterwards");
        (long beforeKib, long beforeTasks) = _run.Results.Memory[program];
        (long afterKib, long afterTasks) = _run.Results.Memory[next];
        Assert.That(afterKib, Is.GreaterThan(beforeKib - ToleratedKib), $"available memory was {beforeKib} KiB, is {afterKib} KiB");
        Assert.That(afterTasks, Is.LessThanOrEqualTo(beforeTasks + 1), $"tasks were {beforeTasks}, are {afterTasks}");
    }

    [Test]
    public void Kernel_logs_no_defect() => Assert.That(_run.Console, Does.Not.Contain("defect").IgnoreCase);
}
