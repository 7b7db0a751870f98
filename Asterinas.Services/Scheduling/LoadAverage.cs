using System.Threading;
using Asterinas.Ostd.Smp;
using Asterinas.Ostd.Timers;

namespace Asterinas.Services.Scheduling;

/// <summary>The load averages of man 5 proc_loadavg: tasks that run or want to, damped over one, five and fifteen minutes. Sampled every five seconds.</summary>
internal static class LoadAverage
{
    private const ulong PeriodNs = 5000000000;
    // Fixed point with 11 bits; factors are 2048 / e^(5 s / window).
    private const ulong One = 2048, Factor1 = 1884, Factor5 = 2014, Factor15 = 2037;

    private static readonly Timer s_timer = new(Sample);
    private static ulong s_one, s_five, s_fifteen;

    /// <summary>The three averages, times 2048.</summary>
    public static (ulong One, ulong Five, ulong Fifteen) Current => (Volatile.Read(ref s_one), Volatile.Read(ref s_five), Volatile.Read(ref s_fifteen));

    /// <summary>Tasks that run or want to, now.</summary>
    public static int Runnable
    {
        get
        {
            int sum = 0;
            if (LinuxScheduler.Active is { } scheduler)
            {
                for (int cpu = 0; cpu < CpuSet.Online.Count; cpu++) sum += scheduler.StatisticsOf(cpu).Runnable;
            }
            return sum;
        }
    }

    /// <summary>Begins to sample.</summary>
    public static void Start() => s_timer.Set(Clock.MonotonicNs + PeriodNs);

    private static void Sample()
    {
        ulong active = (ulong)Runnable * One;
        Volatile.Write(ref s_one, Damp(s_one, Factor1, active));
        Volatile.Write(ref s_five, Damp(s_five, Factor5, active));
        Volatile.Write(ref s_fifteen, Damp(s_fifteen, Factor15, active));
        Start();
    }

    private static ulong Damp(ulong load, ulong factor, ulong active) => (load * factor + active * (One - factor) + (active >= load ? One - 1 : 0)) / One;
}
