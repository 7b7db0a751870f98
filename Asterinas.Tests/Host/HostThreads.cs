using System;
using System.Collections.Generic;
using System.Threading;
using Asterinas.Ostd.Arch;
using NUnit.Framework;

namespace Asterinas.Tests.Host;

/// <summary>Host threads that stand for CPUs of the simulated machine and really race.</summary>
internal static class HostThreads
{
    /// <summary>Runs an action on a host thread for each CPU at the same time, and waits. An exception in any of them fails the test.</summary>
    public static void RunOnCpus(int cpus, Action<int> action)
    {
        var problems = new List<Exception>();
        var threads = new Thread[cpus];
        for (int i = 0; i < cpus; i++)
        {
            int cpu = i;
            threads[i] = new Thread(() => Guarded(cpu));
        }
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        Assert.That(problems, Is.Empty);

        void Guarded(int cpu)
        {
            try
            {
                Machine.StandFor(cpu);
                action(cpu);
            }
            catch (Exception problem)
            {
                lock (problems) problems.Add(problem);
            }
        }
    }
}
