using System;
using System.Collections.Generic;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Interrupts;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.Tasks;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Interrupts;

public sealed class IrqLineTests : MachineFixture
{
    private const int Vectors = 176;
    private const int IsaLine = 5;
    private const uint PciGsi = 18;

    [Test]
    public void Bottom_half_runs_at_the_next_safe_point_and_not_before()
    {
        using IrqLine line = IrqLine.TryAllocate()!;
        int ran = 0;
        line.SetBottomHalf(() => ran++);
        Machine.RaiseInterrupt(line.Vector);
        Assert.That((ran, line.Count), Is.EqualTo((0, 0L)));
        Task.YieldIfNeeded();
        Assert.That((ran, line.Count), Is.EqualTo((1, 1L)));
        Task.YieldIfNeeded();
        Assert.That(ran, Is.EqualTo(1));
    }

    [Test]
    public void Interrupts_that_come_together_are_one_call()
    {
        using IrqLine line = IrqLine.TryAllocate()!;
        int ran = 0;
        line.SetBottomHalf(() => ran++);
        for (int i = 0; i < 10; i++) Machine.RaiseInterrupt(line.Vector);
        Task.YieldIfNeeded();
        Assert.That(ran, Is.EqualTo(1));
    }

    [Test]
    public void Interrupt_during_its_own_bottom_half_makes_it_run_again_not_within_itself()
    {
        using IrqLine line = IrqLine.TryAllocate()!;
        int ran = 0, depth = 0, deepest = 0;
        line.SetBottomHalf(() =>
        {
            deepest = Math.Max(deepest, ++depth);
            if (++ran < 3) Machine.RaiseInterrupt(line.Vector);
            Task.YieldIfNeeded();
            depth--;
        });
        Machine.RaiseInterrupt(line.Vector);
        Task.YieldIfNeeded();
        Assert.That((ran, deepest), Is.EqualTo((3, 1)));
    }

    [Test]
    public void Idle_cpu_runs_the_bottom_half_and_the_task_that_it_wakes()
    {
        using IrqLine line = IrqLine.TryAllocate()!;
        var queue = new WaitQueue();
        bool hasData = false;
        line.SetBottomHalf(() =>
        {
            hasData = true;
            queue.WakeAll();
        });
        Task driver = Spawn(() => Assert.That(queue.WaitInterruptible(0, _ => hasData), Is.EqualTo(WaitResult.Woken)));
        Settle();
        Machine.RaiseInterrupt(line.Vector);
        Join([driver]);
    }

    [Test]
    public void Bottom_half_that_throws_is_logged_and_the_kernel_goes_on()
    {
        using IrqLine line = IrqLine.TryAllocate()!;
        using IrqLine second = IrqLine.TryAllocate()!;
        int ran = 0;
        line.SetBottomHalf(() => throw new FormatException("broken driver"));
        second.SetBottomHalf(() => ran++);
        Machine.RaiseInterrupt(line.Vector);
        Machine.RaiseInterrupt(second.Vector);
        Task.YieldIfNeeded();
        Assert.That((ran, line.Count), Is.EqualTo((1, 1L)));
        Assert.That(Machine.TakeConsoleOutput(), Does.Contain("broken driver"));
        Task.Sleep(1);
    }

    [Test]
    public void Bottom_half_cannot_block()
    {
        using IrqLine line = IrqLine.TryAllocate()!;
        line.SetBottomHalf(() => Task.Sleep(1));
        Machine.RaiseInterrupt(line.Vector);
        Task.YieldIfNeeded();
        Assert.That(Machine.TakeConsoleOutput(), Does.Contain(nameof(InvalidOperationException)));
    }

    [Test]
    public void Vectors_are_exhausted_without_a_fault_and_come_back()
    {
        var lines = new List<IrqLine>();
        var vectors = new HashSet<int>();
        while (IrqLine.TryAllocate() is { } line)
        {
            lines.Add(line);
            Assert.That(vectors.Add(line.Vector), Is.True);
        }
        Assert.That(lines, Has.Count.EqualTo(Vectors));
        lines[77].Dispose();
        using (IrqLine again = IrqLine.TryAllocate()!) Assert.That(again.Vector, Is.EqualTo(lines[77].Vector));
        foreach (IrqLine line in lines) line.Dispose();
    }

    [Test]
    public void Line_that_was_given_back_is_dead_and_its_late_interrupt_is_nobodys()
    {
        IrqLine line = IrqLine.TryAllocate()!;
        int ran = 0;
        line.SetBottomHalf(() => ran++);
        Machine.RaiseInterrupt(line.Vector);
        line.Dispose();
        Task.YieldIfNeeded();
        Assert.That(ran, Is.Zero);
        Assert.That(() => line.SetBottomHalf(null), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => line.TryRouteIsa(IsaLine), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => line.TryRoutePciInterrupt(PciGsi), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(Machine.TakeConsoleOutput(), Does.Contain("nobody owns"));
        using IrqLine next = IrqLine.TryAllocate()!;
        line.Dispose();
        using IrqLine another = IrqLine.TryAllocate()!;
        Assert.That(another.Vector, Is.Not.EqualTo(next.Vector), "a second dispose gives nothing back");
    }

    [Test]
    public void Isa_line_is_routed_and_masked_again_by_dispose()
    {
        int ran = 0;
        using (IrqLine line = IrqLine.TryAllocate()!)
        {
            line.SetBottomHalf(() => ran++);
            Assert.That(line.TryRouteIsa(IsaLine), Is.True);
            Assert.That(Machine.RoutedVector(IsaLine), Is.EqualTo(line.Vector));
            Assert.That(line.TryRouteIsa(IsaLine + 1), Is.False, "one source a line");
            for (int i = 0; i < 3; i++)
            {
                Machine.SetInterruptLine(IsaLine, true);
                Machine.SetInterruptLine(IsaLine, false);
                Task.YieldIfNeeded();
            }
            Assert.That(ran, Is.EqualTo(3));
        }
        Assert.That(Machine.RoutedVector(IsaLine), Is.Zero);
        Machine.SetInterruptLine(IsaLine, true);
        Task.YieldIfNeeded();
        Assert.That(ran, Is.EqualTo(3));
    }

    [Test]
    public void Level_triggered_source_interrupts_until_its_driver_has_served_it()
    {
        using IrqLine line = IrqLine.TryAllocate()!;
        int ran = 0;
        line.SetBottomHalf(() =>
        {
            if (++ran == 3) Machine.SetInterruptLine(PciGsi, false);
        });
        Assert.That(line.TryRoutePciInterrupt(PciGsi), Is.True);
        Machine.SetInterruptLine(PciGsi, true);
        Task.YieldIfNeeded();
        Assert.That(ran, Is.EqualTo(3));
        Machine.SetInterruptLine(PciGsi, true);
        Machine.SetInterruptLine(PciGsi, false);
        Task.YieldIfNeeded();
        Assert.That(ran, Is.EqualTo(4), "the interrupt had been taken when the source let go");
    }

    [Test]
    public void Lines_that_do_not_exist_are_refused()
    {
        using IrqLine line = IrqLine.TryAllocate()!;
        Assert.That(() => line.TryRouteIsa(-1), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => line.TryRouteIsa(16), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(line.TryRouteIsa(2), Is.False, "the cascade");
        Assert.That(line.TryRoutePciInterrupt(24), Is.False);
        Assert.That(line.TryRoutePciInterrupt(uint.MaxValue - 1), Is.False);
        Assert.That(line.TryRoutePciInterrupt(uint.MaxValue), Is.False);
        Assert.That(line.TryRoutePciInterrupt(PciGsi), Is.True, "a refused attempt leaves the line free");
    }

    [Test]
    public void Pin_that_has_a_driver_is_refused_to_another_one()
    {
        using IrqLine first = IrqLine.TryAllocate()!;
        using IrqLine second = IrqLine.TryAllocate()!;
        int ran = 0;
        first.SetBottomHalf(() => ran++);
        Assert.That(first.TryRoutePciInterrupt(PciGsi), Is.True);
        Assert.That(second.TryRoutePciInterrupt(PciGsi), Is.False);
        Machine.SetInterruptLine(PciGsi, true);
        Machine.SetInterruptLine(PciGsi, false);
        Task.YieldIfNeeded();
        Assert.That(ran, Is.EqualTo(1));
        first.Dispose();
        Assert.That(second.TryRoutePciInterrupt(PciGsi), Is.True);
    }
}
