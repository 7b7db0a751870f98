using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using ScottPlot;

namespace Asterinas.Tests.Benchmarks;

/// <summary>The ratios as a bar chart: one bar a job, 1.0 marked.</summary>
internal static class Chart
{
    private const int PixelsPerJob = 22, Margins = 120, Width = 900;

    public static void Write(string file, Report report)
    {
        Row[] rows = [.. report.Rows.Where(row => row.Ratio is not null).Reverse()];
        if (rows.Length == 0) throw new BenchmarkException("--plot: no job has run on both kernels");
        var plot = new Plot();
        var bars = new List<Bar>();
        for (int i = 0; i < rows.Length; i++)
        {
            double ratio = rows[i].Ratio!.Value;
            bars.Add(new Bar
            {
                Position = i,
                Value = ratio,
                FillColor = !rows[i].IsJudged ? Colors.Gray : ratio >= 1 ? Colors.SeaGreen : Colors.IndianRed,
                LineWidth = 0,
                Label = ratio.ToString("0.00", CultureInfo.InvariantCulture),
                Orientation = Orientation.Horizontal,
            });
        }
        plot.Add.Bars(bars).Horizontal = true;
        plot.Add.VerticalLine(1, 2, Colors.Black);
        plot.Axes.Left.SetTicks([.. rows.Select((_, i) => (double)i)], [.. rows.Select(row => row.Name)]);
        // The scale is that of the judged jobs: a far larger ratio of boot would flatten the others.
        double most = rows.Where(row => row.IsJudged).Select(row => row.Ratio!.Value).DefaultIfEmpty(1).Max();
        plot.Axes.SetLimits(0, Math.Max(most, 1) * 1.15, -0.8, rows.Length - 0.2);
        plot.HideGrid();
        string mean = report.GeometricMean is null ? "" : string.Create(CultureInfo.InvariantCulture, $", geometric mean {report.GeometricMean:0.00}");
        plot.Title($"Linux / Asterinas, {(report.IsTimed ? "timed" : "counted")}{mean} (above 1: Asterinas is faster; grey: not judged)", size: 14);
        plot.SavePng(file, Width, Margins + PixelsPerJob * rows.Length);
    }
}
