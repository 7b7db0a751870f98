using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Globalization;
using System.IO;

namespace Asterinas.Boot.Launcher;

/// <summary>Boots a kernel in QEMU. <c>dotnet run --project Asterinas.Boot -- --help</c> lists the options.</summary>
internal static class Program
{
    private static int Main(string[] arguments)
    {
        var iso = new Option<bool>("--iso") { Description = "Boot the ISO (GRUB, Multiboot2) instead of the kernel directly (PVH)." };
        var uefi = new Option<bool>("--uefi") { Description = "Boot the ISO under UEFI firmware (OVMF); implies --iso." };
        var smp = new Option<int>("--smp") { Description = "Number of CPUs (1 to 64).", DefaultValueFactory = _ => 1 };
        var memory = new Option<string>("--memory") { Description = "Memory, as QEMU takes it: 512M, 2G.", DefaultValueFactory = _ => "512M" };
        var append = new Option<string>("--append") { Description = "Kernel command line.", DefaultValueFactory = _ => "" };
        var initramfs = new Option<FileInfo?>("--initramfs") { Description = "File that the kernel gets as its initial RAM file system. Default for Asterinas: busybox, made by the build." };
        var disk = new Option<FileInfo[]>("--disk") { Description = "Raw disk image, as a virtio block device; repeatable. The guest's driver comes with a later issue.", DefaultValueFactory = _ => [] };
        var exec = new Option<string?>("--exec") { Description = "Run one shell command in the guest: its output is all that is printed, its status is ours." };
        var kernel = new Option<string>("--kernel") { Description = "Kernel to boot: Asterinas, HundredLines, KernelTests, or the path of an ELF.", DefaultValueFactory = _ => "Asterinas" };
        var timeout = new Option<double>("--timeout") { Description = "Seconds after which QEMU is ended with status 124; 0: never.", DefaultValueFactory = _ => 0 };
        var gdb = new Option<bool>("--gdb") { Description = "Wait for gdb on TCP port 1234 before the first instruction." };
        var accel = new Option<string?>("--accel") { Description = "kvm or tcg. Default: KVM where it really works, else TCG." };
        accel.AcceptOnlyFromAmong("kvm", "tcg");
        var quiet = new Option<bool>("--quiet") { Description = "No messages of the launcher; the kernel logs warnings and worse only." };
        var machine = new Option<string>("--machine") { Description = "default, or vmware: hardware like VMware's (AHCI CD, e1000e, VMware display; no virtio, no debug devices).", DefaultValueFactory = _ => "default" };
        machine.AcceptOnlyFromAmong("default", "vmware");
        var device = new Option<string[]>("--device") { Description = "A further QEMU -device argument; repeatable.", DefaultValueFactory = _ => [] };
        var qemu = new Option<string[]>("--qemu") { Description = "A further argument of QEMU, passed as it is (--qemu=-option); repeatable.", DefaultValueFactory = _ => [] };
        var cpu = new Option<string>("--cpu") { Description = "QEMU's CPU model; default max (TCG) or host (KVM).", DefaultValueFactory = _ => "" };

        var root = new RootCommand("Boots a kernel of Asterinas for .NET in QEMU. In an interactive session Ctrl-C goes to the guest and Ctrl-A X leaves.")
        {
            iso, uefi, smp, memory, append, initramfs, disk, exec, kernel, timeout, gdb, accel, quiet, machine, device, qemu, cpu,
        };
        root.SetAction(result =>
        {
            var options = new BootOptions
            {
                Iso = result.GetValue(iso) || result.GetValue(uefi) || result.GetValue(machine) == "vmware",
                Uefi = result.GetValue(uefi),
                Cpus = result.GetValue(smp),
                Memory = result.GetValue(memory)!,
                CommandLine = result.GetValue(append)!,
                Initramfs = result.GetValue(initramfs)?.FullName,
                Disks = Array.ConvertAll(result.GetValue(disk)!, d => d.FullName),
                Exec = result.GetValue(exec),
                Kernel = result.GetValue(kernel)!,
                Timeout = TimeSpan.FromSeconds(result.GetValue(timeout)),
                Gdb = result.GetValue(gdb),
                Accelerator = result.GetValue(accel),
                Quiet = result.GetValue(quiet),
                VmwareLike = result.GetValue(machine) == "vmware",
                Devices = result.GetValue(device)!,
                QemuArguments = result.GetValue(qemu)!,
                Cpu = result.GetValue(cpu)!,
            };
            return Run(options);
        });
        var busybox = new Argument<string>("busybox");
        var output = new Argument<string>("output");
        var makeInitramfs = new Command("make-initramfs", "Packs the default initramfs; the build does it.") { busybox, output };
        makeInitramfs.Hidden = true;
        makeInitramfs.SetAction(result =>
        {
            DefaultInitramfs.Make(result.GetValue(busybox)!, result.GetValue(output)!);
            return 0;
        });
        root.Add(makeInitramfs);
        return root.Parse(arguments).Invoke();
    }

    private static int Run(BootOptions options)
    {
        try
        {
            return new Qemu(options).Run();
        }
        catch (LauncherException problem)
        {
            Console.Error.WriteLine($"asterinas: {problem.Message}");
            return problem.Status;
        }
    }
}

/// <summary>What to boot and how.</summary>
internal sealed record BootOptions
{
    public required bool Iso { get; init; }
    public required bool Uefi { get; init; }
    public required int Cpus { get; init; }
    public required string Memory { get; init; }
    public required string CommandLine { get; init; }
    public required string? Initramfs { get; init; }
    public required string[] Disks { get; init; }
    public required string? Exec { get; init; }
    public required string Kernel { get; init; }
    public required TimeSpan Timeout { get; init; }
    public required bool Gdb { get; init; }
    public required string? Accelerator { get; init; }
    public required bool Quiet { get; init; }
    public required bool VmwareLike { get; init; }
    public required string[] Devices { get; init; }
    public required string[] QemuArguments { get; init; }
    public required string Cpu { get; init; }
}

/// <summary>A problem of the user's making: one line, no stack trace.</summary>
internal sealed class LauncherException(string message, int status = 2) : Exception(message)
{
    public int Status { get; } = status;
}
