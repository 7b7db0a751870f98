using Asterinas.Services.Memory;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Processes;

/// <summary>Where other parts of the kernel take part in the life of a process.</summary>
internal static class ProcessHooks
{
    /// <summary>The last thread ends: timers and other things of the whole process go. The memory is still there.</summary>
    public static void OnExit(Process process) => process.TimersIfAny?.OnExit();

    /// <summary>A new program begins: what exec(2) does not keep goes (timers of timer_create(2)).</summary>
    public static void OnExec(Process process) => process.TimersIfAny?.OnExec();

    /// <summary>Wakes who waits for a futex word that the kernel has changed.</summary>
    public static void WakeFutex(AddressSpace memory, ulong address, int count) => Futex.WakeWord(memory, address, count);

    /// <summary>CLONE_NEWNS: a copy of all mounts.</summary>
    public static Result<MountNamespace> CopyMounts(MountNamespace space, Thread thread) => space.Clone();

    /// <summary>Root and working directory at the same places of a copied mount namespace.</summary>
    public static FileSystemContext CopyFileSystem(FileSystemContext context, MountNamespace space) => context.Copy(space);

    /// <summary>setns(2) into a mount namespace: root and working directory become its root.</summary>
    public static void EnterMounts(Thread thread, MountNamespace space)
    {
        thread.FileSystem.Root = space.RootPath;
        thread.FileSystem.Current = space.RootPath;
    }
}
