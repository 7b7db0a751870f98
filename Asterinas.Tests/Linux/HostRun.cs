using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Diagnostics;

namespace Asterinas.Tests.Linux;

/// <summary>Programs on the Linux that the tests run on, each run once, as root, when the first of its cases is asked for.</summary>
internal sealed class HostRun(string link, params string[] environment)
{
    private static readonly TimeSpan s_programLimit = TimeSpan.FromMinutes(20);

    private readonly ConcurrentDictionary<string, Lazy<(CaseResults Results, string End)>> _runs = new(StringComparer.Ordinal);

    /// <summary>Makes an NUnit result of the case's.</summary>
    public void Assert(string program, string name, IReadOnlyDictionary<string, string> skips)
    {
        (CaseResults results, string end) = _runs.GetOrAdd(program, _ => new Lazy<(CaseResults, string)>(() => Run(program))).Value;
        results.Assert($"{program}.{name}", skips, end);
    }

    private (CaseResults Results, string End) Run(string name)
    {
        // Through env, because sudo forgets the environment; without TMPDIR, which may be closed to the users that cases become.
        string[] command = ["env", "-u", "TMPDIR", .. environment, LinuxProgram.Compile(name, link), "--trace"];
        if (!Environment.IsPrivilegedProcess) command = ["sudo", "-n", .. command];
        var start = new ProcessStartInfo(command[0], command[1..]) { RedirectStandardOutput = true, RedirectStandardInput = true };
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        var results = new CaseResults { Program = name };
        process.OutputDataReceived += (_, e) =>
        {
            lock (results) results.Read(e.Data ?? "");
        };
        process.BeginOutputReadLine();
        bool ended = process.WaitForExit(s_programLimit);
        if (ended) process.WaitForExit();
        else process.Kill(entireProcessTree: true);
        lock (results) return (results, ended ? $"the program ended with status {process.ExitCode}" : $"the program ran longer than {s_programLimit}, in {results.Running}");
    }
}
