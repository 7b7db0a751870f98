using System;
using System.Collections.Generic;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.Tasks;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Sync;

public sealed class RcuTests : MachineFixture
{
    private const ulong GraceNs = 1000000;

    [Test]
    public void Reader_cannot_block_and_the_guard_ends_the_section_once()
    {
        Rcu.Guard outer = Rcu.Read(), inner = Rcu.Read();
        Assert.That(() => Task.Sleep(1), Throws.InvalidOperationException);
        Assert.That(Rcu.Synchronize, Throws.InvalidOperationException);
        inner.Dispose();
        inner.Dispose();
        Assert.That(() => Task.Sleep(1), Throws.InvalidOperationException, "the outer section goes on");
        outer.Dispose();
        Assert.That(Task.Sleep(1), Is.EqualTo(WaitResult.Woken));
    }

    [Test]
    public void Synchronize_returns_when_no_reader_is_left() => Assert.That(Rcu.Synchronize, Throws.Nothing);

    [Test]
    public void Deferred_actions_run_in_order_after_a_while_and_never_inside_a_section()
    {
        var order = new List<int>();
        using (Rcu.Read())
        {
            for (int i = 0; i < 5; i++)
            {
                int number = i;
                Rcu.Defer(() => order.Add(number));
            }
            Task.YieldIfNeeded();
            Assert.That(order, Is.Empty);
        }
        Task.Sleep(GraceNs);
        Assert.That(order, Is.EqualTo(new[] { 0, 1, 2, 3, 4 }));
    }

    [Test]
    public void Deferred_action_that_throws_is_logged_and_the_next_one_runs()
    {
        bool ran = false;
        Rcu.Defer(() => throw new FormatException("bad action"));
        Rcu.Defer(() => ran = true);
        Task.Sleep(GraceNs);
        Assert.That(ran, Is.True);
        Assert.That(Machine.TakeConsoleOutput(), Does.Contain("bad action"));
    }

    [Test]
    public void Deferred_action_may_defer_another_one()
    {
        var order = new List<string>();
        Rcu.Defer(() =>
        {
            order.Add("first");
            Rcu.Defer(() => order.Add("second"));
        });
        Task.Sleep(GraceNs);
        Task.Sleep(GraceNs);
        Assert.That(order, Is.EqualTo(new[] { "first", "second" }));
    }
}
