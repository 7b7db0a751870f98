using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;

namespace Asterinas.Tests.Benchmarks;

/// <summary>The benchmark program: the C files in <c>programs</c>, linked statically to one executable.</summary>
internal static class BenchmarkProgram
{
    // The order of the jobs in lists and tables is that of the link line.
    private static readonly string[] s_sources = ["calls", "memory", "files", "processes", "messages", "switch", "cpu", "shell", "main"];
    private static readonly string[] s_flags = ["-static", "-O2", "-Wall", "-Wextra", "-Werror", "-std=gnu17", "-pthread", "-s"];

    private static readonly Lazy<string> s_executable = new(CompileNow);

    public static string Root { get; } = FindRoot();

    public static string Folder => Path.Combine(Root, "Asterinas.Tests", "Benchmarks");

    /// <summary>Where fetched and generated files lie.</summary>
    public static string WorkFolder => Directory.CreateDirectory(Path.Combine(Folder, "obj", "guest")).FullName;

    /// <summary>Compiles the program, once in a process, and answers its path.</summary>
    public static string Compile() => s_executable.Value;

    /// <summary>Asks the program for its jobs.</summary>
    public static Job[] Jobs(string program) => [.. Shell.Run(program, "list").Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(ParseJob)];

    /// <summary>The kernel that this project's build has made.</summary>
    public static string FindKernel()
    {
        string configuration = Path.GetFileName(Path.GetDirectoryName(AppContext.BaseDirectory.TrimEnd('/'))!);
        string kernel = Path.Combine(Root, "Asterinas.Boot", "Kernel", "bin", configuration, "Asterinas.elf");
        return File.Exists(kernel) ? kernel : throw new BenchmarkException($"{kernel} is not built");
    }

    // Renamed into place: another run may be executing the file that was there.
    private static string CompileNow()
    {
        string executable = Path.Combine(WorkFolder, "bench"), fresh = $"{executable}.{Environment.ProcessId}";
        Shell.Run("gcc", [.. s_flags, "-o", fresh, .. s_sources.Select(source => Path.Combine(Folder, "programs", source + ".c"))]);
        File.Move(fresh, executable, overwrite: true);
        return executable;
    }

    private static Job ParseJob(string line)
    {
        string[] parts = line.Split(' ');
        return new Job(parts[0], long.Parse(parts[1], CultureInfo.InvariantCulture), parts[2] == "counted");
    }

    private static string FindRoot()
    {
        for (string? folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (File.Exists(Path.Combine(folder, "Asterinas.sln"))) return folder;
        }
        throw new BenchmarkException("Asterinas.sln was not found above the program");
    }
}

/// <summary>Runs programs of the host to their end.</summary>
internal static class Shell
{
    /// <summary>Answers standard output; a failure is a <see cref="BenchmarkException"/> with what the program said.</summary>
    public static string Run(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true };
        Process process;
        try
        {
            process = Process.Start(start)!;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            throw new BenchmarkException($"{program} is missing");
        }
        using (process)
        {
            string errors = "";
            process.ErrorDataReceived += (_, e) => errors += e.Data + "\n";
            process.BeginErrorReadLine();
            string output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0 ? output : throw new BenchmarkException($"{program} ended with status {process.ExitCode}\n{errors.Trim()}");
        }
    }
}
