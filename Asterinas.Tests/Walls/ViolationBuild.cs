using System;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using Asterinas.Tests.Boots;
using NUnit.Framework;

namespace Asterinas.Tests.Walls;

/// <summary>Runs <c>dotnet</c> on a project of its own below this repository, so that all the repository's settings are in force: what an engineer would see.</summary>
internal static class ViolationBuild
{
    /// <summary>Builds one file as a project of safe kernel code. Returns the errors as "rule:line".</summary>
    public static string[] Errors(string name, string source)
    {
        string folder = Path.Combine(Launcher.Root, "Asterinas.Tests", "bin", "walls", name);
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "Violation.cs"), source);
        string project = Path.Combine(folder, name + ".csproj");
        File.WriteAllText(project, $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <AllowUnsafeBlocks>false</AllowUnsafeBlocks>
              </PropertyGroup>
              <Import Project="{Launcher.Root}/Asterinas.Ostd/Analyzers/SafeCode.targets" />
            </Project>
            """);
        string output = Run("build", project, "-c", Launcher.Configuration, "-p:BuildProjectReferences=false", "-v:q", "--nologo", "-m:1", "-nodeReuse:false");
        return Regex.Matches(output, @"Violation\.cs\((\d+),\d+\): error (\w+):").Select(match => $"{match.Groups[2].Value}:{match.Groups[1].Value}").Distinct().ToArray();
    }

    /// <summary>Runs <c>dotnet</c> and expects it to fail. Returns what it printed.</summary>
    public static string Run(params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet", arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        // The test host's own settings must not reach the compiler.
        foreach (string variable in start.Environment.Keys.Where(key => key.StartsWith("MSBuild", StringComparison.OrdinalIgnoreCase)).ToArray()) start.Environment.Remove(variable);
        using Process process = Process.Start(start)!;
        process.ErrorDataReceived += (_, _) => { };
        process.BeginErrorReadLine();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Not.Zero, output);
        return output;
    }
}
