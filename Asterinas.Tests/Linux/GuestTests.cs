using System;
using System.Collections.Generic;
using System.Linq;
using NUnit.Framework;

namespace Asterinas.Tests.Linux;

/// <summary>The regression programs in the guest.</summary>
[TestFixture(1, "static")]
[TestFixture(4, "static-pie")]
[Explicit("until the kernel runs Linux programs")]
public sealed class GuestTests(int cpus, string link)
{
    // What QEMU's emulated CPU does not do: these cases are not run.
    private static readonly Dictionary<string, string> s_skips = new(StringComparer.Ordinal)
    {
        ["signals/fault.vector_floating_point_exceptions_have_codes"] = "QEMU's TCG raises no #XM",
        ["signals/fault.alignment_check_is_SIGBUS"] = "QEMU's TCG raises no #AC",
    };

    private readonly GuestRun _run = new("programs", cpus, link, LinuxProgram.All, s_skips);

    private static IEnumerable<TestCaseData> Cases =>
        from program in LinuxProgram.All
        from name in program.Cases
        select new TestCaseData(program.Name, name).SetName($"{program.Name}.{name}");

    [OneTimeSetUp]
    public void Boot() => _run.Run();

    [TestCaseSource(nameof(Cases))]
    public void Case(string program, string name) => _run.Assert(program, name);
}
