using System;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using Asterinas.Services.Syscalls;
using Asterinas.Tests.Boots;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Docs;

/// <summary>docs/syscalls.md is made from the dispatch table. With ASTERINAS_WRITE_DOCS=1 in the environment the test writes it.</summary>
public sealed class SyscallListTests : MachineFixture
{
    private static readonly Lazy<bool> s_table = new(static () =>
    {
        SyscallTable.Initialize();
        return true;
    });

    [Test]
    public void List_of_system_calls_is_true()
    {
        _ = s_table.Value;
        string path = Path.Combine(Launcher.Root, "docs", "syscalls.md"), expected = Describe();
        if (Environment.GetEnvironmentVariable("ASTERINAS_WRITE_DOCS") == "1") File.WriteAllText(path, expected);
        Assert.That(File.ReadAllText(path), Is.EqualTo(expected), "run this test with ASTERINAS_WRITE_DOCS=1");
    }

    [Test]
    public void Registered_names_are_those_of_the_numbers()
    {
        _ = s_table.Value;
        for (int number = 0; number < SyscallTable.Capacity; number++)
        {
            if (SyscallTable.Entry(number) is { } entry) Assert.That(SyscallNames.All, Has.Member((number, entry.Name)));
        }
    }

    private static string Describe()
    {
        (int Number, string Name)[] all = [.. SyscallNames.All];
        SyscallEntry[] there = [.. all.Select(static call => SyscallTable.Entry(call.Number)).OfType<SyscallEntry>()];
        int whole = there.Count(static entry => entry.Lacks.Length == 0);
        var text = new StringBuilder();
        text.Append("# System calls\n\nGenerated from the dispatch table (`Asterinas.Services/Syscalls`); a test fails when this page and the table differ.\n\n");
        text.Append(CultureInfo.InvariantCulture, $"{there.Length} of {all.Length} calls of x86-64 (Linux 6.12) are there; {whole} of them lack nothing that we know of. The others answer `ENOSYS`, logged once a number.\n\n");
        text.Append("| number | call | state | lacks |\n| --- | --- | --- | --- |\n");
        foreach ((int number, string name) in all)
        {
            SyscallEntry? entry = SyscallTable.Entry(number);
            string state = entry is null ? "absent" : entry.Lacks.Length == 0 ? "whole" : "partial";
            text.Append(CultureInfo.InvariantCulture, $"| {number} | `{name}` | {state} | {entry?.Lacks} |\n");
        }
        return text.ToString();
    }
}
