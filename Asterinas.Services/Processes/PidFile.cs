using System.Globalization;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Processes;

/// <summary>A process as a file (man 2 pidfd_open): readable when it has ended.</summary>
internal sealed class PidFile : OpenFile
{
    private PidFile(VfsPath path, Process process, OpenFlags flags) : base(path, flags) => Process = process;

    /// <summary>Whom it names, also after its end.</summary>
    public Process Process { get; }

    public override bool IsPollable => true;
    public override string AnonymousName => "anon_inode:[pidfd]";

    /// <summary>Gives the caller a descriptor for a process, close-on-exec. EMFILE.</summary>
    public static Result<int> Install(Thread thread, Process process, out OpenFile? file, bool isNonBlocking = false)
    {
        file = new PidFile(new VfsPath(null, Ipc.AnonymousFileSystem.Files.Shared), process, OpenFlags.ReadWrite | (isNonBlocking ? OpenFlags.NonBlock : 0));
        Result<int> added = thread.Files.Add(file, true, thread.Process.Limits.Soft(Resource.OpenFiles));
        if (!added.IsOk)
        {
            file.Release();
            file = null;
        }
        return added;
    }

    public override PollEvents Poll(PollObserver? observer)
    {
        if (observer is not null) Process.ExitPollee.Register(observer);
        return Process.IsZombie ? PollEvents.In | PollEvents.ReadNormal : PollEvents.None;
    }

    public override string DescribeForProc()
    {
        int number = Process.IsReaped ? -1 : Thread.Current is { } reader ? Process.NumberFor(reader) : Process.Pid.Number;
        return string.Create(CultureInfo.InvariantCulture, $"Pid:\t{number}\nNSpid:\t{number}\n");
    }
}
