using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;

namespace Asterinas.Boot.Launcher;

/// <summary>
/// One run of QEMU. The guest's serial console is our standard output; its exit status comes over a debug console at port 0xF4 as the line "exit N",
/// because isa-debug-exit carries seven bits only.
/// </summary>
internal sealed class Qemu(BootOptions options)
{
    private const int StatusTimeout = 124;
    private const int StatusNoReport = 125;
    private const int StatusInterrupted = 130;
    private const int StatusTerminated = 143;
    // The kernel's command line has 4,095 bytes, and the command is in base64.
    private const int MostCommandBytes = 2048;
    private const string Program = "/usr/bin/qemu-system-x86_64";

    private string? _initramfs;

    /// <summary>Runs until the guest powers off, the time is up or the user leaves. Returns the exit status of the guest.</summary>
    public int Run()
    {
        if (options.Exec is { Length: > MostCommandBytes }) throw new LauncherException($"--exec takes at most {MostCommandBytes} bytes: put a longer command into a file of the initramfs");
        if (options.Cpus is < 1 or > 64) throw new LauncherException("--smp takes 1 to 64");
        if (!File.Exists(Program)) throw new LauncherException("QEMU is missing. Type: sudo apt-get install qemu-system-x86");
        string kernel = FindKernel(options.Kernel);
        if (options.Initramfs is not null && !File.Exists(options.Initramfs)) throw new LauncherException($"no such file: {options.Initramfs}");
        string builtIn = DefaultInitramfs.PathBelow(RepositoryRoot());
        _initramfs = options.Initramfs ?? (options.Kernel == "Asterinas" && File.Exists(builtIn) ? builtIn : null);
        foreach (string disk in options.Disks)
        {
            if (!File.Exists(disk)) throw new LauncherException($"no such file: {disk}");
        }
        if (options.Disks.Length > 0) Say("--disk: the device is there, but this kernel has no driver for it yet (a later issue)");

        string work = Directory.CreateTempSubdirectory("asterinas-").FullName;
        try
        {
            return Run(kernel, work);
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }
    }

    private int Run(string kernel, string work)
    {
        string statusFile = Path.Combine(work, "status");
        File.WriteAllText(statusFile, "");
        bool interactive = !Console.IsInputRedirected && !Console.IsOutputRedirected;
        List<string> arguments = Arguments(kernel, work, statusFile, interactive);

        // The kernel ends QEMU when we die, even by SIGKILL: PR_SET_PDEATHSIG, set by setpriv. It is tied to the thread that forks, so this one must stay.
        var start = new ProcessStartInfo("/usr/bin/setpriv") { UseShellExecute = false };
        start.ArgumentList.Add("--pdeathsig");
        start.ArgumentList.Add("KILL");
        start.ArgumentList.Add(Program);
        foreach (string argument in arguments) start.ArgumentList.Add(argument);
        bool isMarked = NeedsMark(interactive);
        start.RedirectStandardOutput = isMarked;
        if (options.Gdb) Say($"waiting for gdb: gdb {kernel}.debug -ex 'target remote :1234'");

        using var signals = new SignalGuard(interactive);
        using Process qemu = Process.Start(start) ?? throw new LauncherException("QEMU did not start");
        signals.Child = qemu;
        var output = new MarkedOutput(qemu);
        if (isMarked) output.Start();
        bool ended = options.Timeout == TimeSpan.Zero ? Wait(qemu) : qemu.WaitForExit(options.Timeout);
        if (!ended)
        {
            qemu.Kill();
            qemu.WaitForExit();
            Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"asterinas: time is up after {options.Timeout.TotalSeconds} s: QEMU ended"));
            output.Finish();
            return StatusTimeout;
        }
        output.Finish();
        if (signals.Status != 0) return signals.Status;
        return Status(statusFile, qemu.ExitCode);
    }

    private static bool Wait(Process process)
    {
        process.WaitForExit();
        return true;
    }

    private List<string> Arguments(string kernel, string work, string statusFile, bool interactive)
    {
        string accelerator = options.Accelerator ?? (KvmWorks() ? "kvm" : "tcg");
        string commandLine = options.Quiet ? (options.CommandLine + " quiet").Trim() : options.CommandLine;
        if (options.Exec is not null) commandLine = ExecOptions(options.Exec, interactive) + (NeedsMark(interactive) ? " asterinas.mark " : " ") + commandLine;
        var arguments = new List<string>
        {
            "-machine", "q35", "-accel", accelerator == "tcg" ? "tcg,thread=multi" : accelerator,
            "-cpu", options.Cpu.Length > 0 ? options.Cpu : accelerator == "kvm" ? "host" : "max",
            "-smp", options.Cpus.ToString(CultureInfo.InvariantCulture), "-m", options.Memory, "-no-reboot", "-nodefaults", "-display", "none",
        };
        // In an interactive session the terminal is raw: Ctrl-C reaches the guest, Ctrl-A X is QEMU's.
        if (interactive) arguments.AddRange(["-chardev", "stdio,id=console,mux=on,signal=off", "-serial", "chardev:console", "-mon", "chardev=console"]);
        else arguments.AddRange(["-chardev", "stdio,id=console,signal=on", "-serial", "chardev:console"]);
        if (options.Iso)
        {
            string iso = Path.Combine(work, "boot.iso");
            MakeIso(kernel, iso, commandLine);
            if (options.Uefi) arguments.AddRange(Firmware(work));
            arguments.AddRange(["-drive", $"file={iso},format=raw,if=none,id=cd,media=cdrom,readonly=on", "-device", "ide-cd,drive=cd,bus=ide.0,bootindex=0"]);
        }
        else
        {
            arguments.AddRange(["-kernel", kernel, "-append", commandLine]);
            if (_initramfs is not null) arguments.AddRange(["-initrd", _initramfs]);
        }
        if (options.VmwareLike) arguments.AddRange(["-device", "e1000e", "-vga", "vmware"]);
        else
        {
            arguments.AddRange(["-chardev", $"file,id=status,path={statusFile}", "-device", "isa-debugcon,iobase=0xf4,chardev=status", "-vga", "std"]);
            for (int i = 0; i < options.Disks.Length; i++)
            {
                arguments.AddRange(["-drive", $"file={options.Disks[i]},format=raw,if=none,id=disk{i}", "-device", $"virtio-blk-pci,drive=disk{i}"]);
            }
        }
        foreach (string device in options.Devices) arguments.AddRange(["-device", device]);
        if (options.Gdb) arguments.AddRange(["-s", "-S"]);
        arguments.AddRange(options.QemuArguments);
        return arguments;
    }

    // The kernel itself is process 1 then. Nothing but the command's output goes to the console: no log below an emergency, and, when nobody sits at the terminal, no echo and no
    // carriage returns. What the user appends comes later, and counts.
    private static string ExecOptions(string command, bool interactive) =>
        $"loglevel=1 asterinas.exec={Convert.ToBase64String(Encoding.UTF8.GetBytes(command))}{(interactive ? "" : " asterinas.raw")}";

    // UEFI firmware and its boot loader write to the serial console as well: the kernel marks where the command's output begins.
    private bool NeedsMark(bool interactive) => options.Exec is not null && options.Uefi && !interactive;

    private void MakeIso(string kernel, string iso, string commandLine)
    {
        var start = new ProcessStartInfo("/bin/bash") { UseShellExecute = false };
        start.ArgumentList.Add(Path.Combine(RepositoryRoot(), "Asterinas.Boot", "Build", "make-iso.sh"));
        start.ArgumentList.Add(kernel);
        start.ArgumentList.Add(iso);
        start.ArgumentList.Add(commandLine);
        start.ArgumentList.Add(_initramfs ?? "");
        using Process process = Process.Start(start)!;
        process.WaitForExit();
        if (process.ExitCode != 0) throw new LauncherException("making the ISO failed (see above)");
    }

    private static string[] Firmware(string work)
    {
        foreach (string suffix in (string[])["_4M.fd", ".fd"])
        {
            string code = "/usr/share/OVMF/OVMF_CODE" + suffix, variables = "/usr/share/OVMF/OVMF_VARS" + suffix;
            if (!File.Exists(code) || !File.Exists(variables)) continue;
            string copy = Path.Combine(work, "vars.fd");
            File.Copy(variables, copy);
            return ["-drive", $"if=pflash,format=raw,readonly=on,file={code}", "-drive", $"if=pflash,format=raw,file={copy}"];
        }
        throw new LauncherException("OVMF is missing. Type: sudo apt-get install ovmf");
    }

    private int Status(string statusFile, int qemuStatus)
    {
        if (qemuStatus != 0)
        {
            Console.Error.WriteLine($"asterinas: QEMU ended with status {qemuStatus}");
            return StatusNoReport;
        }
        foreach (string line in File.ReadAllLines(statusFile))
        {
            if (line.StartsWith("exit ", StringComparison.Ordinal) && int.TryParse(line.AsSpan(5), NumberStyles.None, CultureInfo.InvariantCulture, out int status)) return status;
        }
        if (options.VmwareLike) return 0;       // no such channel on that hardware: it powered off
        Console.Error.WriteLine("asterinas: the guest ended without an exit status (left by the user, or reset)");
        return StatusNoReport;
    }

    private static string FindKernel(string name)
    {
        if (name.Contains('/') || name.EndsWith(".elf", StringComparison.Ordinal))
        {
            return File.Exists(name) ? Path.GetFullPath(name) : throw new LauncherException($"no such kernel: {name}");
        }
        string root = RepositoryRoot();
        string[] folders = [Path.Combine(root, "Asterinas.Boot", "Kernel"), Path.Combine(root, "Asterinas.Boot", "Samples", name), Path.Combine(root, "Asterinas.Tests", "Kernel")];
        string configuration = Path.GetFileName(Path.GetDirectoryName(AppContext.BaseDirectory.TrimEnd('/'))!);
        foreach (string folder in folders)
        {
            string elf = Path.Combine(folder, "bin", configuration, name + ".elf");
            if (File.Exists(elf)) return elf;
        }
        throw new LauncherException($"no kernel '{name}' is built (Asterinas, HundredLines; KernelTests is built by 'dotnet test')");
    }

    private static string RepositoryRoot()
    {
        for (string? folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (File.Exists(Path.Combine(folder, "Asterinas.sln"))) return folder;
        }
        throw new LauncherException("Asterinas.sln was not found above the launcher");
    }

    private static bool KvmWorks()
    {
        // The device file may be there without a CPU behind it (nested machines): only a virtual CPU that runs tells.
        try
        {
            using FileStream device = new("/dev/kvm", FileMode.Open, FileAccess.ReadWrite);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            return false;
        }
        var start = new ProcessStartInfo(Program) { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        foreach (string argument in (string[])["-machine", "q35", "-accel", "kvm", "-cpu", "host", "-display", "none", "-nodefaults", "-S", "-monitor", "stdio"]) start.ArgumentList.Add(argument);
        using Process probe = Process.Start(start)!;
        probe.StandardInput.WriteLine("quit");
        probe.StandardInput.Close();
        if (!probe.WaitForExit(5000))
        {
            probe.Kill();
            return false;
        }
        return probe.ExitCode == 0;
    }

    private void Say(string message)
    {
        if (!options.Quiet) Console.Error.WriteLine($"asterinas: {message}");
    }

    /// <summary>Ctrl-C outside an interactive session, and SIGTERM, end QEMU; the launcher then cleans up.</summary>
    private sealed class SignalGuard : IDisposable
    {
        private readonly PosixSignalRegistration _interrupt, _terminate;

        public SignalGuard(bool interactive)
        {
            _interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context =>
            {
                context.Cancel = true;
                if (!interactive) End(StatusInterrupted);
            });
            _terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context =>
            {
                context.Cancel = true;
                End(StatusTerminated);
            });
        }

        /// <summary>128 and the number of the signal that ended the machine; 0 for none.</summary>
        public int Status { get; private set; }

        public Process? Child { get; set; }

        public void Dispose()
        {
            _interrupt.Dispose();
            _terminate.Dispose();
        }

        private void End(int status)
        {
            Status = status;
            try
            {
                Child?.Kill();
            }
            catch (InvalidOperationException)
            {
                // It has ended already.
            }
        }
    }
}
