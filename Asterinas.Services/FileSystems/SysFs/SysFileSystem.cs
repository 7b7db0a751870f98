using System.Globalization;
using Asterinas.Ostd.Smp;
using Asterinas.Services.FileSystems.Pseudo;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.FileSystems.SysFs;

/// <summary>/sys (man 5 sysfs): CPUs and memory settings that programs ask for; devices come with the drivers.</summary>
internal sealed class SysFileSystem : PseudoFileSystem
{
    private readonly PseudoDirectory _root;

    public SysFileSystem()
    {
        _root = new PseudoDirectory(this);
        _root.AddDirectory("block");
        _root.AddDirectory("bus");
        PseudoDirectory classes = _root.AddDirectory("class");
        classes.AddDirectory("tty").AddDirectory("console").AddFile("active", static _ => "ttyS0\n");
        _root.AddDirectory("dev");
        PseudoDirectory system = _root.AddDirectory("devices").AddDirectory("system");
        AddCpus(system.AddDirectory("cpu"));
        PseudoDirectory node = system.AddDirectory("node");
        node.AddFile("online", static _ => "0\n");
        node.AddFile("possible", static _ => "0\n");
        PseudoDirectory firstNode = node.AddDirectory("node0");
        firstNode.AddFile("cpulist", static _ => CpuList());
        firstNode.AddFile("distance", static _ => "10\n");
        _root.AddDirectory("firmware");
        PseudoDirectory fs = _root.AddDirectory("fs");
        fs.AddDirectory("cgroup");
        PseudoDirectory kernel = _root.AddDirectory("kernel");
        PseudoDirectory huge = kernel.AddDirectory("mm").AddDirectory("transparent_hugepage");
        huge.AddFile("enabled", static _ => "always madvise [never]\n");
        huge.AddFile("hpage_pmd_size", static _ => "2097152\n");
        _root.AddDirectory("module");
        _root.AddDirectory("power");
    }

    public override string TypeName => "sysfs";
    public override ulong Magic => 0x62656572;
    public override Inode Root => _root;

    private static void AddCpus(PseudoDirectory cpus)
    {
        cpus.AddFile("online", static _ => CpuList());
        cpus.AddFile("possible", static _ => CpuList());
        cpus.AddFile("present", static _ => CpuList());
        cpus.AddFile("kernel_max", static _ => "63\n");
        for (int cpu = 0; cpu < CpuSet.Online.Count; cpu++)
        {
            string number = cpu.ToString(CultureInfo.InvariantCulture);
            PseudoDirectory one = cpus.AddDirectory("cpu" + number);
            one.AddFile("online", static _ => "1\n");
            PseudoDirectory topology = one.AddDirectory("topology");
            topology.AddFile("core_id", _ => number + "\n");
            topology.AddFile("physical_package_id", static _ => "0\n");
            topology.AddFile("thread_siblings_list", _ => number + "\n");
            topology.AddFile("core_siblings_list", static _ => CpuList());
        }
    }

    private static string CpuList() => CpuSet.Online.Count == 1 ? "0\n" : string.Create(CultureInfo.InvariantCulture, $"0-{CpuSet.Online.Count - 1}\n");
}
