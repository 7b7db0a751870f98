using System;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Signals;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Ipc;

/// <summary>An open end of a pipe, or of a FIFO, which may be both ends.</summary>
internal sealed class PipeFile : OpenFile, IPipeEnd
{
    private const uint BytesToRead = 0x541B;
    private readonly Pipe _pipe;
    private readonly int _writersAtOpen;
    private readonly bool _isFifo;

    /// <summary>Wraps an end that was counted already.</summary>
    internal PipeFile(Pipe pipe, VfsPath path, OpenFlags flags, bool isFifo) : base(path, flags)
    {
        _pipe = pipe;
        _isFifo = isFifo;
        _writersAtOpen = pipe.WriterOpens;
    }

    /// <summary>pipe2(2): the end to read from and the end to write to.</summary>
    public static (PipeFile Read, PipeFile Write) CreatePair(Thread thread, OpenFlags flags)
    {
        var pipe = new Pipe();
        VfsPath path = AnonymousFileSystem.Pipes.Create(InodeType.Fifo, 0x180, thread, "pipe");
        // /proc/PID/fd/N opens further ends of it, as of a FIFO.
        path.Inode.Attachment = pipe;
        pipe.AddReader();
        pipe.AddWriter();
        flags &= OpenFlags.NonBlock | OpenFlags.Direct;
        return (new PipeFile(pipe, path, flags & ~OpenFlags.Direct, false), new PipeFile(pipe, path, flags | OpenFlags.WriteOnly, false));
    }

    public object Pipe => _pipe;

    public override bool IsPollable => true;

    public override string? AnonymousName => Path.Mount is not null ? null : $"pipe:[{Inode.Number}]";

    public override Result<long> ReadAt(ref IoSink sink, long position)
    {
        Result<long> done = _pipe.Read(ref sink, IsNonBlocking);
        if (done.IsOk && done.Value > 0) Inode.TouchAccess();
        return done;
    }

    public override Result<long> WriteAt(ref IoSource source, ref long position)
    {
        Result<long> done = _pipe.Write(ref source, IsNonBlocking, (Flags & OpenFlags.Direct) != 0);
        if (done.Error == Errno.EPIPE) SendBrokenPipe(Thread.Current);
        if (done.IsOk && done.Value > 0) Inode.TouchModify();
        return done;
    }

    /// <summary>SIGPIPE for a thread that wrote to what nobody reads.</summary>
    public static void SendBrokenPipe(Thread? thread)
    {
        if (thread is null) return;
        thread.Process.Send(new SignalInfo(Signal.SIGPIPE, SignalInfo.User) { Pid = thread.Process.Pid.Number, Uid = thread.Credentials.Uid });
    }

    public override PollEvents Poll(PollObserver? observer)
    {
        if (observer is not null) _pipe.Pollee.Register(observer);
        PollEvents events = PollEvents.None;
        if (IsReadable)
        {
            // One that has never had a writer is not hung up (a FIFO opened with O_NONBLOCK).
            if (_pipe.Writers == 0 && (!_isFifo || _writersAtOpen != _pipe.WriterOpens)) events |= PollEvents.HangUp;
            if (!_pipe.IsEmpty) events |= PollEvents.In | PollEvents.ReadNormal;
        }
        if (IsWritable)
        {
            if (!_pipe.IsFull) events |= PollEvents.Out | PollEvents.WriteNormal;
            if (_pipe.Readers == 0) events |= PollEvents.Error;
        }
        return events;
    }

    public override Result<long> Control(Thread thread, uint command, ulong argument)
    {
        if (command != BytesToRead) return Errno.ENOTTY;
        return thread.Memory.Write(new UserAddress(argument), (int)Math.Min(_pipe.Bytes, int.MaxValue));
    }

    /// <summary>F_SETPIPE_SZ, F_GETPIPE_SZ.</summary>
    public override Result<long> ControlDescriptor(Thread thread, int command, ulong argument)
    {
        const int GetSize = 1032;
        if (command == GetSize) return Capacity;
        Result<int> size = SetCapacity(thread, (uint)argument);
        return size.IsOk ? size.Value : size.Error;
    }

    /// <summary>F_GETPIPE_SZ.</summary>
    public int Capacity => _pipe.Capacity;

    /// <summary>F_SETPIPE_SZ. EINVAL, EPERM, EBUSY. May block.</summary>
    public Result<int> SetCapacity(Thread thread, uint bytes) => _pipe.SetCapacity(bytes, thread.Credentials.Has(Capability.SysResource));

    // ---- splicing

    public Result<long> WaitForData(bool nonBlocking) => _pipe.WaitForData(nonBlocking);

    public Result<long> WaitForRoom(bool nonBlocking) => _pipe.WaitForRoom(nonBlocking);

    public Mutex.Guard LockForReading() => _pipe.Lock();

    public int Peek(Span<byte> destination) => _pipe.Peek(destination);

    public void Discard(int count) => _pipe.Discard(count);

    public Result<long> WriteSome(ref IoSource source, bool nonBlocking) => _pipe.Write(ref source, nonBlocking, false);

    protected override void OnRelease()
    {
        if (IsReadable) _pipe.RemoveReader();
        if (IsWritable) _pipe.RemoveWriter();
        Fifo.OnClose(Inode, _pipe);
    }
}
