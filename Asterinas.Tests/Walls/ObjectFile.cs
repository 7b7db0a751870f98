using System.Diagnostics;
using System.IO;
using NUnit.Framework;

namespace Asterinas.Tests.Walls;

/// <summary>A piece of assembly as an object file: what the checks of the link are fed with.</summary>
internal static class ObjectFile
{
    /// <param name="assembly">AT&amp;T syntax, as the disassembler prints it.</param>
    public static string Assemble(string assembly)
    {
        string path = Path.Combine(TestContext.CurrentContext.WorkDirectory, TestContext.CurrentContext.Test.ID + ".o");
        using Process process = Process.Start(new ProcessStartInfo("as", ["-o", path, "-"]) { RedirectStandardInput = true })!;
        process.StandardInput.Write(assembly);
        process.StandardInput.Close();
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero, "the assembly itself must be correct");
        return path;
    }

    /// <summary>Runs a program to its end. Returns its status and what it printed.</summary>
    public static (int Status, string Output) Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        System.Threading.Tasks.Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd() + errors.Result;
        process.WaitForExit();
        return (process.ExitCode, output);
    }
}
