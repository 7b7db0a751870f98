using Asterinas.Services.Vfs;

namespace Asterinas.Services.Ipc;

/// <summary>Named pipes (man 7 fifo). The pipe belongs to the inode (<see cref="Inode.Attachment"/>) as long as somebody has it open.</summary>
internal static class Fifo
{
    /// <summary>Opens an end of the pipe behind a FIFO's inode. ENXIO (O_WRONLY and O_NONBLOCK without a reader), ERESTARTSYS. May block.</summary>
    public static Result<OpenFile> Open(Inode inode, VfsPath path, OpenFlags flags, Thread thread) => Errno.ENXIO;
}
