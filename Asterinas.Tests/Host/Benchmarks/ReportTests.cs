using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.Json;
using Asterinas.Tests.Benchmarks;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Benchmarks;

/// <summary>What the benchmarks conclude from what was measured.</summary>
[TestFixture]
internal sealed class ReportTests
{
    private static readonly GuestKernel[] s_kernels = [new(KernelRole.Linux, "Linux", "l", ""), new(KernelRole.Asterinas, "Asterinas", "a", "")];
    private static readonly Job[] s_jobs = [new("one", 10, true), new("two", 10, true), new("copy", 10, false)];

    [Test]
    public void Geometric_mean_is_of_the_judged_jobs()
    {
        Report counted = Counted(Results(("one", 400), ("two", 90), ("copy", 1000), ("boot", 5000)), Results(("one", 100), ("two", 90), ("copy", 10), ("boot", 10)));
        Assert.That(counted.GeometricMean, Is.EqualTo(2).Within(1e-9));
        Assert.That(counted.Failures, Is.Empty);
        Row copy = counted.Rows.Single(row => row.Name == "copy");
        Assert.That(copy.Ratio, Is.EqualTo(100).Within(1e-9));
        Assert.That(copy.IsJudged, Is.False);
        Report timed = new(Settings(isTimed: true), s_kernels, s_jobs, [Run(Results(("one", 8), ("copy", 8)), Results(("one", 4), ("copy", 1)))]);
        Assert.That(timed.GeometricMean, Is.EqualTo(4).Within(1e-9));
    }

    [Test]
    public void Ratios_are_taken_pair_by_pair()
    {
        Report report = new(Settings(isTimed: true), s_kernels, s_jobs,
        [
            Run(Results(("one", 100)), Results(("one", 100))),
            Run(Results(("one", 300)), Results(("one", 100))),
            Run(Results(("one", 400)), Results(("one", 200))),
        ]);
        Row row = report.Rows.Single(row => row.Name == "one");
        Assert.That((row.Ratio, row.LeastRatio, row.MostRatio), Is.EqualTo(((double?)2, 1.0, 3.0)));
        Assert.That(row.LinuxNs, Is.EqualTo(30));
    }

    [Test]
    public void Pair_without_one_half_has_no_ratio()
    {
        Report report = new(Settings(isTimed: true), s_kernels, s_jobs,
        [
            Run(Results(("one", 100)), Results()),
            Run(Results(("one", 300)), Results(("one", 100))),
        ]);
        Assert.That(report.Rows.Single(row => row.Name == "one").Ratio, Is.EqualTo(3));
    }

    [Test]
    public void Different_work_is_a_failure_and_has_no_ratio()
    {
        GuestResults theirs = Results(("one", 100)), ours = new(new Dictionary<string, Measurement> { ["one"] = new(10, 10, "another") }, new Dictionary<string, string>());
        Report report = Counted(theirs, ours);
        Assert.That(report.Failures.Keys, Is.EqualTo(new[] { "all: one" }));
        Assert.That(report.GeometricMean, Is.Null);
    }

    [Test]
    public void Failed_jobs_are_named()
    {
        var ours = new GuestResults(new Dictionary<string, Measurement>(), new Dictionary<string, string> { ["one"] = "panic" });
        Report report = Counted(Results(("one", 100)), ours);
        Assert.That(report.Failures["Asterinas: one"], Is.EqualTo("panic"));
        var text = new StringWriter();
        report.WriteTable(text);
        Assert.That(text.ToString(), Does.Contain("FAILED Asterinas: one").And.Contain("geometric mean: none"));
    }

    [Test]
    public void Json_has_the_mean_at_the_top()
    {
        string file = Path.Combine(TestContext.CurrentContext.WorkDirectory, "report.json");
        Counted(Results(("one", 300)), Results(("one", 200))).WriteJson(file, ["linux 1"], kernel => kernel.Image);
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(file));
        Assert.That(document.RootElement.GetProperty("geomean").GetDouble(), Is.EqualTo(1.5));
        Assert.That(document.RootElement.GetProperty("commandLines").GetProperty("Linux").GetString(), Is.EqualTo("l"));
    }

    private static Report Counted(GuestResults linux, GuestResults asterinas) => new(Settings(isTimed: false), s_kernels, s_jobs, [Run(linux, asterinas)]);

    private static Dictionary<KernelRole, GuestResults> Run(GuestResults linux, GuestResults asterinas) => new() { [KernelRole.Linux] = linux, [KernelRole.Asterinas] = asterinas };

    private static GuestResults Results(params (string Job, double TotalNs)[] measurements) =>
        new(measurements.ToDictionary(m => m.Job, m => new Measurement(10, m.TotalNs, "check")), new Dictionary<string, string>());

    private static Settings Settings(bool isTimed) => new()
    {
        IsTimed = isTimed,
        Filters = [],
        Cpus = 1,
        Pairs = 1,
        Json = null,
        Plot = null,
        Scale = 1,
        ListOnly = false,
        LinuxOnly = false,
        Kernel = null,
        Patience = TimeSpan.FromSeconds(1),
    };
}
