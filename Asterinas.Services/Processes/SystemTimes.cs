using System.Threading;

namespace Asterinas.Services.Processes;

/// <summary>Times and counts of the whole system since boot, for /proc/stat.</summary>
internal static class SystemTimes
{
    private static long s_userNs, s_forks;

    /// <summary>Processes and threads ever made.</summary>
    public static long ForkCount => Interlocked.Read(ref s_forks);

    public static void CountFork() => Interlocked.Increment(ref s_forks);

    /// <summary>A thread that ended had so much time in user mode.</summary>
    public static void AddUser(ulong nanoseconds) => Interlocked.Add(ref s_userNs, (long)nanoseconds);

    /// <summary>Splits the time that CPUs were busy into user mode and kernel: by the threads that have ended, and those that live.</summary>
    public static (ulong User, ulong System) Split(ulong busyNs)
    {
        ulong user = (ulong)Interlocked.Read(ref s_userNs);
        foreach (Process process in PidNamespace.Root!.Processes())
        {
            using SpinLock.Guard guard = process.SignalLock.Lock();
            foreach (Thread thread in process.Threads) user += thread.Times.UserNs;
        }
        if (user > busyNs) user = busyNs;
        return (user, busyNs - user);
    }
}
