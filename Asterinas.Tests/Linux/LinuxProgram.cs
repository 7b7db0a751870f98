using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.ComponentModel;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using Asterinas.Tests.Boots;

namespace Asterinas.Tests.Linux;

/// <summary>
/// A regression program: one C file below <c>Asterinas.Tests/Linux</c>, named by its folder and its name ("processes/fork"). The harness that it includes
/// (<c>common/test.h</c>) says how it is run and what it prints.
/// </summary>
internal sealed class LinuxProgram
{
    /// <summary>How programs are linked. Both ways are run on Linux; the guest gets one on one CPU and the other on four.</summary>
    public static readonly string[] Links = ["static", "static-pie"];

    private const string Flags = "-O2 -Wall -Werror -std=gnu17 -pthread -s";

    // Folders that hold no programs with cases, and those of HostileTests.
    private static readonly string[] s_otherFolders = ["common", "guest"], s_hostileFolders = ["hostile", "soak"];
    private static readonly ConcurrentDictionary<string, Lazy<string>> s_compiled = new(StringComparer.Ordinal);
    private static readonly Lazy<string> s_headers = new(() => string.Concat(Directory.GetFiles(Folder, "*.h", SearchOption.AllDirectories).Order(StringComparer.Ordinal).Select(File.ReadAllText)));
    private static readonly Lazy<string> s_compiler = new(() => Run("gcc", "--version"));

    private LinuxProgram(string name) => Name = name;

    /// <summary>All programs about what the ABI promises, by name.</summary>
    public static IReadOnlyList<LinuxProgram> All { get; } = Find(folder => !s_hostileFolders.Contains(folder));

    /// <summary>The programs that try to break the kernel, and those that repeat themselves.</summary>
    public static IReadOnlyList<LinuxProgram> Hostile { get; } = Find(folder => s_hostileFolders.Contains(folder));

    /// <summary>The folder of the sources.</summary>
    public static string Folder => Path.Combine(Launcher.Root, "Asterinas.Tests", "Linux");

    /// <summary>Folder and name, as in "processes/fork".</summary>
    public string Name { get; }

    /// <summary>The cases, in the order in which the program runs them.</summary>
    public IReadOnlyList<string> Cases => field ??= Regex.Matches(File.ReadAllText(Source(Name)), @"^CASE(?:_LIMIT)?\((\w+)", RegexOptions.Multiline).Select(match => match.Groups[1].Value).ToArray();

    /// <inheritdoc/>
    public override string ToString() => Name;

    /// <summary>The executable, compiled when the source, a header, the compiler or the flags are not those of the last time.</summary>
    public string Executable(string link) => Compile(Name, link);

    /// <summary>Compiles any C file below <see cref="Folder"/>, given without its extension.</summary>
    public static string Compile(string name, string link) => s_compiled.GetOrAdd($"{link}/{name}", _ => new Lazy<string>(() => CompileNow(name, link))).Value;

    private static string CompileNow(string name, string link)
    {
        string executable = Path.Combine(Launcher.Root, "Asterinas.Tests", "bin", Launcher.Configuration, "linux", link, name), stampFile = executable + ".stamp";
        byte[] inputs = Encoding.UTF8.GetBytes(File.ReadAllText(Source(name)) + s_headers.Value + s_compiler.Value + Flags);
        string stamp = Convert.ToHexString(SHA256.HashData(inputs));
        if (File.Exists(executable) && File.Exists(stampFile) && File.ReadAllText(stampFile) == stamp) return executable;
        Directory.CreateDirectory(Path.GetDirectoryName(executable)!);
        File.Delete(stampFile);
        Run("gcc", [.. Flags.Split(' '), "-" + link, "-o", executable, Source(name)]);
        File.WriteAllText(stampFile, stamp);
        return executable;
    }

    private static string Source(string name) => Path.Combine(Folder, name + ".c");

    private static LinuxProgram[] Find(Func<string, bool> isWanted)
    {
        var programs = new List<LinuxProgram>();
        foreach (string folder in Directory.GetDirectories(Folder).Order(StringComparer.Ordinal))
        {
            if (s_otherFolders.Contains(Path.GetFileName(folder)) || !isWanted(Path.GetFileName(folder))) continue;
            foreach (string file in Directory.GetFiles(folder, "*.c").Order(StringComparer.Ordinal))
            {
                programs.Add(new LinuxProgram($"{Path.GetFileName(folder)}/{Path.GetFileNameWithoutExtension(file)}"));
            }
        }
        return [.. programs];
    }

    private static string Run(string command, params string[] arguments)
    {
        var start = new ProcessStartInfo(command, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        Process process;
        try
        {
            process = Process.Start(start)!;
        }
        catch (Win32Exception)
        {
            throw new InvalidOperationException($"{command} is missing. Type: sudo apt-get install gcc libc6-dev");
        }
        using (process)
        {
            var errors = new StringBuilder();
            process.ErrorDataReceived += (_, e) => errors.AppendLine(e.Data);
            process.BeginErrorReadLine();
            string output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0 ? output : throw new InvalidOperationException($"{command} {string.Join(' ', arguments)}\n{errors}");
        }
    }
}
