using System.Collections.Generic;
using System.Linq;
using Asterinas.Tests.Kernel;
using NUnit.Framework;

namespace Asterinas.Tests.Boots;

/// <summary>All in-kernel tests as NUnit results, one boot a configuration.</summary>
[TestFixture("PVH", "--smp 1", "cpus=1 probe=expected_value")]
[TestFixture("PVH_4_CPUS", "--smp 4", "cpus=4 probe=expected_value")]
public sealed class KernelTests(string configuration, string options, string commandLine) : KernelBoot(configuration, options, commandLine)
{
    private static IEnumerable<string> Names => KernelTestList.All.Select(test => test.Name);

    [TestCaseSource(nameof(Names))]
    public void InKernel(string name) => Check(name);

    [Test]
    public void Kernel_reports_the_end_marker_with_the_number_of_tests() => CheckEnd(KernelTestList.All.Length);
}

/// <summary>The in-kernel tests without those about several CPUs, from an ISO.</summary>
[TestFixture("ISO_BIOS", "--iso --smp 2", "tests=basic cpus=2 probe=expected_value")]
[TestFixture("ISO_UEFI", "--uefi", "tests=basic cpus=1 probe=expected_value")]
public sealed class IsoTests(string configuration, string options, string commandLine) : KernelBoot(configuration, options, commandLine)
{
    private static IEnumerable<string> Names => KernelTestList.All.Where(test => test.IsIn("basic")).Select(test => test.Name);

    [TestCaseSource(nameof(Names))]
    public void InKernel(string name) => Check(name);

    [Test]
    public void Kernel_reports_the_end_marker_with_the_number_of_tests() => CheckEnd(Names.Count());
}

/// <summary>The in-kernel tests that use devices, behind an IOMMU.</summary>
[TestFixture("IOMMU", "--device intel-iommu,intremap=off")]
public sealed class IommuTests(string configuration, string options) : KernelBoot(configuration, options, "tests=devices")
{
    private static IEnumerable<string> Names => KernelTestList.All.Where(test => test.IsIn("devices")).Select(test => test.Name);

    [TestCaseSource(nameof(Names))]
    public void InKernel(string name) => Check(name);

    [Test]
    public void Kernel_reports_the_end_marker_with_the_number_of_tests() => CheckEnd(Names.Count());
}
