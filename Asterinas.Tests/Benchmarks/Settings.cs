using System;

namespace Asterinas.Tests.Benchmarks;

/// <summary>What the command line asked for.</summary>
internal sealed record Settings
{
    public required bool IsTimed { get; init; }
    public required string[] Filters { get; init; }
    public required int Cpus { get; init; }
    public required int Pairs { get; init; }
    public required string? Json { get; init; }
    public required string? Plot { get; init; }
    public required double Scale { get; init; }
    public required bool ListOnly { get; init; }
    public required bool LinuxOnly { get; init; }
    public required string? Kernel { get; init; }
    public required TimeSpan Patience { get; init; }
}

/// <summary>A problem of the user's making, or of the machine's: one line, no stack trace.</summary>
internal sealed class BenchmarkException(string message) : Exception(message);
