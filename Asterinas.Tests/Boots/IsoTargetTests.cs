using System;
using System.Diagnostics;
using System.IO;
using System.Text;
using System.Threading;
using NUnit.Framework;

namespace Asterinas.Tests.Boots;

/// <summary>What <c>dotnet build Asterinas.Boot -t:Iso</c> makes, booted without the launcher's help.</summary>
public sealed class IsoTargetTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(5);
    private string _image = "";

    [OneTimeSetUp]
    public void Make()
    {
        _image = Path.Combine(Path.GetTempPath(), Guid.NewGuid().ToString("N") + ".iso");
        var start = new ProcessStartInfo("dotnet",
            ["build", Path.Combine(Launcher.Root, "Asterinas.Boot"), "-t:Iso", "-c", Launcher.Configuration, "-p:BuildProjectReferences=false", $"-p:IsoFile={_image}", "-v:q", "--nologo", "-m:1", "-nodeReuse:false"])
        {
            RedirectStandardOutput = true,
        };
        using Process build = Process.Start(start)!;
        string output = build.StandardOutput.ReadToEnd();
        build.WaitForExit();
        Assert.That(build.ExitCode, Is.Zero, output);
    }

    [OneTimeTearDown]
    public void Remove() => File.Delete(_image);

    [TestCase("ide-cd", "media=cdrom,readonly=on")]
    [TestCase("ide-hd", "snapshot=on", Description = "hybrid: the image is a disk as well")]
    public void Image_boots_to_a_shell(string device, string drive)
    {
        var start = new ProcessStartInfo("qemu-system-x86_64",
            ["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "512M", "-no-reboot", "-nodefaults", "-display", "none", "-vga", "std", "-serial", "stdio",
             "-drive", $"file={_image},format=raw,if=none,id=image,{drive}", "-device", $"{device},drive=image,bus=ide.0"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        using Process machine = Process.Start(start)!;
        using var guard = new Timer(_ => machine.Kill(), null, s_patience, Timeout.InfiniteTimeSpan);
        var console = new StringBuilder();
        bool isAsked = false;
        for (int value; (value = machine.StandardOutput.Read()) >= 0;)
        {
            console.Append((char)value);
            if (isAsked || !console.ToString().Contains("root@asterinas", StringComparison.Ordinal)) continue;
            isAsked = true;
            machine.StandardInput.Write("echo $((6*7)) bytes; poweroff -f\r");
            machine.StandardInput.Flush();
        }
        machine.WaitForExit();
        Assert.That(console.ToString(), Does.Contain("42 bytes"));
        Assert.That(machine.ExitCode, Is.Zero);
    }
}
