using System.Runtime.CompilerServices;
using System.Threading;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.FileSystems.ProcFs;

/// <summary>/proc/PID/ns: a namespace as a file (man 7 namespaces). Each namespace object has an inode number of its own, the same wherever it is shown.</summary>
internal static class NamespaceFiles
{
    private const ulong FirstNumber = 4026531840;
    private static readonly ConditionalWeakTable<object, StrongBox<ulong>> s_numbers = [];
    private static long s_last;

    /// <summary>kind:[number].</summary>
    public static string Describe(string kind, object space) => SystemFiles.Format($"{kind}:[{NumberOf(space)}]");

    /// <summary>What following the link leads to: setns(2) by file comes with the file system of namespaces; until then ENXIO.</summary>
    public static Result<VfsPath> Open(string kind, object? space) => space is null ? Errno.ESRCH : Errno.ENXIO;

    private static ulong NumberOf(object space) => s_numbers.GetValue(space, static _ => new StrongBox<ulong>(FirstNumber + (ulong)Interlocked.Increment(ref s_last))).Value;
}
