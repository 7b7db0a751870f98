using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Text;
using System.Threading;

namespace Asterinas.Tests.Boots;

/// <summary>What a run of the launcher printed and how it ended.</summary>
internal sealed record LauncherResult(int Status, string Output, string Errors);

/// <summary>Starts the launcher as a user would, without a terminal.</summary>
internal static class Launcher
{
    public static string Root { get; } = FindRoot();

    private static string Assembly => Path.Combine(Root, "Asterinas.Boot", "bin", Configuration, "net10.0", "Asterinas.Boot.dll");

    public static string Configuration => Path.GetFileName(Path.GetDirectoryName(AppContext.BaseDirectory.TrimEnd('/'))!);

    public static Process Start(Action<string>? onLine, params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet")
        {
            UseShellExecute = false,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        start.ArgumentList.Add("exec");
        start.ArgumentList.Add(Assembly);
        foreach (string argument in arguments) start.ArgumentList.Add(argument);
        Process process = Process.Start(start)!;
        process.StandardInput.Close();
        if (onLine is not null) process.OutputDataReceived += (_, e) => onLine(e.Data ?? "");
        return process;
    }

    /// <summary>Runs to the end and collects the output.</summary>
    public static LauncherResult Run(params string[] arguments)
    {
        using Process process = Start(null, arguments);
        var errors = new StringBuilder();
        process.ErrorDataReceived += (_, e) => errors.AppendLine(e.Data);
        process.BeginErrorReadLine();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return new LauncherResult(process.ExitCode, output, errors.ToString());
    }

    private static string FindRoot()
    {
        for (string? folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (File.Exists(Path.Combine(folder, "Asterinas.sln"))) return folder;
        }
        throw new InvalidOperationException("Asterinas.sln was not found above the tests");
    }
}
