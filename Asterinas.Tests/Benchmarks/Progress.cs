using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.Json;

namespace Asterinas.Tests.Benchmarks;

/// <summary>
/// Says on standard error what has been done and about how long the rest takes. How long each job took is kept for the next run; the estimate is that of the last run,
/// corrected by how fast this one is going.
/// </summary>
internal sealed class Progress
{
    private readonly Stopwatch _time = Stopwatch.StartNew();
    private readonly Dictionary<string, double> _known;
    private readonly Dictionary<string, double> _seen = new(StringComparer.Ordinal);
    private readonly string _file, _suffix;
    private readonly double _average;
    private readonly int _count, _rounds;
    private double _done, _left;
    private int _number;
    private int _round;

    public Progress(Settings settings, int rounds, GuestKernel[] kernels, Job[] jobs)
    {
        _rounds = rounds;
        _suffix = string.Create(CultureInfo.InvariantCulture, $"{(settings.IsTimed ? "timed" : "counted")} x{settings.Scale} smp{settings.Cpus}");
        _file = Path.Combine(BenchmarkProgram.WorkFolder, "durations.json");
        _known = File.Exists(_file) ? JsonSerializer.Deserialize<Dictionary<string, double>>(File.ReadAllText(_file)) ?? [] : [];
        _average = _known.Count == 0 ? 1 : _known.Values.Average();
        _count = rounds * kernels.Length * (jobs.Length + 1);
        _left = rounds * kernels.Sum(kernel => Expected(kernel, Job.Boot) + jobs.Sum(job => Expected(kernel, job.Name)));
    }

    public void OnStart(GuestKernel kernel, int round)
    {
        _round = round;
        Console.Error.WriteLine($"{kernel.Name}{Pair()} boots");
    }

    public void OnDone(GuestKernel kernel, string job, double seconds)
    {
        double expected = Expected(kernel, job);
        _done += expected;
        _left -= expected;
        _number++;
        _seen[Key(kernel, job)] = seconds;
        double remaining = Math.Max(_left, 0) * _time.Elapsed.TotalSeconds / _done;
        Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"[{_number,3}/{_count}] {kernel.Name}{Pair()}: {job}, {seconds:0.0} s; about {Duration(remaining)} left"));
    }

    /// <summary>Keeps what was learnt.</summary>
    public void Save()
    {
        foreach ((string key, double seconds) in _seen)
        {
            if (seconds > 0) _known[key] = seconds;
        }
        File.WriteAllText(_file, JsonSerializer.Serialize(_known));
        Console.Error.WriteLine($"done in {Duration(_time.Elapsed.TotalSeconds)}");
    }

    private static string Duration(double seconds) => string.Create(CultureInfo.InvariantCulture, $"{(int)seconds / 60}:{(int)seconds % 60:00} min");

    private double Expected(GuestKernel kernel, string job) => _known.GetValueOrDefault(Key(kernel, job), _average);

    private string Key(GuestKernel kernel, string job) => $"{kernel.Role} {job} {_suffix}";

    private string Pair() => _rounds > 1 ? $" (pair {_round + 1} of {_rounds})" : "";
}
