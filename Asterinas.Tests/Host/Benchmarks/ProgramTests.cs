using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Asterinas.Tests.Benchmarks;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Benchmarks;

/// <summary>The benchmark jobs do the work that they say, on the Linux that runs the tests: each checks its data, and its answer is the same each time.</summary>
[TestFixture]
internal sealed class ProgramTests
{
    private const string Scale = "0.02";

    private static IEnumerable<string> JobNames => BenchmarkProgram.Jobs(BenchmarkProgram.Compile()).Select(job => job.Name);

    [TestCaseSource(nameof(JobNames))]
    public void Job_checks_its_data(string job)
    {
        string program = BenchmarkProgram.Compile();
        string[] first = Shell.Run(program, "run", job, "--scale", Scale).Trim().Split(' '), second = Shell.Run(program, "run", job, "--scale", Scale).Trim().Split(' ');
        Assert.That(first, Has.Length.EqualTo(5));
        Assert.That(first[..2], Is.EqualTo(new[] { "BENCH", job }));
        Assert.That(long.Parse(first[3], CultureInfo.InvariantCulture), Is.Positive);
        Assert.That((first[2], first[4]), Is.EqualTo((second[2], second[4])));
    }
}
