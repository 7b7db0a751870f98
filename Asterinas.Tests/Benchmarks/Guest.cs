using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using Asterinas.Boot.Build;

namespace Asterinas.Tests.Benchmarks;

/// <summary>
/// Boots of one kernel, until every job has a result or has failed. A job at which the kernel dies or falls silent has failed, and the kernel is booted again for the
/// jobs after it.
/// </summary>
internal sealed class Guest(Settings settings, GuestKernel kernel, string program, string busybox, Action<string, double> onDone)
{
    private const int MostBoots = 12;
    private const string Qemu = "/usr/bin/qemu-system-x86_64";

    // What busybox is called in the scripts of programs/shell.c.
    private static readonly string[] s_applets = ["sh", "mkdir", "cat", "wc", "head", "cut", "grep", "rm", "tar", "find"];

    private readonly Dictionary<string, Measurement> _results = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _failures = new(StringComparer.Ordinal);
    private readonly StringBuilder _tail = new();
    private readonly Stopwatch _sinceLine = new(), _sinceStart = new(), _sinceJob = new();
    private readonly Lock _lock = new();
    private string? _running;
    private bool _hasEnded;

    /// <summary>What has been measured and what has failed.</summary>
    public GuestResults Results => new(_results, _failures);

    public static string InitramfsPath(GuestKernel kernel) => Path.Combine(BenchmarkProgram.WorkFolder, $"{kernel.Role}.cpio");

    /// <summary>QEMU's arguments: the same for every kernel but for the image and its command line.</summary>
    public static string[] Arguments(Settings settings, GuestKernel kernel)
    {
        var arguments = new List<string> { "-machine", "q35" };
        if (settings.IsTimed) arguments.AddRange(["-accel", "tcg,thread=multi", "-cpu", "max"]);
        else
        {
            // One instruction is one nanosecond; idle time passes at once. Random numbers and the clock of day begin alike, so that runs repeat to the instruction.
            // Without ERMS, because "rep movsb" counts one for each byte.
            arguments.AddRange(["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-cpu", "max,-erms", "-seed", "1", "-rtc", "base=2025-01-01,clock=vm"]);
        }
        arguments.AddRange(["-smp", settings.Cpus.ToString(CultureInfo.InvariantCulture), "-m", "1G", "-nodefaults", "-display", "none", "-no-reboot"]);
        arguments.AddRange(["-chardev", "null,id=status", "-device", "isa-debugcon,iobase=0xf4,chardev=status", "-serial", "stdio"]);
        arguments.AddRange(["-kernel", kernel.Image, "-initrd", InitramfsPath(kernel), "-append", kernel.CommandLine]);
        return [.. arguments];
    }

    public static string CommandLine(Settings settings, GuestKernel kernel) => Qemu + " " + string.Join(' ', Arguments(settings, kernel).Select(part => part.Contains(' ') ? $"\"{part}\"" : part));

    /// <summary>Runs all jobs.</summary>
    public void Run(IReadOnlyList<Job> jobs)
    {
        for (int boot = 0; boot < MostBoots; boot++)
        {
            Job[] left = [.. jobs.Where(job => !_results.ContainsKey(job.Name) && !_failures.ContainsKey(job.Name))];
            if (left.Length == 0) return;
            WriteInitramfs(left);
            string end = BootOnce();
            lock (_lock)
            {
                if (_hasEnded) continue;        // the plan came to its end: what has no result now has a failure
                // Not even process 1: booting again would not help.
                if (_running is null && _results.Count == 0) FailAll(left, $"{end}: {Tail()}");
                else Fail(_running ?? left[0].Name, $"{end}: {Tail()}");
            }
        }
        FailAll([.. jobs.Where(job => !_results.ContainsKey(job.Name) && !_failures.ContainsKey(job.Name))], $"not run: {MostBoots} boots were not enough");
    }

    private void WriteInitramfs(Job[] jobs)
    {
        const uint Executable = 0x1ED, Plain = 0x1A4;
        using FileStream file = File.Create(InitramfsPath(kernel));
        using var archive = new CpioArchive(file);
        foreach (string folder in (string[])["bench", "bin", "dev", "proc", "sys", "tmp"]) archive.AddDirectory(folder);
        archive.AddCharacterDevice("dev/console", 0x180, 5, 1);
        archive.AddFile("bin/busybox", File.ReadAllBytes(busybox), Executable);
        foreach (string applet in s_applets) archive.AddSymbolicLink($"bin/{applet}", "busybox");
        archive.AddFile("bench/bench", File.ReadAllBytes(program), Executable);
        archive.AddSymbolicLink("init", "bench/bench");
        var plan = new StringBuilder(string.Create(CultureInfo.InvariantCulture, $"scale {settings.Scale}\n"));
        foreach (Job job in jobs) plan.Append("job ").Append(job.Name).Append('\n');
        archive.AddFile("bench/plan", Encoding.UTF8.GetBytes(plan.ToString()), Plain);
    }

    private string BootOnce()
    {
        // The kernel ends QEMU when we die, even by SIGKILL: PR_SET_PDEATHSIG, set by setpriv.
        var start = new ProcessStartInfo("/usr/bin/setpriv", ["--pdeathsig", "KILL", Qemu, .. Arguments(settings, kernel)])
        {
            UseShellExecute = false,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        lock (_lock)
        {
            _running = null;
            _hasEnded = false;
            _tail.Clear();
            _sinceLine.Restart();
            _sinceStart.Restart();
        }
        using Process qemu = Process.Start(start) ?? throw new BenchmarkException("QEMU did not start");
        qemu.StandardInput.Close();
        qemu.OutputDataReceived += (_, e) => OnLine(e.Data);
        qemu.ErrorDataReceived += (_, e) => OnLine(e.Data);
        qemu.BeginOutputReadLine();
        qemu.BeginErrorReadLine();
        while (!qemu.WaitForExit(200))
        {
            lock (_lock)
            {
                if (_sinceLine.Elapsed < settings.Patience) continue;
            }
            qemu.Kill();
            qemu.WaitForExit();
            return string.Create(CultureInfo.InvariantCulture, $"no line for {settings.Patience.TotalSeconds} s");
        }
        qemu.WaitForExit();         // the last lines
        return $"the guest ended (QEMU's status {qemu.ExitCode})";
    }

    // The lines are those of programs/main.c.
    private void OnLine(string? line)
    {
        if (line is null) return;
        lock (_lock)
        {
            line = line.Trim('\r', ' ');
            _sinceLine.Restart();
            string[] parts = line.Split(' ');
            switch (parts[0])
            {
                case "BENCH-INIT" when parts.Length == 2 && !_results.ContainsKey(Job.Boot):
                    // Counted: the counter's value is the number of instructions since the start. Timed: what the host saw.
                    double bootNs = settings.IsTimed ? _sinceStart.Elapsed.TotalNanoseconds : double.Parse(parts[1], CultureInfo.InvariantCulture);
                    _results[Job.Boot] = new Measurement(1, bootNs, "");
                    onDone(Job.Boot, _sinceStart.Elapsed.TotalSeconds);
                    return;
                case "BENCH-RUN" when parts.Length == 2:
                    _running = parts[1];
                    _sinceJob.Restart();
                    return;
                case "BENCH" when parts.Length == 5:
                    _results[parts[1]] = new Measurement(long.Parse(parts[2], CultureInfo.InvariantCulture), double.Parse(parts[3], CultureInfo.InvariantCulture), parts[4]);
                    _running = null;
                    onDone(parts[1], _sinceJob.Elapsed.TotalSeconds);
                    return;
                case "BENCH-FAIL" when parts.Length > 2:
                    Fail(parts[1], string.Join(' ', parts.Skip(2)));
                    _running = null;
                    return;
                case "BENCH-END":
                    _hasEnded = true;
                    return;
                default:
                    if (line.Length > 0) _tail.Append(line).Append('\n');
                    return;
            }
        }
    }

    private void Fail(string job, string reason)
    {
        if (_failures.TryAdd(job, reason)) onDone(job, 0);
    }

    private void FailAll(Job[] jobs, string reason)
    {
        foreach (Job job in jobs) Fail(job.Name, reason);
    }

    private string Tail()
    {
        string text = _tail.ToString().Trim();
        return text.Length > 800 ? $"{text[..500]}\n…\n{text[^300..]}" : text.Length == 0 ? "nothing on the console" : text;
    }
}
