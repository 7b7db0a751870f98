using System;
using System.Linq;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Boot;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Runtime;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Boot;

[NonParallelizable]
public sealed class BootInfoTests
{
    [TearDown]
    public void Restore()
    {
        Machine.SetCommandLine("");
        Machine.SetInitramfs([]);
        Machine.SetMemoryMap([.. BootInfo.Current.MemoryMap.Select(region => (region.Start, region.Length, (BootMemoryKind)region.Kind))]);
    }

    [TestCase("", "a", null)]
    [TestCase("a=1", "a", "1")]
    [TestCase("a", "a", "")]
    [TestCase("a=1 b=2 a=3", "a", "3", Description = "the last one counts")]
    [TestCase("ab=1", "a", null)]
    [TestCase("a=b=c", "a", "b=c")]
    [TestCase("  a=1   ", "a", "1")]
    [TestCase("a=", "a", "")]
    [TestCase("grüß=gott", "grüß", "gott")]
    public void Options_are_words_of_the_command_line(string line, string name, string? value)
    {
        Machine.SetCommandLine(line);
        Assert.That(BootInfo.Read().CommandLine, Is.EqualTo(line));
        Assert.That(BootInfo.Read().GetOption(name), Is.EqualTo(value));
    }

    [Test]
    public void Memory_map_is_the_firmwares_in_its_order()
    {
        Machine.SetMemoryMap((0x100000, 0x1000, BootMemoryKind.Usable), (0, 0x500, BootMemoryKind.AcpiNvs));
        Assert.That(BootInfo.Read().MemoryMap, Is.EqualTo(new[]
        {
            new MemoryRegion(0x100000, 0x1000, MemoryRegionKind.Usable), new MemoryRegion(0, 0x500, MemoryRegionKind.AcpiNvs),
        }));
    }

    [Test]
    public void Initramfs_is_read_in_pieces_and_ends_at_its_end()
    {
        byte[] data = new byte[10000];
        new Random(1).NextBytes(data);
        Machine.SetInitramfs(data);
        BootInfo info = BootInfo.Read();
        byte[] piece = new byte[4096];
        Assert.That(info.InitramfsLength, Is.EqualTo(10000));
        Assert.That(info.ReadInitramfs(5000, piece), Is.EqualTo(4096));
        Assert.That(piece.AsSpan().SequenceEqual(data.AsSpan(5000, 4096)), Is.True);
        Assert.That(info.ReadInitramfs(9990, piece), Is.EqualTo(10));
        Assert.That(info.ReadInitramfs(10000, piece), Is.Zero);
        Assert.That(info.ReadInitramfs(ulong.MaxValue, piece), Is.Zero);
        Assert.That(info.ReadInitramfs(0, []), Is.Zero);
    }

    [Test]
    public void Console_passes_bytes_and_text_whole()
    {
        Machine.TakeConsoleOutput();
        string text = string.Concat(Enumerable.Repeat("aé漢😀", 200));
        KernelConsole.WriteLine(text);
        Assert.That(Machine.TakeConsoleOutput(), Is.EqualTo(text + "\n"));
        Assert.That(KernelConsole.Read(), Is.EqualTo(-1));
        Machine.TypeOnConsole("é");
        Assert.That((KernelConsole.Read(), KernelConsole.Read(), KernelConsole.Read()), Is.EqualTo((0xC3, 0xA9, -1)));
    }

    [Test]
    public void Machine_ends_with_its_status()
    {
        Assert.That(Assert.Throws<MachineEndException>(() => Power.Off(7))!.Status, Is.EqualTo(7));
        Assert.That(() => Power.Off(256), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => Power.Off(-1), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(Power.Reboot, Throws.TypeOf<MachineEndException>());
        MachineEndException panic = Assert.Throws<MachineEndException>(() => Panic.Fail("all is lost"))!;
        Assert.That((panic.Status, panic.Message), Is.EqualTo((134, "panic: all is lost")));
    }
}
