using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Text;
using System.Threading;
using Asterinas.Tests.Kernel;
using NUnit.Framework;

namespace Asterinas.Tests.Boots;

/// <summary>
/// One boot of the test kernel, and what it reported. A test that the kernel did not report has failed: the kernel died, hung beyond the test's limit, or ended without the
/// end marker.
/// </summary>
public abstract class KernelBoot(string configuration, string options, string commandLine)
{
    // The device that QEMU has for learning, and one with an MSI-X table, behind a bridge.
    private static readonly string[] s_devices = ["edu,dma_mask=0xffffffffffffffff", "pcie-root-port,id=port1,chassis=1", "nvme,serial=test,bus=port1"];

    private const int HostSlowness = 4;         // emulation on a busy machine: host seconds a guest second, at the worst
    private const int BootSeconds = 180;

    private readonly Dictionary<string, string> _results = new(StringComparer.Ordinal);
    private readonly StringBuilder _console = new();
    private readonly Stopwatch _sinceStart = new();
    private string? _running;
    private string _end = "the kernel never started a test";

    [OneTimeSetUp]
    public void Boot()
    {
        var arguments = new List<string> { "--kernel", "KernelTests", "--append", commandLine, "--memory", "512M" };
        arguments.AddRange(options.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        foreach (string device in s_devices) arguments.AddRange(["--device", device]);
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

    /// <summary>Passes when the kernel said that the test did.</summary>
    protected void Check(string name)
    {
        lock (_results)
        {
            if (!_results.TryGetValue(name, out string? result)) Assert.Fail($"{configuration}: not reported: {_end}\n{Tail()}");
            else if (result.Length > 0) Assert.Fail($"{configuration}: {result}");
        }
    }

    /// <summary>Passes when the kernel said that it ran so many tests, and was through.</summary>
    protected void CheckEnd(int tests)
    {
        lock (_results)
        {
            Assert.That(_results.TryGetValue("end", out string? count), Is.True, $"{_end}\n{Tail()}");
            Assert.That(count, Is.EqualTo(tests.ToString(System.Globalization.CultureInfo.InvariantCulture)));
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
