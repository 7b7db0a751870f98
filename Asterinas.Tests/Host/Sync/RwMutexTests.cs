using System;
using System.Collections.Generic;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.Tasks;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Sync;

public sealed class RwMutexTests : MachineFixture
{
    [Test]
    public void Waiting_writer_goes_before_readers_that_came_later()
    {
        var rwMutex = new RwMutex();
        var order = new List<string>();
        RwMutex.Guard early = rwMutex.Read();
        Task writer = Spawn(() =>
        {
            using RwMutex.Guard guard = rwMutex.Write();
            order.Add("writer");
        });
        Settle();
        Task late = Spawn(() =>
        {
            using RwMutex.Guard guard = rwMutex.Read();
            order.Add("late reader");
        });
        Settle();
        Assert.That(order, Is.Empty);
        order.Add("early reader");
        early.Dispose();
        early.Dispose();
        Join([writer, late]);
        Assert.That(order, Is.EqualTo(new[] { "early reader", "writer", "late reader" }));
    }

    [Test]
    public void Readers_are_inside_together_and_may_block()
    {
        var rwMutex = new RwMutex();
        int inside = 0, most = 0;
        var tasks = new List<Task>();
        for (int i = 0; i < 5; i++)
        {
            tasks.Add(Spawn(() =>
            {
                using RwMutex.Guard guard = rwMutex.Read();
                most = Math.Max(most, ++inside);
                Task.Sleep(Millisecond);
                inside--;
            }));
        }
        Join(tasks);
        Assert.That(most, Is.EqualTo(5));
    }

    [Test]
    public void Random_crowd_keeps_the_rules_and_everybody_gets_through([Values(1, 2, 3)] int seed)
    {
        var random = new Random(seed);
        var rwMutex = new RwMutex();
        int readers = 0, writers = 0, done = 0;
        var tasks = new List<Task>();
        for (int i = 0; i < 8; i++)
        {
            tasks.Add(Spawn(() =>
            {
                for (int round = 0; round < 25; round++)
                {
                    if (random.Next(3) == 0)
                    {
                        using RwMutex.Guard guard = rwMutex.Write();
                        writers++;
                        Assert.That((readers, writers), Is.EqualTo((0, 1)));
                        if (random.Next(2) == 0) Task.Sleep((ulong)random.Next(1, 300));
                        Assert.That((readers, writers), Is.EqualTo((0, 1)));
                        writers--;
                    }
                    else
                    {
                        using RwMutex.Guard guard = rwMutex.Read();
                        readers++;
                        Assert.That(writers, Is.Zero);
                        if (random.Next(2) == 0) Task.Sleep((ulong)random.Next(1, 300));
                        Assert.That(writers, Is.Zero);
                        readers--;
                    }
                    done++;
                    if (random.Next(4) == 0) Task.Yield();
                }
            }));
        }
        Join(tasks);
        Assert.That(done, Is.EqualTo(200));
    }
}
