using System;
using System.Threading;
using Asterinas.Services.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Network.Unix;

/// <summary>Sending and receiving.</summary>
internal sealed partial class UnixSocket
{
    // ---- sending

    public override Result<long> Send(Thread thread, ref IoSource source, scoped ReadOnlySpan<byte> name, Ancillary? ancillary, MessageFlags flags)
    {
        if ((flags & MessageFlags.OutOfBand) != 0) return Errno.EOPNOTSUPP;
        int error = Interlocked.Exchange(ref _error, 0);
        if (error != 0 && !IsDatagram && (Errno)error != Errno.ECONNRESET) return (Errno)error;
        UnixSocket? peer;
        using (SpinLock.Guard guard = s_topology.Lock())
        {
            peer = _peer;
            if (!IsDatagram)
            {
                if (!name.IsEmpty && Type == SocketType.Stream) return _state == State.Connected ? Errno.EISCONN : Errno.EOPNOTSUPP;
                if (_state is State.Unconnected or State.Listening) return Errno.ENOTCONN;
            }
        }
        if (IsDatagram && !name.IsEmpty)
        {
            Errno checkedName = UnixName.Check(name);
            if (checkedName != Errno.None) return checkedName;
            Result<UnixSocket> found = UnixName.Find(thread, name);
            if (!found.IsOk) return found.Error;
            peer = found.Value;
            if (peer.Type != Type) return Errno.EPROTOTYPE;
        }
        if (Volatile.Read(ref _cannotSend)) return Errno.EPIPE;
        if (peer is null) return IsDatagram ? Errno.ENOTCONN : Errno.EPIPE;
        bool nonBlocking = IsNonBlocking || (flags & MessageFlags.DontWait) != 0;
        return Type == SocketType.Stream ? SendStream(thread, peer, ref source, ancillary, nonBlocking) : SendWhole(thread, peer, ref source, ancillary, nonBlocking);
    }

    private Result<long> SendStream(Thread thread, UnixSocket peer, ref IoSource source, Ancillary? ancillary, bool nonBlocking)
    {
        long done = 0;
        while (source.Remaining > 0)
        {
            // Half the buffer at most, so that reader and writer can overlap.
            int piece = (int)Math.Min(source.Remaining, Math.Min(MostPiece, Math.Max(SendBuffer / 2, 1)));
            Errno room = WaitForRoom(peer, nonBlocking);
            if (room != Errno.None) return done > 0 ? done : room;
            var bytes = new byte[piece];
            int count = source.Read(bytes);
            if (count == 0) return done > 0 ? done : Errno.EFAULT;
            if (count < piece) Array.Resize(ref bytes, count);
            // What goes with the bytes goes with the first of them.
            Errno delivered = peer.Deliver(new UnixMessage(bytes, Complete(thread, done == 0 ? ancillary : null), this, null));
            if (delivered != Errno.None) return done > 0 ? done : Errno.EPIPE;
            done += count;
        }
        return done;
    }

    private Result<long> SendWhole(Thread thread, UnixSocket peer, ref IoSource source, Ancillary? ancillary, bool nonBlocking)
    {
        if (source.Remaining > SendBuffer - 32) return Errno.EMSGSIZE;
        var bytes = new byte[source.Remaining];
        if (source.Read(bytes) != bytes.Length) return Errno.EFAULT;
        Errno room = WaitForRoom(peer, nonBlocking);
        if (room != Errno.None) return room;
        if (PassesCredentials && IsDatagram && UnixName.IsUnnamed(_name)) Bind(thread, UnixName.Unnamed);
        byte[]? name = UnixName.IsUnnamed(_name) ? null : _name;
        Errno delivered = peer.Deliver(new UnixMessage(bytes, Complete(thread, ancillary), this, name));
        return delivered == Errno.None ? bytes.Length : delivered;
    }

    private static Ancillary Complete(Thread thread, Ancillary? given)
    {
        Ancillary ancillary = given ?? new Ancillary();
        if (ancillary.HasCredentials) return ancillary;
        ancillary.Pid = thread.Process.Pid;
        ancillary.Uid = thread.Credentials.Uid;
        ancillary.Gid = thread.Credentials.Gid;
        return ancillary;
    }

    // Puts a message at the end of the queue; EPIPE or ECONNREFUSED when nobody will read it.
    private Errno Deliver(UnixMessage message)
    {
        using (SpinLock.Guard guard = s_topology.Lock())
        {
            if (_isClosed) return IsDatagram ? Errno.ECONNREFUSED : Errno.EPIPE;
            if (_cannotReceive) return Errno.EPIPE;
            using SpinLock.Guard inner = _lock.Lock();
            _queue.Add(message);
        }
        _pollee.Notify(PollEvents.In | PollEvents.ReadNormal);
        return Errno.None;
    }

    private bool HasRoomFor(UnixSocket sender)
    {
        using SpinLock.Guard guard = _lock.Lock();
        return _queue.Bytes < sender.SendBuffer && (!IsDatagram || _queue.Count <= MostQueuedDatagrams);
    }

    private bool WillNeverReceive => Volatile.Read(ref _isClosed) || Volatile.Read(ref _cannotReceive);

    private Errno WaitForRoom(UnixSocket peer, bool nonBlocking)
    {
        while (true)
        {
            if (Volatile.Read(ref _cannotSend)) return Errno.EPIPE;
            if (peer.WillNeverReceive) return IsDatagram && Volatile.Read(ref peer._isClosed) ? Errno.ECONNREFUSED : Errno.EPIPE;
            if (peer.HasRoomFor(this)) return Errno.None;
            if (nonBlocking) return Errno.EAGAIN;
            // A datagram socket has many senders: they wait at the receiver.
            Errno waited = (IsDatagram ? peer : this)._pollee.Wait((this, peer), static pair => pair.peer.HasRoomFor(pair.Item1) || pair.peer.WillNeverReceive || Volatile.Read(ref pair.Item1._cannotSend), SendTimeoutNs);
            if (waited != Errno.None) return waited == Errno.ETIMEDOUT ? Errno.EAGAIN : waited;
        }
    }

    // ---- receiving

    public override Result<long> Receive(Thread thread, ref IoSink sink, MessageFlags flags, ref ReceivedMessage message)
    {
        if ((flags & MessageFlags.OutOfBand) != 0) return Errno.EOPNOTSUPP;
        using (SpinLock.Guard guard = s_topology.Lock())
        {
            if (!IsDatagram && _state == State.Listening) return Errno.EINVAL;
            if (!IsDatagram && _state == State.Unconnected) return Type == SocketType.Stream ? Errno.EINVAL : Errno.ENOTCONN;
        }
        bool nonBlocking = IsNonBlocking || (flags & MessageFlags.DontWait) != 0;
        while (true)
        {
            Result<long> result;
            using (Mutex.Guard guard = _receivers.TryLockInterruptible(ulong.MaxValue, out Ostd.Sync.WaitResult _))
            {
                if (!guard.IsHeld) return Errno.ERESTARTSYS;
                result = Type == SocketType.Stream ? ReceiveStream(thread, ref sink, flags, nonBlocking, ref message) : ReceiveWhole(thread, ref sink, flags, ref message);
            }
            if (result.Error != Errno.EAGAIN) return result;
            int error = Interlocked.Exchange(ref _error, 0);
            if (error != 0) return (Errno)error;
            if (Volatile.Read(ref _cannotReceive)) return 0;
            if (nonBlocking) return Errno.EAGAIN;
            Errno waited = WaitForMessage();
            if (waited != Errno.None) return waited;
        }
    }

    private Errno WaitForMessage()
    {
        Errno waited = _pollee.Wait(this, static socket => socket.HasMessage || Volatile.Read(ref socket._cannotReceive) || Volatile.Read(ref socket._error) != 0, ReceiveTimeoutNs);
        return waited == Errno.ETIMEDOUT ? Errno.EAGAIN : waited;
    }

    private bool HasMessage
    {
        get { using SpinLock.Guard guard = _lock.Lock(); return _queue.Count > 0; }
    }

    private UnixMessage? First
    {
        get { using SpinLock.Guard guard = _lock.Lock(); return _queue.First; }
    }

    // As many bytes as there are; with files or other credentials a new answer begins. EAGAIN when there is nothing.
    private Result<long> ReceiveStream(Thread thread, ref IoSink sink, MessageFlags flags, bool nonBlocking, ref ReceivedMessage message)
    {
        if (sink.Remaining == 0) return 0;
        long done = 0;
        bool isPeek = (flags & MessageFlags.Peek) != 0, waitsForAll = (flags & MessageFlags.WaitAll) != 0 && !isPeek;
        Ancillary? source = null;
        while (sink.Remaining > 0)
        {
            if (First is not { } first)
            {
                if (done > 0 && !waitsForAll) return done;
                if (done == 0) return Errno.EAGAIN;
                if (nonBlocking || Volatile.Read(ref _cannotReceive) || Volatile.Read(ref _error) != 0) return done;
                if (WaitForMessage() != Errno.None) return done;
                continue;
            }
            // Bytes of different senders are not glued together. What has files with it may be the end of an answer, which ends there.
            if (source is not null && PassesCredentials && !IsSameSender(source, first.Ancillary)) return done;
            int count = (int)Math.Min(first.Length, sink.Remaining);
            int copied = sink.Write(first.Bytes.AsSpan(first.Start, count));
            if (copied == 0) return done > 0 ? done : Errno.EFAULT;
            if (source is null || first.Ancillary.Files is not null) Describe(thread, first, isPeek, ref message);
            source = first.Ancillary;
            done += copied;
            if (isPeek) return done;
            Take(first, copied, false);
            if (copied < count || message.Files is not null) return done;
        }
        return done;
    }

    // One message; what has no room of it is lost. EAGAIN when there is none.
    private Result<long> ReceiveWhole(Thread thread, ref IoSink sink, MessageFlags flags, ref ReceivedMessage message)
    {
        if (First is not { } first) return Errno.EAGAIN;
        bool isPeek = (flags & MessageFlags.Peek) != 0;
        int length = first.Length, count = (int)Math.Min(length, sink.Remaining);
        if (sink.Write(first.Bytes.AsSpan(first.Start, count)) != count) return Errno.EFAULT;
        if (count < length) message.Flags |= MessageFlags.Truncated;
        if (Type == SocketType.SequencedPacket) message.Flags |= MessageFlags.EndOfRecord;
        Describe(thread, first, isPeek, ref message);
        if (!isPeek) Take(first, 0, true);
        return (flags & MessageFlags.Truncated) != 0 ? length : count;
    }

    private static bool IsSameSender(Ancillary a, Ancillary b) => ReferenceEquals(a.Pid, b.Pid) && a.ForgedPid == b.ForgedPid && a.Uid == b.Uid && a.Gid == b.Gid;

    private void Take(UnixMessage message, int count, bool whole)
    {
        using (SpinLock.Guard guard = _lock.Lock()) _queue.Take(count, whole);
        message.Sender._pollee.Notify(PollEvents.Out | PollEvents.WriteNormal);
        if (IsDatagram) _pollee.Notify(PollEvents.Out | PollEvents.WriteNormal);
    }

    private void Describe(Thread thread, UnixMessage first, bool isPeek, ref ReceivedMessage message)
    {
        message.Name = first.Name;
        Ancillary ancillary = first.Ancillary;
        if (ancillary.Files is { } files)
        {
            // A peek hands out references of its own; a receive takes those of the message.
            if (isPeek)
            {
                foreach (OpenFile file in files) file.AddReference();
            }
            else
            {
                ancillary.Files = null;
            }
            message.Files = files;
        }
        if (!PassesCredentials) return;
        message.HasCredentials = true;
        message.Pid = ancillary.Pid?.NumberIn(thread.Namespaces.Pid) ?? ancillary.ForgedPid;
        message.Uid = ancillary.Uid;
        message.Gid = ancillary.Gid;
    }
}
