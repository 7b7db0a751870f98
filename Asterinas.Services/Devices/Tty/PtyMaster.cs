using System;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Memory;
using Asterinas.Services.Signals;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Devices.Tty;

/// <summary>The master of a pseudo-terminal (man 4 ptmx).</summary>
/// <param name="pty">The pseudo-terminal.</param>
/// <param name="slaves">The mount in which its slave has a node.</param>
/// <param name="path">Where the master was opened.</param>
/// <param name="flags">Of open(2).</param>
internal sealed class PtyMaster(Pty pty, Mount? slaves, VfsPath path, OpenFlags flags) : OpenFile(path, flags)
{
    private const int ChunkBytes = 256;
    private readonly Mutex _readers = new("pty master readers"), _writers = new("pty master writers");

    public override bool IsPollable => true;

    public override Result<long> ReadAt(ref IoSink sink, long position)
    {
        if (sink.Remaining == 0) return 0;
        Span<byte> chunk = stackalloc byte[ChunkBytes];
        while (true)
        {
            using (Mutex.Guard guard = _readers.Lock())
            {
                long done = 0;
                bool isPacket = pty.IsPacketMode;
                while (sink.Remaining > 0 && (done == 0 || !isPacket))
                {
                    int count = pty.TakeOutput(chunk[..(int)Math.Min(chunk.Length, sink.Remaining)]);
                    if (count == 0) break;
                    int copied = sink.Write(chunk[..count]);
                    done += copied;
                    if (copied < count) return done > 0 ? done : Errno.EFAULT;
                }
                if (done > 0) return done;
            }
            if (pty.IsSlaveGone && !pty.HasOutput) return Errno.EIO;
            if (IsNonBlocking) return Errno.EAGAIN;
            Errno waited = pty.MasterPollee.Wait(pty, static pty => pty.HasOutput || pty.IsSlaveGone);
            if (waited != Errno.None) return waited;
        }
    }

    public override Result<long> WriteAt(ref IoSource source, ref long position)
    {
        Span<byte> chunk = stackalloc byte[ChunkBytes];
        long done = 0;
        using Mutex.Guard guard = _writers.TryLockInterruptible(ulong.MaxValue, out Ostd.Sync.WaitResult _);
        if (!guard.IsHeld) return Errno.ERESTARTSYS;
        while (source.Remaining > 0)
        {
            int count = source.Read(chunk[..(int)Math.Min(source.Remaining, chunk.Length)]), sent = 0;
            if (count == 0) return done > 0 ? done : Errno.EFAULT;
            while (sent < count)
            {
                int step = pty.Receive(chunk[sent..count]);
                sent += step;
                done += step;
                if (sent == count) break;
                if (IsNonBlocking) return done > 0 ? done : Errno.EAGAIN;
                Errno waited = pty.MasterPollee.Wait(pty, static pty => pty.HasInputRoom);
                if (waited != Errno.None) return done > 0 ? done : waited;
            }
        }
        return done;
    }

    public override PollEvents Poll(PollObserver? observer)
    {
        if (observer is not null) pty.MasterPollee.Register(observer);
        PollEvents events = PollEvents.None;
        if (pty.HasOutput) events |= PollEvents.In | PollEvents.ReadNormal;
        if (pty.HasChanges) events |= PollEvents.Priority;
        if (pty.HasInputRoom) events |= PollEvents.Out | PollEvents.WriteNormal;
        if (pty.IsSlaveGone) events |= PollEvents.HangUp;
        return events;
    }

    public override Result<long> Control(Thread thread, uint command, ulong argument)
    {
        var address = new UserAddress(argument);
        int value;
        switch (command)
        {
            case TtyCommands.GetPtyNumber: return thread.Memory.Write(address, pty.Number);
            case TtyCommands.GetPtyLock: return thread.Memory.Write(address, pty.IsLocked ? 1 : 0);
            case TtyCommands.LockPty:
                if (thread.Memory.Read(address, out value) != Errno.None) return Errno.EFAULT;
                pty.IsLocked = value != 0;
                return 0;
            case TtyCommands.PacketMode:
                if (thread.Memory.Read(address, out value) != Errno.None) return Errno.EFAULT;
                pty.IsPacketMode = value != 0;
                return 0;
            case TtyCommands.GetPacketMode: return thread.Memory.Write(address, pty.IsPacketMode ? 1 : 0);
            case TtyCommands.SendSignal:
                if (argument is not ((ulong)Signal.SIGINT or (ulong)Signal.SIGQUIT or (ulong)Signal.SIGTSTP)) return Errno.EINVAL;
                pty.SignalForeground((Signal)argument);
                return 0;
            case TtyCommands.OpenPeer: return OpenPeer(thread, (OpenFlags)argument);
            case TtyCommands.InputQueue: return thread.Memory.Write(address, pty.OutputCount);
            case TtyCommands.OutputQueue: return thread.Memory.Write(address, 0);
            case TtyCommands.Flush:
                if (argument > 2) return Errno.EINVAL;
                pty.FlushFromMaster(argument is 0 or 2, argument is 1 or 2);
                return 0;
            case TtyCommands.TakeControl or TtyCommands.GiveUpControl or TtyCommands.SimulateInput: return Errno.ENOTTY;
            // Everything else is about the terminal itself.
            default: return pty.Control(thread, command, argument, true);
        }
    }

    protected override void OnRelease()
    {
        pty.OnMasterClose();
        pty.Registry.Remove(pty.Number);
    }

    private Result<long> OpenPeer(Thread thread, OpenFlags flags)
    {
        Result<VfsPath> path = pty.Registry.FindSlave(pty.Number, slaves);
        if (!path.IsOk) return path.Error;
        Result<OpenFile> opened = TtyFile.Open(pty, path.Value, flags & ~OpenFlags.CloseOnExec, thread);
        if (!opened.IsOk) return opened.Error;
        return Syscalls.PipeSyscalls.Install(thread, opened.Value, (flags & OpenFlags.CloseOnExec) != 0) is >= 0 and var descriptor ? descriptor : Errno.EMFILE;
    }
}
