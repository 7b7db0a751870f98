using System;
using Asterinas.Ostd.Arch;

namespace Asterinas.Ostd.Smp;

/// <summary>
/// One value for each CPU. The kernel is not preempted, so between two points where a task may block the CPU, and the value, stay the same.
/// </summary>
/// <typeparam name="T">Type of the values.</typeparam>
public sealed class CpuLocal<T>
{
    // A cache line apart, so that CPUs do not disturb each other.
    private struct Padded
    {
        public T Value;
#pragma warning disable CS0169, CS0649, IDE0051 // padding
        private readonly long _a, _b, _c, _d, _e, _f, _g, _h;
#pragma warning restore CS0169, CS0649, IDE0051
    }

    private readonly Padded[] _values;

    /// <summary>Makes a value for every CPU.</summary>
    /// <param name="create">Gets the CPU's number.</param>
    public CpuLocal(Func<int, T> create)
    {
        ArgumentNullException.ThrowIfNull(create);
        _values = new Padded[Machine.CpuCount()];
        for (int i = 0; i < _values.Length; i++) _values[i].Value = create(i);
    }

    /// <summary>The value of this CPU. The reference stays valid, but after blocking it may be another CPU's.</summary>
    public ref T Value => ref _values[Machine.CpuId()].Value;

    /// <summary>The value of a CPU, for statistics; the owner may change it meanwhile.</summary>
    /// <param name="cpu">0 to the number of CPUs - 1.</param>
    public T Of(int cpu) => _values[cpu].Value;
}
