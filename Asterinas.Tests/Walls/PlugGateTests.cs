using System.Collections;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Asterinas.Tests.Boots;
using Microsoft.Build.Framework;
using NUnit.Framework;

namespace Asterinas.Tests.Walls;

/// <summary>The gate of the link: the runtime gets no symbol from us that was not reviewed.</summary>
[TestFixture]
internal sealed class PlugGateTests
{
    private const string List = "# Plugs\n\n| symbol | who asks |\n| --- | --- |\n| `malloc` | everybody |\n| `free` | everybody |\n\nText about `calloc`.\n";

    private static string Docs => Path.Combine(Launcher.Root, "docs", "runtime-plugs.md");

    [Test]
    public void Symbol_that_was_not_reviewed_fails_the_build() =>
        Assert.That(Gate("call malloc\ncall launch_missiles\n"), Is.EqualTo(new[] { "ASTERINAS002: the link needs 'launch_missiles', which is not on the reviewed list of runtime plugs" }));

    [Test]
    public void Symbol_that_is_named_outside_the_tables_was_not_reviewed() => Assert.That(Gate("call calloc\n"), Has.Length.EqualTo(1).And.One.Contains("'calloc'"));

    [Test]
    public void Data_symbol_that_was_not_reviewed_fails_the_build() => Assert.That(Gate("call malloc\n.data\n.quad environ\n"), Has.Length.EqualTo(1).And.One.Contains("'environ'"));

    [Test]
    public void Reviewed_symbols_and_the_seam_pass() => Assert.That(Gate("call malloc\ncall free\ncall ostd_panic\n"), Is.Empty);

    [Test]
    public void Linker_that_did_not_run_fails_the_build() => Assert.That(Run("ld: cannot find libRuntime.WorkstationGC.a\n"), Has.Length.EqualTo(1).And.One.Contains("did not do its work"));

    /// <summary>The gate stops what is missing; this stops what was forgotten. Symbols that only other kernels may need have a chapter of their own.</summary>
    [Test]
    public void Every_reviewed_symbol_is_needed_by_a_kernel() => Assert.That(Unneeded(File.ReadAllText(Docs), KernelGates()), Is.Empty);

    [Test]
    public void Reviewed_symbol_that_nothing_needs_is_found() => Assert.That(Unneeded(List, ["x.o: undefined reference to `malloc'"]), Is.EqualTo(new[] { "free" }));

    private static string[] Unneeded(string list, IEnumerable<string> linkerOutputs)
    {
        SortedSet<string> unneeded = PlugGate.Reviewed(list.Split("## Not needed by our kernels")[0]);
        foreach (string output in linkerOutputs) unneeded.ExceptWith(PlugGate.Needed(output));
        return [.. unneeded];
    }

    private static IEnumerable<string> KernelGates() =>
        new[] { "Asterinas.Boot/Kernel", "Asterinas.Boot/Samples/HundredLines", "Asterinas.Tests/Kernel" }
            .Select(folder => File.ReadAllText(Path.Combine(Launcher.Root, folder, "obj", Launcher.Configuration, "kernel", "gate.txt")));

    /// <summary>Links an object as Kernel.targets does before our own objects are added.</summary>
    private static string[] Gate(string assembly)
    {
        string program = ObjectFile.Assemble(".globl main\nmain:\n" + assembly);
        return Run(ObjectFile.Run("ld", "-static", "-nostdlib", "--entry=main", "--unresolved-symbols=report-all", "--warn-unresolved-symbols", "-o", program + ".elf", program).Output);
    }

    private static string[] Run(string linkerOutput)
    {
        string output = Path.Combine(TestContext.CurrentContext.WorkDirectory, "gate.txt"), list = Path.Combine(TestContext.CurrentContext.WorkDirectory, "plugs.md");
        File.WriteAllText(output, linkerOutput);
        File.WriteAllText(list, List);
        var engine = new Engine();
        bool passed = new PlugGate { BuildEngine = engine, LinkerOutput = output, PlugList = list }.Execute();
        Assert.That(passed, Is.EqualTo(engine.Errors.Count == 0));
        return [.. engine.Errors];
    }

    /// <summary>MSBuild, as far as a task sees it.</summary>
    private sealed class Engine : IBuildEngine
    {
        public List<string> Errors { get; } = [];

        public bool ContinueOnError => false;
        public int LineNumberOfTaskNode => 0;
        public int ColumnNumberOfTaskNode => 0;
        public string ProjectFileOfTaskNode => "";

        public void LogErrorEvent(BuildErrorEventArgs e) => Errors.Add($"{e.Code}: {e.Message}");
        public void LogWarningEvent(BuildWarningEventArgs e) { }
        public void LogMessageEvent(BuildMessageEventArgs e) { }
        public void LogCustomEvent(CustomBuildEventArgs e) { }
        public bool BuildProjectFile(string projectFileName, string[] targetNames, IDictionary globalProperties, IDictionary targetOutputs) => false;
    }
}
