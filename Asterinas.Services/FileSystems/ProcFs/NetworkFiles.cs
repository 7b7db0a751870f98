using Asterinas.Services.FileSystems.Pseudo;

namespace Asterinas.Services.FileSystems.ProcFs;

/// <summary>/proc/PID/net (man 5 proc_pid_net): there are no network devices and no internet sockets yet, and that is what the tables say.</summary>
internal static class NetworkFiles
{
    private const string SocketHeader = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    public static void Fill(PseudoDirectory net)
    {
        net.AddFile("dev", static _ => "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n");
        net.AddFile("route", static _ => "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n");
        net.AddFile("tcp", static _ => SocketHeader);
        net.AddFile("tcp6", static _ => SocketHeader);
        net.AddFile("udp", static _ => SocketHeader);
        net.AddFile("udp6", static _ => SocketHeader);
        net.AddFile("arp", static _ => "IP address       HW type     Flags       HW address            Mask     Device\n");
        net.AddFile("if_inet6", static _ => "");
        net.AddFile("unix", static _ => "Num       RefCount Protocol Flags    Type St Inode Path\n");
    }
}
