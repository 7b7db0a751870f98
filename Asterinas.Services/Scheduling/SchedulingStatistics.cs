namespace Asterinas.Services.Scheduling;

/// <summary>What a task has had so far; the source of <c>/proc/[pid]/schedstat</c> and the switch counts of <c>/proc/[pid]/status</c> (proc(5)).</summary>
/// <param name="RunNs">Nanoseconds on a CPU.</param>
/// <param name="WaitNs">Nanoseconds in a run queue while others ran.</param>
/// <param name="Turns">Times that it was put on a CPU.</param>
/// <param name="VoluntarySwitches">Times that it left a CPU because it waited or yielded.</param>
/// <param name="InvoluntarySwitches">Times that another one took its CPU.</param>
/// <param name="Migrations">Times that it went to another CPU.</param>
/// <param name="Cpu">The CPU that it is on or was on last; -1 for none yet.</param>
public readonly record struct TaskStatistics(ulong RunNs, ulong WaitNs, long Turns, long VoluntarySwitches, long InvoluntarySwitches, long Migrations, int Cpu);

/// <summary>What a CPU has done so far; the source of <c>/proc/stat</c> and <c>/proc/schedstat</c> (proc(5)).</summary>
/// <param name="BusyNs">Nanoseconds with a task.</param>
/// <param name="IdleNs">Nanoseconds without.</param>
/// <param name="Switches">Times that another task was chosen.</param>
/// <param name="Runnable">Tasks that run or wait for this CPU now.</param>
/// <param name="Load">The sum of their weights; a nice-0 task weighs 1024.</param>
public readonly record struct CpuStatistics(ulong BusyNs, ulong IdleNs, long Switches, int Runnable, long Load);
