using System.Threading;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Ipc;

/// <summary>
/// Named pipes (man 7 fifo). The pipe belongs to the inode (<see cref="Inode.Attachment"/>) as long as somebody has it open. One lock guards all attachments: they change only when a
/// FIFO is opened or closed.
/// </summary>
internal static class Fifo
{
    private static readonly SpinLock s_lock = new("fifo");

    /// <summary>Opens an end of the pipe behind a FIFO's inode. ENXIO (O_WRONLY and O_NONBLOCK without a reader), ERESTARTSYS. May block.</summary>
    public static Result<OpenFile> Open(Inode inode, VfsPath path, OpenFlags flags, Thread thread)
    {
        OpenFlags access = flags & OpenFlags.AccessMask;
        bool reads = access != OpenFlags.WriteOnly, writes = access != OpenFlags.ReadOnly, nonBlocking = (flags & OpenFlags.NonBlock) != 0;
        var made = new Pipe();
        Pipe pipe;
        int readerOpens, writerOpens;
        using (SpinLock.Guard guard = s_lock.Lock())
        {
            if (inode.Attachment is not Pipe present) inode.Attachment = present = made;
            pipe = present;
            if (writes && !reads && nonBlocking && pipe.Readers == 0)
            {
                if (pipe.Writers == 0) inode.Attachment = null;
                return Errno.ENXIO;
            }
            readerOpens = pipe.ReaderOpens;
            writerOpens = pipe.WriterOpens;
            if (reads) pipe.AddReader();
            if (writes) pipe.AddWriter();
        }
        var file = new PipeFile(pipe, path, flags, true);
        pipe.Pollee.Notify(PollEvents.None);
        if (reads && writes || nonBlocking) return file;
        Errno waited = reads
            ? pipe.Pollee.Wait((pipe, writerOpens), static state => state.pipe.Writers != 0 || state.pipe.WriterOpens != state.writerOpens)
            : pipe.Pollee.Wait((pipe, readerOpens), static state => state.pipe.Readers != 0 || state.pipe.ReaderOpens != state.readerOpens);
        if (waited == Errno.None) return file;
        file.Release();
        return waited;
    }

    internal static void OnClose(Inode inode, Pipe pipe)
    {
        using SpinLock.Guard guard = s_lock.Lock();
        if (pipe.Readers == 0 && pipe.Writers == 0 && ReferenceEquals(inode.Attachment, pipe)) inode.Attachment = null;
    }
}
