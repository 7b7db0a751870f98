using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Text;
using System.Threading;
using Asterinas.Tests.Kernel;
using NUnit.Framework;

namespace Asterinas.Tests.Boots;

/// <summary>
/// The in-kernel tests as NUnit results, one boot a configuration. A test that the kernel did not report has failed: the kernel died, hung beyond the test's
/// limit, or ended without the end marker.
/// </summary>
[TestFixture("PVH", "")]
[TestFixture("ISO_BIOS", "--iso")]
[TestFixture("ISO_UEFI", "--uefi")]
public sealed class KernelTests(string configuration, string option)
{
    private const int HostSlowness = 4;         // emulation on a busy machine: host seconds a guest second, at the worst
    private const int BootSeconds = 180;

    private readonly Dictionary<string, string> _results = new(StringComparer.Ordinal);
    private readonly StringBuilder _console = new();
    private readonly Stopwatch _sinceStart = new();
    private string? _running;
    private string _end = "the kernel never started a test";

    private static IEnumerable<string> Names
    {
        get
        {
            foreach (KernelTest test in KernelTestList.All) yield return test.Name;
        }
    }

    [OneTimeSetUp]
    public void Boot()
    {
        var arguments = new List<string> { "--kernel", "KernelTests", "--append", "probe=expected_value", "--memory", "512M" };
        if (option.Length > 0) arguments.Add(option);
        using Process launcher = Launcher.Start(OnLine, [.. arguments]);
        launcher.ErrorDataReceived += (_, e) =>
        {
            lock (_results) _console.AppendLine(e.Data);
        };
        launcher.BeginOutputReadLine();
        launcher.BeginErrorReadLine();
        _sinceStart.Start();
        while (!launcher.WaitForExit(500))
        {
            if (!IsOverdue(out string reason)) continue;
            _end = reason;
            launcher.Kill();                    // QEMU dies with it
            launcher.WaitForExit();
            return;
        }
        launcher.WaitForExit();
        lock (_results) if (!_results.ContainsKey("end")) _end = $"the kernel ended with status {launcher.ExitCode} while it ran {_running ?? "no test"}";
    }

    [TestCaseSource(nameof(Names))]
    public void InKernel(string name)
    {
        lock (_results)
        {
            if (!_results.TryGetValue(name, out string? result)) Assert.Fail($"{configuration}: not reported: {_end}\n{Tail()}");
            else if (result.Length > 0) Assert.Fail($"{configuration}: {result}");
        }
    }

    [Test]
    public void Kernel_reports_the_end_marker_with_the_number_of_tests()
    {
        lock (_results)
        {
            Assert.That(_results.TryGetValue("end", out string? count), Is.True, $"{_end}\n{Tail()}");
            Assert.That(count, Is.EqualTo(KernelTestList.All.Length.ToString(System.Globalization.CultureInfo.InvariantCulture)));
        }
    }

    private bool IsOverdue(out string reason)
    {
        lock (_results)
        {
            int limit = BootSeconds;
            foreach (KernelTest test in KernelTestList.All)
            {
                if (test.Name == _running) limit = test.LimitSeconds * HostSlowness;
            }
            reason = $"{_running ?? "the boot"} took longer than {limit} s";
            return _sinceStart.Elapsed.TotalSeconds > limit;
        }
    }

    private void OnLine(string line)
    {
        lock (_results)
        {
            _console.AppendLine(line);
            int frame = line.IndexOf('\u001e', StringComparison.Ordinal);
            if (frame < 0) return;
            string[] words = line[(frame + 1)..].TrimEnd('\r').Split(' ', 3);
            if (words.Length < 2) return;
            switch (words[0])
            {
                case "start":
                    _running = words[1];
                    _sinceStart.Restart();
                    break;
                case "pass":
                    _results[words[1]] = "";
                    break;
                case "fail":
                    _results[words[1]] = words.Length > 2 ? Encoding.UTF8.GetString(Convert.FromBase64String(words[2])) : "failed";
                    break;
                case "end":
                    _results["end"] = words[1];
                    break;
            }
        }
    }

    private string Tail()
    {
        string text = _console.ToString();
        return text.Length > 4000 ? text[^4000..] : text;
    }
}
