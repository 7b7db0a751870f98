using System;
using System.Diagnostics;
using System.IO;
using System.Text;
using Asterinas.Boot.Build;
using Asterinas.Tests.Boots;
using NUnit.Framework;

namespace Asterinas.Tests.Linux;

/// <summary>Archives of <see cref="CpioArchive"/> as GNU cpio reads them.</summary>
public sealed class CpioArchiveTests
{
    private static string Folder => Path.Combine(Launcher.Root, "Asterinas.Tests", "bin", "cpio");

    [Test]
    public void Gnu_cpio_lists_types_permissions_sizes_and_devices()
    {
        string listing = Cpio(Sample(), "-tvn");
        Assert.That(listing, Does.Match(@"(?m)^drwxr-xr-x +\d+ 0 +0 +0 .* etc$"));
        Assert.That(listing, Does.Match(@"(?m)^drwxrwxrwt +\d+ 0 +0 +0 .* tmp$"));
        Assert.That(listing, Does.Match(@"(?m)^-rw-r--r-- +\d+ 0 +0 +5 .* etc/five$"));
        Assert.That(listing, Does.Match(@"(?m)^-rwsr-xr-x +\d+ 0 +0 +0 .* etc/empty$"));
        Assert.That(listing, Does.Match(@"(?m)^lrwxrwxrwx +\d+ 0 +0 +\d+ .* etc/link -> five$"));
        Assert.That(listing, Does.Match(@"(?m)^crw------- +\d+ 0 +0 +5, +1 .* dev/console$"));
        Assert.That(listing, Does.Match(@"(?m)^brw-rw---- +\d+ 0 +0 +254, +16 .* dev/vda$"));
    }

    [Test]
    public void Gnu_cpio_extracts_the_bytes_for_every_alignment_of_names_and_contents()
    {
        string folder = Path.Combine(Folder, Guid.NewGuid().ToString("N"));
        Directory.CreateDirectory(folder);
        try
        {
            var output = new MemoryStream();
            using (var archive = new CpioArchive(output))
            {
                for (int i = 1; i <= 9; i++) archive.AddFile(new string('n', i), Bytes(i * 997), 0x1A4);
            }
            Cpio(output.ToArray(), "-id", folder);
            for (int i = 1; i <= 9; i++) Assert.That(File.ReadAllBytes(Path.Combine(folder, new string('n', i))), Is.EqualTo(Bytes(i * 997)));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Test]
    public void Same_content_makes_the_same_bytes() => Assert.That(Sample(), Is.EqualTo(Sample()));

    private static byte[] Sample()
    {
        var output = new MemoryStream();
        using (var archive = new CpioArchive(output))
        {
            archive.AddDirectory("etc");
            archive.AddDirectory("tmp", 0x3FF);
            archive.AddFile("/etc/five", "12345"u8, 0x1A4);
            archive.AddFile("etc/empty", [], 0x9ED);
            archive.AddSymbolicLink("etc/link", "five");
            archive.AddDirectory("dev");
            archive.AddCharacterDevice("dev/console", 0x180, 5, 1);
            archive.AddBlockDevice("dev/vda", 0x1B0, 254, 16);
        }
        return output.ToArray();
    }

    private static byte[] Bytes(int count)
    {
        byte[] bytes = new byte[count];
        new Random(count).NextBytes(bytes);
        return bytes;
    }

    private static string Cpio(byte[] archive, string mode, string? folder = null)
    {
        var start = new ProcessStartInfo("cpio", [mode]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        if (folder is not null) start.WorkingDirectory = folder;
        using Process process = Process.Start(start)!;
        var errors = new StringBuilder();
        process.ErrorDataReceived += (_, e) => errors.AppendLine(e.Data);
        process.BeginErrorReadLine();
        process.StandardInput.BaseStream.Write(archive);
        process.StandardInput.Close();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero, errors.ToString());
        return output;
    }
}
