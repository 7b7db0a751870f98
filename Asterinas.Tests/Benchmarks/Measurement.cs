using System.Collections.Generic;

namespace Asterinas.Tests.Benchmarks;

/// <summary>One benchmark job: its name, its iterations at scale 1, and whether counted mode judges it (copies and clears are judged by time only).</summary>
internal sealed record Job(string Name, long Iterations, bool IsJudgedCounted)
{
    /// <summary>The pseudo job: from the start of QEMU to the first instructions of process 1.</summary>
    public const string Boot = "boot";
}

/// <summary>What a kernel is in a comparison.</summary>
internal enum KernelRole
{
    /// <summary>Debian's kernel as it is: what is judged against.</summary>
    Linux,

    /// <summary>The same with <c>mitigations=off</c>: a second column.</summary>
    LinuxWithoutMitigations,

    /// <summary>This kernel.</summary>
    Asterinas,
}

/// <summary>A kernel to boot.</summary>
internal sealed record GuestKernel(KernelRole Role, string Name, string Image, string CommandLine);

/// <summary>What one job measured on one kernel. <paramref name="Check"/> says what was done: equal on all kernels, or the work was not the same.</summary>
internal readonly record struct Measurement(long Iterations, double TotalNs, string Check)
{
    public double Ns => TotalNs / Iterations;
}

/// <summary>One kernel's run: a measurement for each job that ran, the reason for each that did not.</summary>
internal sealed record GuestResults(IReadOnlyDictionary<string, Measurement> Measurements, IReadOnlyDictionary<string, string> Failures);
