using System;
using System.Collections.Generic;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Boot;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.Tasks;
using NUnit.Framework;

namespace Asterinas.Tests.Host;

/// <summary>
/// A fresh simulated machine with one CPU for each test; the test is its boot task. Time is simulated: sleeping costs nothing, and a wait that nobody ends is found at
/// once. A test leaves no task behind.
/// </summary>
[NonParallelizable]
public abstract class MachineFixture
{
    protected const ulong Millisecond = 1000000;
    protected const ulong Second = 1000 * Millisecond;
    private const ulong Forever = 3600 * Second;
    private const int OwnThreads = 2;           // boot and idle

    [SetUp]
    public void StartMachine()
    {
        OstdStartup.Restart(1);
        Log.ConsoleLevel = 8;
        Machine.TakeConsoleOutput();
    }

    [TearDown]
    public void EveryTaskHasEnded() => Assert.That(Machine.ThreadCount(), Is.EqualTo(OwnThreads), "a test joins its tasks");

    /// <summary>Starts a task that must end well: <see cref="Join"/> it.</summary>
    protected static Task Spawn(Action entry, string name = "task") => Task.Spawn(entry, new TaskOptions { Name = name });

    /// <summary>Joins tasks that must end well, within an hour of simulated time.</summary>
    protected static void Join(params IEnumerable<Task> tasks)
    {
        foreach (Task task in tasks)
        {
            Assert.That(task.Join(Forever), Is.EqualTo(WaitResult.Woken), $"'{task.Name}' is {task.State} for ever");
            Assert.That(task.Failure, Is.Null);
        }
    }

    /// <summary>Lets every other task run until it waits.</summary>
    protected static void Settle() => Task.Sleep(1);

    /// <summary>Time passes, and what is due runs.</summary>
    protected static void Advance(ulong nanoseconds)
    {
        Machine.AdvanceTime(nanoseconds);
        Task.YieldIfNeeded();
    }
}
