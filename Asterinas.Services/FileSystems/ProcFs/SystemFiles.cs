using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;
using Asterinas.Ostd.Boot;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Smp;
using Asterinas.Ostd.Tasks;
using Asterinas.Ostd.Timers;
using Asterinas.Services.Devices;
using Asterinas.Services.FileSystems.Pseudo;
using Asterinas.Services.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Scheduling;
using Asterinas.Services.Time;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.FileSystems.ProcFs;

/// <summary>Files of /proc about the system as a whole.</summary>
internal static class SystemFiles
{
    private const ulong NsPerTick = 10000000;       // USER_HZ is 100
    private const ulong Second = 1000000000;

    public static void Fill(PseudoDirectory root)
    {
        root.AddFile("cmdline", static _ => BootInfo.Current.CommandLine + "\n");
        root.AddFile("cpuinfo", CpuInformation);
        root.AddFile("devices", Devices);
        root.AddFile("diskstats", static _ => "");
        root.AddFile("filesystems", FileSystems);
        root.AddFile("interrupts", Interrupts);
        root.AddFile("loadavg", LoadAverage);
        root.AddFile("meminfo", MemoryInformation);
        root.AddFile("partitions", static _ => "major minor  #blocks  name\n\n");
        root.AddFile("stat", Statistics);
        root.AddFile("swaps", static _ => "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
        root.AddFile("uptime", Uptime);
        root.AddFile("version", static _ => $"{SystemIdentity.SystemName} version {SystemIdentity.Release} (.NET {Environment.Version}) {SystemIdentity.Version}\n");
        root.AddFile("vmstat", VirtualMemory);
    }

    internal static string Format(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private static void CpuInformation(Thread thread, StringBuilder text)
    {
        for (int cpu = 0; cpu < CpuSet.Online.Count; cpu++)
        {
            text.Append(Format($"processor\t: {cpu}\nvendor_id\t: {CpuDescription.Vendor}\ncpu family\t: {CpuDescription.Family}\nmodel\t\t: {CpuDescription.Model}\nmodel name\t: {CpuDescription.Name}\nstepping\t: {CpuDescription.Stepping}\n"));
            text.Append(Format($"cpu MHz\t\t: {Clock.TscFrequency / 1000000}.{Clock.TscFrequency / 1000 % 1000:D3}\nphysical id\t: 0\nsiblings\t: {CpuSet.Online.Count}\ncore id\t\t: {cpu}\ncpu cores\t: {CpuSet.Online.Count}\n"));
            text.Append(Format($"apicid\t\t: {cpu}\ninitial apicid\t: {cpu}\nfpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: {CpuDescription.MaxLeaf}\nwp\t\t: yes\nflags\t\t: {CpuDescription.Flags}\n"));
            text.Append(Format($"bugs\t\t:\nbogomips\t: {Clock.TscFrequency / 500000}.{Clock.TscFrequency / 5000 % 100:D2}\nclflush size\t: 64\ncache_alignment\t: 64\naddress sizes\t: {CpuDescription.PhysicalBits} bits physical, {CpuDescription.LinearBits} bits virtual\npower management:\n\n"));
        }
    }

    private static void Devices(Thread thread, StringBuilder text)
    {
        text.Append("Character devices:\n");
        AppendDrivers(text, InodeType.CharacterDevice);
        text.Append("\nBlock devices:\n");
        AppendDrivers(text, InodeType.BlockDevice);
    }

    // A line for each major number, named after its first device.
    private static void AppendDrivers(StringBuilder text, InodeType type)
    {
        var majors = new SortedDictionary<uint, string>();
        foreach (DeviceDriver driver in DeviceRegistry.Snapshot())
        {
            if (driver.Type == type && driver.Name.Length > 0) majors.TryAdd(driver.Number.Major, driver.Name.TrimEnd('0', '1', '2', '3', '4', '5', '6', '7', '8', '9'));
        }
        foreach ((uint major, string name) in majors) text.Append(Format($"{major,3} {name}\n"));
    }

    private static void FileSystems(Thread thread, StringBuilder text)
    {
        foreach (FileSystemType type in FileSystemRegistry.Types) text.Append(type.NeedsDevice ? "" : "nodev").Append('\t').Append(type.Name).Append('\n');
    }

    private static void Interrupts(Thread thread, StringBuilder text)
    {
        text.Append("           ");
        for (int cpu = 0; cpu < CpuSet.Online.Count; cpu++) text.Append(Format($"CPU{cpu,-8}"));
        text.Append(Format($"\nTOT: {RuntimeStatistics.InterruptCount,10}\n"));
    }

    private static void LoadAverage(Thread thread, StringBuilder text)
    {
        (ulong one, ulong five, ulong fifteen) = Scheduling.LoadAverage.Current;
        text.Append(Load(one)).Append(' ').Append(Load(five)).Append(' ').Append(Load(fifteen));
        text.Append(Format($" {Scheduling.LoadAverage.Runnable}/{ThreadCount()} {thread.Namespaces.Pid.Last}\n"));

        static string Load(ulong value) => Format($"{value >> 11}.{((value & 2047) * 100) >> 11:D2}");
    }

    private static void MemoryInformation(Thread thread, StringBuilder text)
    {
        MemoryUse use = MemoryUse.Now;
        Line("MemTotal", use.TotalKiB);
        Line("MemFree", use.FreeKiB);
        Line("MemAvailable", use.FreeKiB);
        Line("Buffers", 0);
        Line("Cached", use.CachedKiB);
        Line("SwapCached", 0);
        Line("SwapTotal", 0);
        Line("SwapFree", 0);
        Line("Shmem", use.CachedKiB);
        Line("CommitLimit", CommitAccount.LimitPages * 4);
        Line("Committed_AS", CommitAccount.CommittedPages * 4);
        text.Append("HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\nHugePages_Surp:        0\nHugepagesize:       2048 kB\n");

        void Line(string name, long kib) => text.Append(Format($"{name + ":",-15} {kib,8} kB\n"));
    }

    private static void Statistics(Thread thread, StringBuilder text)
    {
        int cpus = CpuSet.Online.Count;
        ulong busyAll = 0, idleAll = 0;
        long switches = 0;
        int runnable = 0;
        var lines = new StringBuilder();
        for (int cpu = 0; cpu < cpus; cpu++)
        {
            CpuStatistics own = LinuxScheduler.Active is { } scheduler ? scheduler.StatisticsOf(cpu) : default;
            busyAll += own.BusyNs;
            idleAll += own.IdleNs;
            switches += own.Switches;
            runnable += own.Runnable;
            lines.Append(Format($"cpu{cpu} {own.BusyNs / NsPerTick} 0 0 {own.IdleNs / NsPerTick} 0 0 0 0 0 0\n"));
        }
        (ulong user, ulong system) = SystemTimes.Split(busyAll);
        text.Append(Format($"cpu  {user / NsPerTick} 0 {system / NsPerTick} {idleAll / NsPerTick} 0 0 0 0 0 0\n")).Append(lines);
        text.Append(Format($"intr {RuntimeStatistics.InterruptCount}\nctxt {switches}\nbtime {WallClock.OffsetNs / (long)Second}\nprocesses {SystemTimes.ForkCount}\nprocs_running {Math.Max(runnable, 1)}\nprocs_blocked 0\n"));
        text.Append("softirq 0 0 0 0 0 0 0 0 0 0 0\n");
    }

    private static void Uptime(Thread thread, StringBuilder text)
    {
        ulong idle = 0;
        for (int cpu = 0; cpu < CpuSet.Online.Count; cpu++) idle += LinuxScheduler.Active?.StatisticsOf(cpu).IdleNs ?? 0;
        ulong now = Clock.MonotonicNs;
        text.Append(Format($"{now / Second}.{now / (Second / 100) % 100:D2} {idle / Second}.{idle / (Second / 100) % 100:D2}\n"));
    }

    private static void VirtualMemory(Thread thread, StringBuilder text)
    {
        MemoryUse use = MemoryUse.Now;
        text.Append(Format($"nr_free_pages {use.FreeKiB / 4}\nnr_file_pages {use.CachedKiB / 4}\nnr_shmem {use.CachedKiB / 4}\nnr_dirty 0\nnr_writeback 0\n"));
        text.Append("pgpgin 0\npgpgout 0\npswpin 0\npswpout 0\n");
    }

    private static int ThreadCount() => Clone.ThreadCount;
}
