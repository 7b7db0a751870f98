using System;
using System.Collections.Generic;
using System.Linq;

namespace Asterinas.Tests.Benchmarks;

/// <summary>All runs of a comparison: counted, each kernel once; timed, kernel after kernel, pair by pair.</summary>
internal sealed class Campaign(Settings settings, GuestKernel[] kernels, Job[] jobs, string program, string busybox)
{
    public string CommandLine(GuestKernel kernel) => Guest.CommandLine(settings, kernel);

    /// <summary>Runs everything: one element a round.</summary>
    public List<Dictionary<KernelRole, GuestResults>> Run()
    {
        int rounds = settings.IsTimed ? settings.Pairs : 1;
        var progress = new Progress(settings, rounds, kernels, jobs);
        var runs = new List<Dictionary<KernelRole, GuestResults>>();
        for (int round = 0; round < rounds; round++)
        {
            var results = new Dictionary<KernelRole, GuestResults>();
            foreach (GuestKernel kernel in kernels)
            {
                var guest = new Guest(settings, kernel, program, busybox, (job, seconds) => progress.OnDone(kernel, job, seconds));
                progress.OnStart(kernel, round);
                guest.Run(jobs);
                results.Add(kernel.Role, guest.Results);
            }
            runs.Add(results);
        }
        progress.Save();
        return runs;
    }
}
