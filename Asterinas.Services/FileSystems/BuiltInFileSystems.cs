using Asterinas.Services.FileSystems.ProcFs;
using Asterinas.Services.FileSystems.SysFs;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.FileSystems;

/// <summary>The file systems that the kernel has.</summary>
internal static class BuiltInFileSystems
{
    private static readonly SysFileSystem s_sys = new();

    public static void Initialize()
    {
        FileSystemRegistry.Register(new FileSystemType("sysfs", false, static (_, _, _) => s_sys));
        FileSystemRegistry.Register(new FileSystemType("tmpfs", false, static (_, source, options) => Upcast(TmpFs.TmpFs.Create(options, "tmpfs", source))));
        FileSystemRegistry.Register(new FileSystemType("ramfs", false, static (_, source, options) => Upcast(TmpFs.TmpFs.Create(options, "ramfs", source))));
        FileSystemRegistry.Register(new FileSystemType("devpts", false, static (_, source, options) => DevPts.DevPtsFileSystem.Create(options, source)));
        FileSystemRegistry.Register(new FileSystemType("devtmpfs", false, static (_, _, _) => DevTmpFs.DevTmpFs.Instance));
        FileSystemRegistry.Register(new FileSystemType("proc", false, static (thread, source, _) => new ProcFileSystem(thread.Namespaces.PidForChildren) { Source = source }));
    }

    private static Result<FileSystem> Upcast(Result<TmpFs.TmpFs> made) => made.IsOk ? made.Value : made.Error;
}
