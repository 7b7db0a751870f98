using System.Collections.Generic;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Sync;
using NUnit.Framework;
using Task = Asterinas.Ostd.Tasks.Task;

namespace Asterinas.Tests.Host.Sync;

public sealed class RwLockTests : MachineFixture
{
    [Test]
    public void Readers_share_and_each_guard_counts_once()
    {
        var rwLock = new RwLock();
        RwLock.Guard first = rwLock.Read(), second = rwLock.Read();
        first.Dispose();
        first.Dispose();
        second.Dispose();
        using (rwLock.Write())
        {
            Assert.That(() => Task.Sleep(1), Throws.InvalidOperationException);
        }
        using RwLock.Guard again = rwLock.Read();
    }

    [Test]
    public void Waiting_writer_keeps_new_readers_out_and_goes_first()
    {
        var rwLock = new RwLock();
        var order = new List<string>();
        using var reading = new ManualResetEventSlim();
        using var lateReaderSettled = new ManualResetEventSlim();
        Thread? late = null;
        int pauses = 0;
        var early = new Thread(() =>
        {
            using (rwLock.Read())
            {
                reading.Set();
                lateReaderSettled.Wait();
                lock (order) order.Add("early reader");
            }
        });
        Thread test = Thread.CurrentThread;
        Machine.OnSchedulePoint = point =>
        {
            if (point != "pause") return;
            if (Thread.CurrentThread == late) lateReaderSettled.Set();
            if (Thread.CurrentThread != test || pauses++ != 0) return;
            // The writer waits: now another reader comes. It settles by spinning, or, wrongly, by getting in.
            late = new Thread(() =>
            {
                using (rwLock.Read()) lock (order) order.Add("late reader");
                lateReaderSettled.Set();
            });
            late.Start();
        };
        early.Start();
        reading.Wait();
        using (rwLock.Write()) lock (order) order.Add("writer");
        early.Join();
        late!.Join();
        Machine.OnSchedulePoint = null;
        Assert.That(order, Is.EqualTo(new[] { "early reader", "writer", "late reader" }));
    }

    [Test]
    public void Writers_on_several_cpus_exclude_each_other_and_readers()
    {
        const int Rounds = 5000;
        var rwLock = new RwLock();
        int a = 0, b = 0, torn = 0;
        void Write()
        {
            for (int i = 0; i < Rounds; i++)
            {
                using RwLock.Guard guard = rwLock.Write();
                a++;
                b++;
            }
        }
        void Read()
        {
            for (int i = 0; i < Rounds; i++)
            {
                using RwLock.Guard guard = rwLock.Read();
                if (Volatile.Read(ref a) != Volatile.Read(ref b)) Interlocked.Increment(ref torn);
            }
        }
        var others = new[] { new Thread(Write), new Thread(Read) };
        foreach (Thread other in others) other.Start();
        Write();
        foreach (Thread other in others) other.Join();
        Assert.That((a, b, torn), Is.EqualTo((2 * Rounds, 2 * Rounds, 0)));
    }
}
