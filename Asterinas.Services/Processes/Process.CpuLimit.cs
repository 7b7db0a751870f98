using Asterinas.Services.Signals;

namespace Asterinas.Services.Processes;

/// <summary>RLIMIT_CPU (man 2 getrlimit): SIGXCPU at the soft limit and each second after it, SIGKILL at the hard one.</summary>
internal sealed partial class Process
{
    private const ulong SecondNs = 1000000000;
    private ulong _nextCpuWarning;

    /// <summary>Looks at the limit; called by a thread of the process when an interrupt took it out of user mode.</summary>
    internal void CheckCpuLimit()
    {
        Limit limit = Limits[Resource.Cpu];
        if (limit.Soft == ResourceLimits.Infinity && limit.Hard == ResourceLimits.Infinity) return;
        ulong seconds = Times.TotalNs / SecondNs;
        if (seconds >= limit.Hard)
        {
            Kill(Signal.SIGKILL);
            return;
        }
        if (seconds < limit.Soft || seconds < _nextCpuWarning) return;
        _nextCpuWarning = seconds + 1;
        Kill(Signal.SIGXCPU);
    }
}
