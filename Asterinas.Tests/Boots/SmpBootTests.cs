using System.Globalization;
using NUnit.Framework;

namespace Asterinas.Tests.Boots;

/// <summary>Every number of CPUs comes up and runs tasks, whatever the boot protocol; one that does not come up is left out.</summary>
public sealed class SmpBootTests
{
    private const string Test = "Cpus_all_run_tasks_and_wake_each_other";

    private static LauncherResult Boot(int cpus, string commandLine, params string[] more) =>
        Launcher.Run(["--kernel", "KernelTests", "--timeout", "300", "--smp", cpus.ToString(CultureInfo.InvariantCulture), "--append", $"{commandLine} test={Test}", .. more]);

    [Test]
    public void All_cpus_run_tasks([Values(1, 2, 4, 8)] int cpus, [Values("", "--iso")] string protocol)
    {
        LauncherResult result = Boot(cpus, $"cpus={cpus}", protocol.Length > 0 ? [protocol] : []);
        Assert.That(result.Output, Does.Contain($"pass {Test}"));
        Assert.That(result.Status, Is.Zero);
    }

    [Test]
    public void A_cpu_that_does_not_come_up_is_reported_and_the_boot_goes_on_without_it()
    {
        LauncherResult result = Boot(4, "parkcpu=2 cpus=3");
        Assert.That(result.Output, Does.Contain("smp: the CPU with APIC ID 2 did not come up").And.Contain($"pass {Test}"));
        Assert.That(result.Status, Is.Zero);
    }

    [TestCase("scheduler", "HungScheduler", 1)]
    [TestCase("scheduler", "HungScheduler", 4)]
    [TestCase("frame allocator", "HungFrameAllocator", 1)]
    [TestCase("slab allocator", "HungSlabAllocator", 2)]
    public void A_policy_that_does_not_return_is_named_with_its_stack_trace(string kind, string name, int cpus)
    {
        LauncherResult result = Launcher.Run("--kernel", "KernelTests", "--timeout", "300", "--smp", cpus.ToString(CultureInfo.InvariantCulture), "--append",
            $"policylimit=2 end=hung-{kind.Replace(' ', '-')}");
        Assert.That(result.Output, Does.Match($"kernel panic: the {kind} .*{name} has not returned for 2 s"));
        Assert.That(result.Output, Does.Contain("NeverReturn"));
        Assert.That(result.Status, Is.EqualTo(134));
    }

    [Test]
    public void A_panic_stops_the_other_cpus()
    {
        LauncherResult result = Launcher.Run("--kernel", "KernelTests", "--timeout", "300", "--smp", "4", "--append", "end=panic-beside-busy-cpus");
        string end = result.Output[result.Output.IndexOf("kernel panic", System.StringComparison.Ordinal)..];
        Assert.That(end, Does.Contain("beside 4 busy CPUs").And.Contain("PanicBesideBusyCpus"));
        Assert.That(end, Does.Not.Contain("CPU 1 line").And.Not.Contain("CPU 2 line").And.Not.Contain("CPU 3 line"), "nobody writes after the panic");
        Assert.That(result.Status, Is.EqualTo(134));
    }
}
