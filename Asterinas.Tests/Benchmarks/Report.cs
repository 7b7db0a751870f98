using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Asterinas.Tests.Benchmarks;

/// <summary>One job's line: medians over the pairs, and the ratio (Linux' time to ours: higher is better) with its spread pair by pair.</summary>
internal sealed record Row(string Name, long Iterations, bool IsJudged, double? LinuxNs, double? LinuxOffNs, double? AsterinasNs, double? Ratio, double LeastRatio, double MostRatio)
{
    /// <summary>Against Linux without mitigations.</summary>
    public double? RatioOff => LinuxOffNs / AsterinasNs;
}

/// <summary>What the runs have shown.</summary>
internal sealed class Report
{
    private readonly Settings _settings;
    private readonly GuestKernel[] _kernels;
    private readonly SortedDictionary<string, string> _failures = new(StringComparer.Ordinal);

    public Report(Settings settings, GuestKernel[] kernels, Job[] jobs, List<Dictionary<KernelRole, GuestResults>> runs)
    {
        _settings = settings;
        _kernels = kernels;
        // Boot is reported and has a bar of its own; it is not one of the operations whose mean is taken.
        Rows = [MakeRow(new Job(Job.Boot, 1, false), false, runs), .. jobs.Select(job => MakeRow(job, settings.IsTimed || job.IsJudgedCounted, runs))];
        foreach (Dictionary<KernelRole, GuestResults> run in runs)
        {
            foreach (GuestKernel kernel in kernels)
            {
                foreach ((string job, string reason) in run[kernel.Role].Failures) _failures.TryAdd($"{kernel.Name}: {job}", reason);
            }
        }
        double[] judged = [.. Rows.Where(row => row.IsJudged && row.Ratio is not null).Select(row => row.Ratio!.Value)];
        GeometricMean = judged.Length == 0 ? null : Math.Exp(judged.Average(Math.Log));
    }

    public IReadOnlyList<Row> Rows { get; }

    /// <summary>Of the ratios of the judged jobs; null when there are none.</summary>
    public double? GeometricMean { get; }

    /// <summary>Jobs that failed, and why: by "kernel: job".</summary>
    public IReadOnlyDictionary<string, string> Failures => _failures;

    public bool IsTimed => _settings.IsTimed;

    public void WriteTable(TextWriter output)
    {
        int width = Math.Max(20, Rows.Max(row => row.Name.Length) + 2);
        output.WriteLine(_settings.IsTimed
            ? $"Timed: {_settings.Cpus} CPU(s), {_settings.Pairs} pairs; ns for one operation (median), ratio Linux/Asterinas (median, least and most of the pairs); higher is better."
            : "Counted: one CPU, one instruction is one ns; ns for one operation, ratio Linux/Asterinas; higher is better. Jobs with * are judged in timed mode only.");
        output.WriteLine();
        output.WriteLine(_settings.IsTimed
            ? "job".PadRight(width) + $"{"Linux",14}{"Asterinas",14}{"ratio",9}   spread"
            : "job".PadRight(width) + $"{"Linux",14}{"mitig. off",14}{"Asterinas",14}{"ratio",9}{"to off",9}");
        foreach (Row row in Rows)
        {
            string name = row.IsJudged || row.Name == Job.Boot ? row.Name : row.Name + " *";
            string line = name.PadRight(width) + Number(row.LinuxNs);
            if (!_settings.IsTimed) line += Number(row.LinuxOffNs);
            line += Number(row.AsterinasNs) + RatioText(row.Ratio);
            if (!_settings.IsTimed) line += RatioText(row.RatioOff);
            else if (row.Ratio is not null) line += string.Create(CultureInfo.InvariantCulture, $"   {row.LeastRatio:0.00} to {row.MostRatio:0.00}");
            output.WriteLine(line);
        }
        output.WriteLine();
        output.WriteLine(GeometricMean is null
            ? "geometric mean: none, because no job has run on both kernels"
            : string.Create(CultureInfo.InvariantCulture, $"geometric mean of {Rows.Count(row => row.IsJudged && row.Ratio is not null)} jobs: {GeometricMean:0.000}"));
        foreach (IGrouping<string, string> jobs in _failures.GroupBy(failure => failure.Value, failure => failure.Key)) output.WriteLine($"FAILED {string.Join(", ", jobs)}\n{jobs.Key}\n");
    }

    public void WriteJson(string file, string[] packages, Func<GuestKernel, string> commandLine)
    {
        using FileStream stream = File.Create(file);
        using var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        writer.WriteStartObject();
        WriteNumber(writer, "geomean", GeometricMean);
        writer.WriteString("mode", _settings.IsTimed ? "timed" : "counted");
        writer.WriteNumber("cpus", _settings.Cpus);
        writer.WriteNumber("pairs", _settings.IsTimed ? _settings.Pairs : 1);
        writer.WriteNumber("scale", _settings.Scale);
        writer.WriteStartArray("debianPackages");
        foreach (string version in packages) writer.WriteStringValue(version);
        writer.WriteEndArray();
        writer.WriteStartObject("commandLines");
        foreach (GuestKernel kernel in _kernels) writer.WriteString(kernel.Name, commandLine(kernel));
        writer.WriteEndObject();
        writer.WriteStartArray("jobs");
        foreach (Row row in Rows)
        {
            writer.WriteStartObject();
            writer.WriteString("name", row.Name);
            writer.WriteNumber("iterations", row.Iterations);
            writer.WriteBoolean("judged", row.IsJudged);
            WriteNumber(writer, "linuxNs", row.LinuxNs);
            if (!_settings.IsTimed) WriteNumber(writer, "linuxMitigationsOffNs", row.LinuxOffNs);
            WriteNumber(writer, "asterinasNs", row.AsterinasNs);
            WriteNumber(writer, "ratio", row.Ratio);
            if (_settings.IsTimed && row.Ratio is not null)
            {
                writer.WriteNumber("leastRatio", row.LeastRatio);
                writer.WriteNumber("mostRatio", row.MostRatio);
            }
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
        writer.WriteStartObject("failures");
        foreach ((string job, string reason) in _failures) writer.WriteString(job, reason);
        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    private Row MakeRow(Job job, bool isJudged, List<Dictionary<KernelRole, GuestResults>> runs)
    {
        double? In(Dictionary<KernelRole, GuestResults> run, KernelRole role) =>
            run.TryGetValue(role, out GuestResults? guest) && guest.Measurements.TryGetValue(job.Name, out Measurement found) ? found.Ns : null;
        double[] Of(KernelRole role) => [.. runs.Select(run => In(run, role)).OfType<double>()];
        Measurement[] all = [.. runs.SelectMany(run => run.Values).Where(guest => guest.Measurements.ContainsKey(job.Name)).Select(guest => guest.Measurements[job.Name])];
        string[] checks = [.. all.Select(measurement => measurement.Check).Distinct()];
        if (checks.Length > 1) _failures[$"all: {job.Name}"] = $"the work was not the same: checks {string.Join(", ", checks)}";
        double[] linux = Of(KernelRole.Linux), off = Of(KernelRole.LinuxWithoutMitigations), asterinas = Of(KernelRole.Asterinas);
        double[] ratios = checks.Length > 1 ? [] : [.. runs.Select(run => In(run, KernelRole.Linux) / In(run, KernelRole.Asterinas)).OfType<double>()];
        return new Row(job.Name, all.Length == 0 ? 0 : all[0].Iterations, isJudged, Median(linux), Median(off), Median(asterinas), Median(ratios), ratios.DefaultIfEmpty().Min(), ratios.DefaultIfEmpty().Max());
    }

    private static double? Median(double[] values)
    {
        if (values.Length == 0) return null;
        double[] sorted = [.. values.Order()];
        int middle = sorted.Length / 2;
        return sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }

    private static void WriteNumber(Utf8JsonWriter writer, string name, double? value)
    {
        if (value is null) writer.WriteNull(name);
        else writer.WriteNumber(name, Math.Round(value.Value, 4));
    }

    private static string Number(double? value) => value is null ? $"{"-",14}" : string.Create(CultureInfo.InvariantCulture, $"{value.Value,14:#,##0}");

    private static string RatioText(double? value) => value is null ? $"{"-",9}" : string.Create(CultureInfo.InvariantCulture, $"{value.Value,9:0.00}");
}
