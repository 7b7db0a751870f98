using System;
using System.Diagnostics;
using System.IO;
using System.Threading;
using NUnit.Framework;

namespace Asterinas.Tests.Boots;

/// <summary>How a machine ends, and what the launcher makes of it.</summary>
public sealed class EndingTests
{
    private static LauncherResult Boot(string commandLine, params string[] more) =>
        Launcher.Run(["--kernel", "KernelTests", "--timeout", "300", "--append", commandLine, .. more]);

    [TestCase(0)]
    [TestCase(1)]
    [TestCase(7)]
    [TestCase(128)]
    [TestCase(255)]
    public void Exit_status_of_the_kernel_is_the_launchers(int status)
    {
        Assert.That(Boot($"end={status}").Status, Is.EqualTo(status));
    }

    [Test]
    public void Exit_status_travels_whole_from_an_iso()
    {
        Assert.That(Boot("end=200", "--iso").Status, Is.EqualTo(200));
    }

    [Test]
    public void Power_off_ends_with_its_status() => Assert.That(Boot("end=power-off-9").Status, Is.EqualTo(9));

    [TestCase("panic", "PanicHere", "a test asked for it")]
    [TestCase("unhandled", "ThrowUnhandled", "nobody catches this")]
    [TestCase("stack-overflow", "Recurse", "stack overflow")]
    [TestCase("task-stack-overflow", "Recurse", "stack overflow")]
    public void Fatal_errors_end_with_status_134_and_a_trace_that_names_the_function(string end, string function, string message)
    {
        LauncherResult result = Boot($"end={end}");
        Assert.That(result.Status, Is.EqualTo(134), result.Output);
        Assert.That(result.Output, Does.Contain(message));
        Assert.That(result.Output, Does.Contain(function));
    }

    [Test]
    public void Allocators_that_lie_are_caught_and_the_kernel_goes_on()
    {
        LauncherResult result = Boot("end=hostile-policies");
        Assert.That(result.Status, Is.EqualTo(0), result.Output);
        Assert.That(result.Output, Does.Contain("every lie was caught"));
    }

    [Test]
    public void Allocators_of_the_services_serve_the_kernel()
    {
        LauncherResult result = Boot("end=service-allocators", "--memory", "256M");
        Assert.That(result.Status, Is.EqualTo(0), result.Output);
        Assert.That(result.Output, Does.Contain("the allocators kept their promises"));
    }

    [Test]
    public void Costs_of_memory_operations_are_printed()
    {
        LauncherResult result = Boot("end=memory-costs");
        Assert.That(result.Status, Is.EqualTo(0), result.Output);
        TestContext.Out.WriteLine(result.Output);
    }

    [Test]
    public void Hundred_line_kernel_prints_what_its_user_program_writes()
    {
        LauncherResult result = Launcher.Run("--kernel", "HundredLines", "--timeout", "300");
        Assert.That(result.Status, Is.EqualTo(0), result.Errors);
        Assert.That(result.Output, Does.Match(@"(?m)^Hello, world!\r?$"));
    }

    [Test]
    public void Reboot_resets_the_machine_and_the_launcher_says_that_there_was_no_status()
    {
        LauncherResult result = Boot("end=reboot");
        Assert.That(result.Status, Is.EqualTo(125));
        Assert.That(result.Errors, Does.Contain("without an exit status"));
    }

    [Test]
    public void Timeout_ends_a_hanging_kernel_with_status_124()
    {
        LauncherResult result = Launcher.Run("--kernel", "KernelTests", "--append", "end=hang", "--timeout", "10");
        Assert.That(result.Status, Is.EqualTo(124));
        Assert.That(result.Errors, Does.Contain("time is up"));
    }

    [Test]
    public void Missing_cpu_features_are_named_and_end_the_boot_with_status_125()
    {
        LauncherResult result = Boot("end=0", "--accel", "tcg", "--cpu", "max,-fsgsbase,-smap");
        Assert.That(result.Output, Does.Contain("CPU feature missing: fsgsbase").And.Contain("CPU feature missing: smap"));
        Assert.That(result.Status, Is.EqualTo(125));
    }

    [Test]
    public void A_cpu_without_long_mode_is_named_and_ends_the_boot_with_status_125()
    {
        LauncherResult result = Boot("end=0", "--accel", "tcg", "--cpu", "max,-lm");
        Assert.That(result.Output, Does.Contain("CPU feature missing: long mode"));
        Assert.That(result.Status, Is.EqualTo(125));
    }

    [Test]
    public void A_broken_DMAR_table_is_named_and_the_kernel_goes_on()
    {
        string body = Path.GetTempFileName();
        try
        {
            // Twelve bytes that every DMAR has, then a remapping unit that is longer than the table.
            File.WriteAllBytes(body, [38, 0, .. new byte[10], 0, 0, 64, 0, 1, 0, 0, 0, .. new byte[8]]);
            LauncherResult result = Boot("end=3", "--qemu=-acpitable", "--qemu=sig=DMAR,data=" + body);
            Assert.That(result.Output, Does.Contain("iommu: the table DMAR is broken (a structure at 48 has a length of 64): devices are trusted with all memory"));
            Assert.That(result.Status, Is.EqualTo(3));
        }
        finally
        {
            File.Delete(body);
        }
    }

    [Test]
    public void Vmware_like_hardware_boots_the_iso_and_powers_off()
    {
        LauncherResult result = Launcher.Run("--machine", "vmware", "--timeout", "300", "--append", "rdinit=/sbin/poweroff -- -f");
        Assert.That(result.Status, Is.EqualTo(0), result.Errors);
        Assert.That(result.Output, Does.Contain("Multiboot2").And.Contain("Power down"));
    }

    [Test]
    public void Qemu_dies_with_its_launcher_even_on_sigkill()
    {
        string marker = "end=hang&marker=" + Guid.NewGuid().ToString("N");
        using Process launcher = Launcher.Start(null, "--kernel", "KernelTests", "--append", marker.Replace('&', ' '));
        string token = marker[(marker.LastIndexOf('=') + 1)..];
        Assert.That(WaitFor(() => Running(token)), Is.True, "QEMU started");
        launcher.Kill();
        Assert.That(WaitFor(() => !Running(token)), Is.True, "QEMU ended");
    }

    [Test]
    public void Exec_prints_the_commands_output_and_ends_with_its_status()
    {
        LauncherResult result = Launcher.Run("--accel", "tcg", "--timeout", "60", "--exec", "sh -c 'echo \"one  two\" $0 && exit 7'");
        Assert.That(result.Output, Is.EqualTo("one  two sh\n"));
        Assert.That(result.Status, Is.EqualTo(7));
    }

    [Test]
    public void Exec_prints_nothing_of_the_firmware()
    {
        LauncherResult result = Launcher.Run("--uefi", "--accel", "tcg", "--timeout", "300", "--exec", "echo only this; exit 3");
        Assert.That((result.Output, result.Status), Is.EqualTo(("only this\n", 3)), result.Errors);
    }

    [Test]
    public void Exec_tells_the_signal_that_ended_the_command()
    {
        LauncherResult result = Launcher.Run("--accel", "tcg", "--timeout", "60", "--exec", "kill -9 $$");
        Assert.That(result.Output, Is.Empty);
        Assert.That(result.Status, Is.EqualTo(137));
    }

    private static bool WaitFor(Func<bool> condition)
    {
        for (int i = 0; i < 300; i++)
        {
            if (condition()) return true;
            Thread.Sleep(100);
        }
        return false;
    }

    private static bool Running(string token)
    {
        foreach (string folder in Directory.GetDirectories("/proc"))
        {
            try
            {
                string line = File.ReadAllText(Path.Combine(folder, "cmdline"));
                if (line.Contains("qemu-system", StringComparison.Ordinal) && line.Contains(token, StringComparison.Ordinal)) return true;
            }
            catch (IOException)
            {
                // The process ended meanwhile, or the folder is none.
            }
        }
        return false;
    }
}
