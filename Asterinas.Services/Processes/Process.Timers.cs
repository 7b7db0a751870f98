using System.Threading;
using Asterinas.Services.Time;

namespace Asterinas.Services.Processes;

/// <summary>The process and its timers.</summary>
internal sealed partial class Process
{
    private ProcessTimers? _timers;

    /// <summary>Its timers; made when it first asks for one.</summary>
    public ProcessTimers Timers => Volatile.Read(ref _timers) ?? Interlocked.CompareExchange(ref _timers, new ProcessTimers(this), null) ?? _timers!;

    /// <summary>Its timers, if it has any.</summary>
    public ProcessTimers? TimersIfAny => Volatile.Read(ref _timers);
}
