using System.Collections.Generic;
using System.Linq;
using Asterinas.Tests.Kernel;
using NUnit.Framework;

namespace Asterinas.Tests.Boots;

/// <summary>All in-kernel tests as NUnit results, one boot a configuration.</summary>
[TestFixture("PVH", "")]
[TestFixture("ISO_BIOS", "--iso")]
[TestFixture("ISO_UEFI", "--uefi")]
public sealed class KernelTests(string configuration, string options) : KernelBoot(configuration, options, "probe=expected_value")
{
    private static IEnumerable<string> Names => KernelTestList.All.Select(test => test.Name);

    [TestCaseSource(nameof(Names))]
    public void InKernel(string name) => Check(name);

    [Test]
    public void Kernel_reports_the_end_marker_with_the_number_of_tests() => CheckEnd(KernelTestList.All.Length);
}

/// <summary>The in-kernel tests that use devices, behind an IOMMU.</summary>
[TestFixture("IOMMU", "--device intel-iommu,intremap=off")]
public sealed class IommuTests(string configuration, string options) : KernelBoot(configuration, options, "tests=devices")
{
    private static IEnumerable<string> Names => KernelTestList.All.Where(test => test.UsesDevices).Select(test => test.Name);

    [TestCaseSource(nameof(Names))]
    public void InKernel(string name) => Check(name);

    [Test]
    public void Kernel_reports_the_end_marker_with_the_number_of_tests() => CheckEnd(Names.Count());
}
