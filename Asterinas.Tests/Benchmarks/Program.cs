using System;
using System.Collections.Generic;
using System.CommandLine;
using System.IO;
using System.Linq;

namespace Asterinas.Tests.Benchmarks;

/// <summary>
/// Runs the same programs on this kernel and on Debian's Linux, in the same QEMU with the same devices, and compares (docs/performance.md).
/// <c>dotnet run --project Asterinas.Tests/Benchmarks -- --help</c> lists the options.
/// </summary>
internal static class Program
{
    private static int Main(string[] arguments)
    {
        var timed = new Option<bool>("--timed") { Description = "Measure time, pair by pair, instead of counting instructions." };
        var filter = new Option<string[]>("--filter") { Description = "Only jobs whose name has this in it; repeatable.", DefaultValueFactory = _ => [] };
        var smp = new Option<int>("--smp") { Description = "Number of CPUs; more than one needs --timed.", DefaultValueFactory = _ => 1 };
        var pairs = new Option<int>("--pairs") { Description = "Pairs of runs in timed mode.", DefaultValueFactory = _ => 5 };
        var json = new Option<FileInfo?>("--json") { Description = "Write the results to this file." };
        var plot = new Option<FileInfo?>("--plot") { Description = "Write a bar chart of the ratios to this PNG file." };
        var scale = new Option<double?>("--scale") { Description = "Multiplies the iterations of every job. Default: 1, in timed mode 4, against the noise of the host." };
        var list = new Option<bool>("--list") { Description = "List the jobs and end." };
        var linuxOnly = new Option<bool>("--linux-only") { Description = "Leave this kernel out: no ratios." };
        var kernel = new Option<FileInfo?>("--kernel") { Description = "Compare this kernel instead of the one that the build made: an older one, or Linux itself (all ratios must be 1)." };
        var patience = new Option<double>("--patience") { Description = "Seconds without a line after which a guest is given up.", DefaultValueFactory = _ => 240 };
        var root = new RootCommand("Compares this kernel with Debian's Linux on the same programs.")
        {
            timed, filter, smp, pairs, json, plot, scale, list, linuxOnly, kernel, patience,
        };
        root.SetAction(result => Guarded(() => Run(new Settings
        {
            IsTimed = result.GetValue(timed),
            Filters = result.GetValue(filter)!,
            Cpus = result.GetValue(smp),
            Pairs = result.GetValue(pairs),
            Json = result.GetValue(json)?.FullName,
            Plot = result.GetValue(plot)?.FullName,
            Scale = result.GetValue(scale) ?? (result.GetValue(timed) ? 4 : 1),
            ListOnly = result.GetValue(list),
            LinuxOnly = result.GetValue(linuxOnly),
            Kernel = result.GetValue(kernel)?.FullName,
            Patience = TimeSpan.FromSeconds(result.GetValue(patience)),
        })));
        return root.Parse(arguments).Invoke();
    }

    private static int Guarded(Func<int> run)
    {
        try
        {
            return run();
        }
        catch (BenchmarkException problem)
        {
            Console.Error.WriteLine($"benchmarks: {problem.Message}");
            return 2;
        }
    }

    private static int Run(Settings settings)
    {
        if (settings.Cpus is < 1 or > 64) throw new BenchmarkException("--smp takes 1 to 64");
        if (settings.Cpus > 1 && !settings.IsTimed) throw new BenchmarkException("counted mode has one CPU: --smp needs --timed");
        if (settings.Pairs < 1) throw new BenchmarkException("--pairs takes 1 or more");
        if (settings.Scale is not > 0) throw new BenchmarkException("--scale takes a number above 0");
        if (settings.Kernel is not null && !File.Exists(settings.Kernel)) throw new BenchmarkException($"no such file: {settings.Kernel}");
        string program = BenchmarkProgram.Compile();
        Job[] jobs = [.. BenchmarkProgram.Jobs(program).Where(job => settings.Filters.Length == 0 || settings.Filters.Any(part => job.Name.Contains(part, StringComparison.Ordinal)))];
        if (settings.ListOnly)
        {
            foreach (Job job in jobs) Console.WriteLine($"{job.Name} {job.Iterations}{(job.IsJudgedCounted ? "" : " (judged in timed mode only)")}");
            return 0;
        }
        if (jobs.Length == 0) throw new BenchmarkException("no job has such a name; --list shows them");
        var packages = DebianPackages.Fetch();
        GuestKernel[] kernels = Kernels(settings, packages);
        var campaign = new Campaign(settings, kernels, jobs, program, packages.Busybox);
        foreach (GuestKernel kernel in kernels) Console.WriteLine($"{kernel.Name}: {campaign.CommandLine(kernel)}\n");
        var report = new Report(settings, kernels, jobs, campaign.Run());
        report.WriteTable(Console.Out);
        if (settings.Json is not null) report.WriteJson(settings.Json, packages.Versions, campaign.CommandLine);
        if (settings.Plot is not null) Chart.Write(settings.Plot, report);
        return report.Failures.Count == 0 ? 0 : 1;
    }

    // In the order in which they run. The second Linux is for comparison in the table; it is not what is judged, and timed mode leaves it out.
    private static GuestKernel[] Kernels(Settings settings, DebianPackages packages)
    {
        const string CommandLine = "console=ttyS0 quiet panic=-1";
        var kernels = new List<GuestKernel> { new(KernelRole.Linux, "Linux", packages.Kernel, CommandLine) };
        if (!settings.IsTimed) kernels.Add(new GuestKernel(KernelRole.LinuxWithoutMitigations, "Linux mitigations=off", packages.Kernel, CommandLine + " mitigations=off"));
        if (!settings.LinuxOnly) kernels.Add(new GuestKernel(KernelRole.Asterinas, "Asterinas", settings.Kernel ?? BenchmarkProgram.FindKernel(), CommandLine));
        return [.. kernels];
    }
}
