using System.Collections.Generic;
using Asterinas.Ostd.Sync;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Interleaving;

/// <summary>The explorer itself: it visits what it should, and it finds what is broken.</summary>
public sealed class ExplorerTests : MachineFixture
{
    [Test]
    public void Every_interleaving_is_visited()
    {
        var seen = new HashSet<string>();
        string order = "";
        Explorer explorer = null!;
        using (explorer = new Explorer(int.MaxValue, () => Steps('b')))
        {
            explorer.Run(() => order = "", () => Steps('a'), () => seen.Add(order));
            Assert.That(seen, Has.Count.EqualTo(20), "three steps each, in all orders: 6! / (3! 3!)");
        }

        void Steps(char name)
        {
            for (int i = 0; i < 3; i++)
            {
                explorer.Point("step");
                order += name;
            }
        }
    }

    [TestCase(0, 1)]
    [TestCase(1, 2)]
    public void Preemption_bound_limits_the_runs(int bound, int least)
    {
        Explorer explorer = null!;
        using (explorer = new Explorer(bound, () => explorer.Point("b")))
        {
            explorer.Run(() => { }, () => explorer.Point("a"), () => { });
            Assert.That(explorer.Runs, Is.InRange(least, least + 1));
        }
    }

    [Test]
    public void Lost_update_is_found()
    {
        int value = 0, lost = 0;
        Explorer explorer = null!;
        using (explorer = new Explorer(2, Increment))
        {
            explorer.Run(() => value = 0, Increment, () => lost += value == 1 ? 1 : 0);
        }
        Assert.That(lost, Is.Positive);

        void Increment()
        {
            int read = value;
            explorer.Point("between read and write");
            value = read + 1;
        }
    }

    /// <summary>A wait that looks at the flag before it takes its seat and trusts a wake-up afterwards: the classic mistake.</summary>
    [Test]
    public void Lost_wake_up_of_a_broken_wait_is_found()
    {
        var queue = new WaitQueue();
        bool flag = false;
        int lost = 0;
        using var explorer = new Explorer(1, () =>
        {
            flag = true;
            queue.WakeOne();
            Asterinas.Ostd.Arch.Machine.KickCpu(0);
        });
        explorer.Run(() => flag = false, () =>
        {
            int looks = 0;
            if (!flag) queue.WaitBounded(0, _ => ++looks > 2, Second);
        }, () => lost += explorer.ElapsedNs >= Second ? 1 : 0);
        Assert.That(lost, Is.InRange(1, explorer.Runs - 1), "lost in some interleavings, not in all");
    }
}
