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
/// The regression programs in the guest: an initramfs with all of them and an init that runs them one after another, results read from the console. When the kernel dies or
/// hangs, the case that ran has failed, and the guest is booted again for the cases that have no result yet.
/// </summary>
[TestFixture(1, "static")]
[TestFixture(4, "static-pie")]
[Explicit("until the kernel runs Linux programs")]
public sealed class GuestTests(int cpus, string link)
{
    private const int LimitFactor = 8;              // emulation on a busy machine
    private const int BootSeconds = 300;
    private const int SecondsWithoutALine = 130 * LimitFactor;
    private const int MostBoots = 20;

    // What QEMU's emulated CPU does not do: these cases are not run.
    private static readonly Dictionary<string, string> s_skips = new(StringComparer.Ordinal)
    {
        ["signals/fault.vector_floating_point_exceptions_have_codes"] = "QEMU's TCG raises no #XM",
        ["signals/fault.alignment_check_is_SIGBUS"] = "QEMU's TCG raises no #AC",
    };

    private readonly CaseResults _results = new();
    private readonly StringBuilder _console = new();
    private readonly Stopwatch _sinceLastLine = new();
    private string _end = "the guest was not booted";
    private bool _started;

    private static IEnumerable<TestCaseData> Cases =>
        from program in LinuxProgram.All
        from name in program.Cases
        select new TestCaseData(program.Name, name).SetName($"{program.Name}.{name}");

    [OneTimeSetUp]
    public void Boot()
    {
        Parallel.ForEach(LinuxProgram.All, new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount }, program => program.Executable(link));
        string initramfs = Path.Combine(Launcher.Root, "Asterinas.Tests", "bin", Launcher.Configuration, "linux", $"initramfs-{cpus}.cpio.gz");
        for (int boot = 0; boot < MostBoots && !_results.AllEnded; boot++)
        {
            string plan = Plan(out string first);
            Write(initramfs, plan);
            _end = BootOnce(initramfs);
            if (_results.AllEnded) return;
            if (!_started) return;                  // not even the first program: booting again would not help
            _results.FailRunning(first, $"{_end}\n{Tail()}");
        }
    }

    [TestCaseSource(nameof(Cases))]
    public void Case(string program, string name)
    {
        if (s_skips.TryGetValue($"{program}.{name}", out string? reason)) Assert.Ignore(reason);
        lock (_results) _results.Assert($"{program}.{name}", s_skips, $"{_end}\n{Tail()}");
    }

    // The cases that have no result yet.
    private string Plan(out string first)
    {
        first = "";
        var plan = new StringBuilder($"factor {LimitFactor}\n");
        foreach (LinuxProgram program in LinuxProgram.All)
        {
            string[] missing = [.. program.Cases.Where(name => !_results.Has($"{program.Name}.{name}") && !s_skips.ContainsKey($"{program.Name}.{name}"))];
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
        foreach (string folder in LinuxProgram.All.Select(program => Path.GetDirectoryName(program.Name)!).Distinct()) archive.AddDirectory($"tests/{folder}");
        foreach (LinuxProgram program in LinuxProgram.All) archive.AddFile($"tests/{program.Name}", File.ReadAllBytes(program.Executable(link)), Executable);
    }

    private string BootOnce(string initramfs)
    {
        lock (_results)
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
        lock (_results) return $"the guest ended with status {launcher.ExitCode} while it ran {_results.Running ?? "no case"}";
    }

    private bool IsOverdue(out string reason)
    {
        lock (_results)
        {
            int limit = _started ? SecondsWithoutALine : BootSeconds;
            reason = $"the guest said nothing for {limit} s while it ran {_results.Running ?? "no case"}";
            return _sinceLastLine.Elapsed.TotalSeconds > limit;
        }
    }

    private void OnLine(string line)
    {
        lock (_results)
        {
            _console.AppendLine(line);
            _sinceLastLine.Restart();
            _results.Read(line);
            _started |= _results.Running is not null;
        }
    }

    private string Tail()
    {
        string text = _console.ToString();
        return "console: …" + text[Math.Max(0, text.Length - 3000)..];
    }
}
