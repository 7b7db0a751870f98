using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Text;
using Asterinas.Boot.Build;

namespace Asterinas.Boot.Launcher;

/// <summary>
/// The initramfs that a kernel gets when nobody names another one: busybox with a link for each of its programs, and the few files that a system needs. The build makes it
/// (<c>make-initramfs</c>, a command of the launcher that its own users do not need).
/// </summary>
internal static class DefaultInitramfs
{
    private const uint Executable = 0x1ED, Readable = 0x1A4;

    private static readonly string[] s_folders = ["bin", "dev", "etc", "lib", "mnt", "proc", "root", "run", "sbin", "sys", "tmp", "usr", "usr/bin", "usr/sbin", "var", "var/log"];

    private static readonly Dictionary<string, string> s_files = new()
    {
        ["etc/passwd"] = "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n",
        ["etc/group"] = "root:x:0:\ndaemon:x:1:\ntty:x:5:\nnogroup:x:65534:\n",
        ["etc/hostname"] = "asterinas\n",
        ["etc/hosts"] = "127.0.0.1\tlocalhost\n",
        ["etc/profile"] = "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nexport HOME=/root\nexport PS1='\\u@\\h:\\w\\$ '\n",
        ["etc/fstab"] = "",
        // Process 1 is busybox' init: it starts the shell anew when it ends, with the console as its controlling terminal, and collects orphans.
        ["etc/inittab"] = "::sysinit:/etc/rcS\nttyS0::respawn:-/bin/sh\n::ctrlaltdel:/sbin/reboot\n::shutdown:/bin/umount -a -r\n",
    };

    private static readonly Dictionary<string, string> s_scripts = new()
    {
        ["init"] = "#!/bin/sh\nexec /sbin/init \"$@\"\n",
        ["etc/rcS"] = """
            #!/bin/sh
            mount -t proc proc /proc
            mount -t sysfs sysfs /sys
            [ -c /dev/null ] || mount -t devtmpfs devtmpfs /dev
            mkdir -p /dev/pts /dev/shm
            mount -t devpts devpts /dev/pts
            mount -t tmpfs tmpfs /dev/shm
            mount -t tmpfs tmpfs /tmp
            mount -t tmpfs tmpfs /run
            hostname -F /etc/hostname

            """,
    };

    /// <summary>Where the build puts it.</summary>
    public static string PathBelow(string repository) => Path.Combine(repository, "Asterinas.Boot", "obj", "initramfs", "initramfs.cpio");

    /// <summary>Makes the archive. Not compressed: reading two megabytes is cheaper than unpacking one.</summary>
    /// <param name="busybox">The program, which runs on this machine too: it names its links itself.</param>
    /// <param name="output">The file to make.</param>
    public static void Make(string busybox, string output)
    {
        using (FileStream file = File.Create(output + ".new"))
        using (var archive = new CpioArchive(file))
        {
            foreach (string folder in s_folders) archive.AddDirectory(folder, folder == "tmp" ? 0x3FFu : Executable);
            archive.AddCharacterDevice("dev/console", 0x180, 5, 1);
            archive.AddFile("bin/busybox", File.ReadAllBytes(busybox), Executable);
            foreach (string link in Links(busybox)) archive.AddSymbolicLink(link, "/bin/busybox");
            foreach ((string name, string text) in s_files) archive.AddFile(name, Encoding.UTF8.GetBytes(text), Readable);
            foreach ((string name, string text) in s_scripts) archive.AddFile(name, Encoding.UTF8.GetBytes(text), Executable);
        }
        File.Move(output + ".new", output, overwrite: true);
    }

    private static List<string> Links(string busybox)
    {
        var start = new ProcessStartInfo(busybox, "--list-full") { UseShellExecute = false, RedirectStandardOutput = true };
        using Process process = Process.Start(start) ?? throw new LauncherException("busybox does not run");
        var links = new List<string>();
        while (process.StandardOutput.ReadLine() is { } line)
        {
            string name = line.Trim();
            if (name.Length != 0 && name != "bin/busybox" && Array.IndexOf(s_folders, Path.GetDirectoryName(name)) >= 0) links.Add(name);
        }
        process.WaitForExit();
        if (process.ExitCode != 0 || links.Count == 0) throw new LauncherException("busybox does not list its programs");
        return links;
    }
}
