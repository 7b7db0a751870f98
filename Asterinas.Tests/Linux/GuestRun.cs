using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.IO.Compression;
using System.Linq;
using System.Text;
using System.Threading.Tasks;
using Asterinas.Boot.Build;
using Asterinas.Tests.Boots;
using NUnit.Framework;

namespace Asterinas.Tests.Linux;

/// <summary>
/// Programs in the guest: an initramfs with all of them and an init that runs them one after another, results read from the console. When the kernel dies or hangs, the case that
/// ran has failed, and the guest is booted again for the cases that have no result yet.
/// </summary>
/// <param name="name">Of the initramfs.</param>
/// <param name="cpus">CPUs of the guest.</param>
/// <param name="link">How the programs are linked.</param>
/// <param name="programs">What is run.</param>
/// <param name="skips">Cases that are not run, with the reason.</param>
/// <param name="environment">Variables for the programs, as NAME=VALUE.</param>
internal sealed class GuestRun(string name, int cpus, string link, IReadOnlyList<LinuxProgram> programs, IReadOnlyDictionary<string, string> skips, params string[] environment)
{
    private const int LimitFactor = 8;              // emulation on a busy machine
    private const int BootSeconds = 300;
    private const int MostBoots = 20;

    private readonly StringBuilder _console = new();
    private readonly Stopwatch _sinceLastLine = new();
    private string _end = "the guest was not booted";
    private bool _started;

    /// <summary>What the programs said.</summary>
    public CaseResults Results { get; } = new();

    /// <summary>Seconds that may pass without a line: the longest limit of a case, and what the harness needs to report it.</summary>
    public int SecondsWithoutALine { get; init; } = 130 * LimitFactor;

    /// <summary>All that the guest printed.</summary>
    public string Console
    {
        get
        {
            lock (Results) return _console.ToString();
        }
    }

    /// <summary>Boots until every case has a result.</summary>
    public void Run()
    {
        Parallel.ForEach(programs, new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount }, program => program.Executable(link));
        string initramfs = Path.Combine(Launcher.Root, "Asterinas.Tests", "bin", Launcher.Configuration, "linux", $"{name}-{cpus}.cpio.gz");
        for (int boot = 0; boot < MostBoots && !Results.AllEnded; boot++)
        {
            string plan = Plan(out string first);
            Write(initramfs, plan);
            _end = BootOnce(initramfs);
            if (Results.AllEnded) return;
            if (!_started) return;                  // not even the first program: booting again would not help
            Results.FailRunning(first, $"{_end}\n{Tail()}");
        }
    }

    /// <summary>Makes an NUnit result of the case's.</summary>
    public void Assert(string program, string caseName)
    {
        if (skips.TryGetValue($"{program}.{caseName}", out string? reason)) NUnit.Framework.Assert.Ignore(reason);
        lock (Results) Results.Assert($"{program}.{caseName}", skips, $"{_end}\n{Tail()}");
    }

    // The cases that have no result yet.
    private string Plan(out string first)
    {
        first = "";
        var plan = new StringBuilder($"factor {LimitFactor}\n");
        foreach (string variable in environment) plan.Append("set ").Append(variable).Append('\n');
        foreach (LinuxProgram program in programs)
        {
            string[] missing = [.. program.Cases.Where(caseName => !Results.Has($"{program.Name}.{caseName}") && !skips.ContainsKey($"{program.Name}.{caseName}"))];
            if (missing.Length == 0) continue;
            if (first.Length == 0) first = $"{program.Name}.{missing[0]}";
            plan.Append("run ").Append(program.Name);
            if (missing.Length < program.Cases.Count) plan.Append(' ').AppendJoin(' ', missing);
            plan.Append('\n');
        }
        return plan.ToString();
    }

    private void Write(string initramfs, string plan)
    {
        const uint Executable = 0x1ED, Plain = 0x1A4;
        using FileStream file = File.Create(initramfs);
        using var compressed = new GZipStream(file, CompressionLevel.Fastest);
        using var archive = new CpioArchive(compressed);
        archive.AddFile("init", File.ReadAllBytes(LinuxProgram.Compile("guest/init", link)), Executable);
        archive.AddDirectory("dev");
        archive.AddCharacterDevice("dev/console", 0x180, 5, 1);
        archive.AddDirectory("tests");
        archive.AddFile("tests/plan", Encoding.UTF8.GetBytes(plan), Plain);
        foreach (string folder in programs.Select(program => Path.GetDirectoryName(program.Name)!).Distinct()) archive.AddDirectory($"tests/{folder}");
        foreach (LinuxProgram program in programs) archive.AddFile($"tests/{program.Name}", File.ReadAllBytes(program.Executable(link)), Executable);
    }

    private string BootOnce(string initramfs)
    {
        lock (Results)
        {
            _started = false;
            _sinceLastLine.Restart();
        }
        // ASTERINAS_GUEST_KERNEL: another kernel with the same initramfs, to tell an error of ours from one of the tests'.
        string kernel = Environment.GetEnvironmentVariable("ASTERINAS_GUEST_KERNEL") ?? "Asterinas";
        using Process launcher = Launcher.Start(OnLine, "--kernel", kernel, "--initramfs", initramfs, "--smp", $"{cpus}", "--memory", "1G", "--append", "console=ttyS0 rdinit=/init quiet panic=-1");
        launcher.BeginOutputReadLine();
        launcher.BeginErrorReadLine();
        while (!launcher.WaitForExit(500))
        {
            if (!IsOverdue(out string reason)) continue;
            launcher.Kill();                        // QEMU dies with it
            launcher.WaitForExit();
            return reason;
        }
        launcher.WaitForExit();
        lock (Results) return $"the guest ended with status {launcher.ExitCode} while it ran {Results.Running ?? "no case"}";
    }

    private bool IsOverdue(out string reason)
    {
        lock (Results)
        {
            int limit = _started ? SecondsWithoutALine : BootSeconds;
            reason = $"the guest said nothing for {limit} s while it ran {Results.Running ?? "no case"}";
            return _sinceLastLine.Elapsed.TotalSeconds > limit;
        }
    }

    private void OnLine(string line)
    {
        lock (Results)
        {
            _console.AppendLine(line);
            _sinceLastLine.Restart();
            Results.Read(line);
            _started |= Results.Running is not null;
        }
    }

    private string Tail()
    {
        string text = Console;
        return "console: …" + text[Math.Max(0, text.Length - 3000)..];
    }
}
