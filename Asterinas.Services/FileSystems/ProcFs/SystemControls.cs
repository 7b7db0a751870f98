using System;
using System.Buffers.Text;
using System.Text;
using Asterinas.Services.FileSystems.Pseudo;
using Asterinas.Services.Memory;
using Asterinas.Services.Processes;

namespace Asterinas.Services.FileSystems.ProcFs;

/// <summary>/proc/sys: settings of the kernel (man 5 proc_sys).</summary>
internal static class SystemControls
{
    private static readonly string s_bootId = Guid.NewGuid().ToString();

    public static void Fill(PseudoDirectory sys)
    {
        PseudoDirectory kernel = sys.AddDirectory("kernel");
        kernel.AddFile("cap_last_cap", static _ => $"{(int)Capability.CheckpointRestore}\n");
        kernel.AddFile("domainname", static thread => Encoding.Latin1.GetString(thread.Namespaces.Uts.DomainName) + "\n", static (thread, text) => SetName(text, name => thread.Namespaces.Uts.DomainName = name));
        kernel.AddFile("hostname", static thread => Encoding.Latin1.GetString(thread.Namespaces.Uts.NodeName) + "\n", static (thread, text) => SetName(text, name => thread.Namespaces.Uts.NodeName = name));
        kernel.AddFile("ngroups_max", static _ => "65536\n");
        kernel.AddFile("osrelease", static _ => SystemIdentity.Release + "\n");
        kernel.AddFile("ostype", static _ => SystemIdentity.SystemName + "\n");
        kernel.AddFile("version", static _ => SystemIdentity.Version + "\n");
        kernel.AddFile("overflowuid", static _ => "65534\n");
        kernel.AddFile("overflowgid", static _ => "65534\n");
        kernel.AddFile("pid_max", static thread => $"{thread.Namespaces.Pid.Maximum}\n", static (thread, text) =>
        {
            if (!TryNumber(text, 301, PidNamespace.DefaultMaximum, out long value)) return Errno.EINVAL;
            thread.Namespaces.Pid.Maximum = (int)value;
            return Errno.None;
        });
        kernel.AddFile("threads-max", static _ => $"{CommitAccount.TotalPages / 32}\n");
        kernel.AddFile("printk", static _ => $"{Ostd.Diagnostics.Log.ConsoleLevel}\t4\t1\t7\n", static (_, text) =>
        {
            if (!TryNumber(text, 0, 8, out long value)) return Errno.EINVAL;
            Ostd.Diagnostics.Log.ConsoleLevel = (int)value;
            return Errno.None;
        });
        kernel.AddFile("randomize_va_space", static _ => "2\n");
        kernel.AddFile("core_pattern", static _ => "core\n");
        kernel.AddFile("tainted", static _ => "0\n");
        kernel.AddFile("sched_rr_timeslice_ms", static _ => "100\n");
        PseudoDirectory random = kernel.AddDirectory("random");
        random.AddFile("boot_id", static _ => s_bootId + "\n");
        random.AddFile("uuid", static _ => $"{Guid.NewGuid()}\n");
        random.AddFile("entropy_avail", static _ => "256\n");
        random.AddFile("poolsize", static _ => "256\n");

        PseudoDirectory vm = sys.AddDirectory("vm");
        vm.AddFile("overcommit_memory", static _ => $"{(int)CommitAccount.Mode}\n", static (_, text) =>
        {
            if (!TryNumber(text, 0, 2, out long value)) return Errno.EINVAL;
            CommitAccount.Mode = (OvercommitMode)value;
            return Errno.None;
        });
        vm.AddFile("overcommit_ratio", static _ => $"{CommitAccount.Ratio}\n", static (_, text) =>
        {
            if (!TryNumber(text, 0, 1000, out long value)) return Errno.EINVAL;
            CommitAccount.Ratio = (int)value;
            return Errno.None;
        });
        vm.AddFile("max_map_count", static _ => $"{AddressSpace.MaxMappings}\n");
        vm.AddFile("mmap_min_addr", static _ => $"{AddressSpace.LowestAddress}\n");
        vm.AddFile("swappiness", static _ => "0\n");

        PseudoDirectory fs = sys.AddDirectory("fs");
        fs.AddFile("nr_open", static _ => "1048576\n");
        fs.AddFile("file-max", static _ => $"{long.MaxValue}\n");
        fs.AddFile("pipe-max-size", static _ => "1048576\n");
        fs.AddFile("protected_symlinks", static _ => "0\n");
        fs.AddFile("protected_hardlinks", static _ => "0\n");
        fs.AddFile("protected_fifos", static _ => "0\n");
        fs.AddFile("protected_regular", static _ => "0\n");
        PseudoDirectory inotify = fs.AddDirectory("inotify");
        inotify.AddFile("max_queued_events", static _ => "16384\n");
        inotify.AddFile("max_user_instances", static _ => "128\n");
        inotify.AddFile("max_user_watches", static _ => "65536\n");
        fs.AddDirectory("epoll").AddFile("max_user_watches", static _ => "1048576\n");

        sys.AddDirectory("crypto").AddFile("fips_enabled", static _ => "0\n");
        PseudoDirectory net = sys.AddDirectory("net");
        net.AddDirectory("core").AddFile("somaxconn", static _ => "4096\n");
        net.AddDirectory("unix").AddFile("max_dgram_qlen", static _ => "512\n");
    }

    /// <summary>Reads a decimal number with white space around it.</summary>
    internal static bool TryNumber(ReadOnlySpan<byte> text, long least, long most, out long value)
    {
        ReadOnlySpan<byte> trimmed = text.Trim(" \t\r\n\0"u8);
        // Values are separated by white space: the first one counts.
        int end = trimmed.IndexOfAny(" \t"u8);
        if (end >= 0) trimmed = trimmed[..end];
        return Utf8Parser.TryParse(trimmed, out value, out int used) && used == trimmed.Length && value >= least && value <= most;
    }

    private static Errno SetName(ReadOnlySpan<byte> text, Action<byte[]> set)
    {
        ReadOnlySpan<byte> name = text.TrimEnd("\n\0"u8);
        if (name.Length > 64) name = name[..64];
        set(name.ToArray());
        return Errno.None;
    }
}
