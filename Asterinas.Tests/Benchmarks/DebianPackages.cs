using System.IO;

namespace Asterinas.Tests.Benchmarks;

/// <summary>
/// What is compared with and what both kernels run: Debian's kernel and its busybox, fetched by apt into <c>obj</c> and never committed. Deleting the folder fetches the
/// newest anew.
/// </summary>
/// <param name="Kernel">Path of the kernel.</param>
/// <param name="Busybox">Path of the static busybox.</param>
/// <param name="Versions">Package and version, a line each.</param>
internal sealed record DebianPackages(string Kernel, string Busybox, string[] Versions)
{
    public static DebianPackages Fetch()
    {
        string folder = Path.Combine(BenchmarkProgram.WorkFolder, "debian");
        Shell.Run("bash", Path.Combine(BenchmarkProgram.Folder, "fetch-packages.sh"), folder);
        return new DebianPackages(Path.Combine(folder, "vmlinuz"), Path.Combine(folder, "busybox"), File.ReadAllLines(Path.Combine(folder, "packages")));
    }
}
