using System;
using Asterinas.Ostd.Smp;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Smp;

public sealed class CpuLocalTests : MachineFixture
{
    [Test]
    public void Value_is_made_once_for_each_cpu_and_changed_in_place()
    {
        int made = 0;
        var local = new CpuLocal<int>(cpu =>
        {
            made++;
            return 10 + cpu;
        });
        Assert.That((made, local.Value), Is.EqualTo((1, 10)));
        local.Value += 5;
        ref int value = ref local.Value;
        value++;
        Assert.That(local.Of(0), Is.EqualTo(16));
        Assert.That(() => local.Of(1), Throws.TypeOf<IndexOutOfRangeException>());
        Assert.That(() => new CpuLocal<int>(null!), Throws.TypeOf<ArgumentNullException>());
    }

    [Test]
    public void Sets_hold_cpus_0_to_63()
    {
        CpuSet set = new CpuSet(0).With(0).With(63).With(63);
        Assert.That((set.Count, set.Contains(0), set.Contains(1), set.Contains(63), set.Contains(64), set.Contains(-1)),
            Is.EqualTo((2, true, false, true, false, false)));
        Assert.That(() => set.With(64), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => set.With(-1), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(CpuSet.Online, Is.EqualTo(new CpuSet(1)));
    }
}
