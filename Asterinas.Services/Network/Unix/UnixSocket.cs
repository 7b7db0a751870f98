using System;
using System.Collections.Generic;
using System.Threading;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Network.Unix;

/// <summary>
/// A local socket (man 7 unix).
/// <code>
///   stream, seqpacket:   Unconnected ──listen──► Listening
///                            └─────connect, accept, socketpair──► Connected ──peer closes──► Cut
///   datagram:            a peer is only where send(2) goes to by default
///
///   operation                                    lock
///   state, peers, accept queues of all sockets   s_topology, spinning
///   what waits at a socket                       its _lock, spinning
///   receiving                                    its _receivers (blocks, since copying to a program may): one at a time
/// </code>
/// LOCK ORDER: _receivers, s_topology, _lock. Waiters are told without locks.
/// </summary>
internal sealed partial class UnixSocket : SocketFile
{
    private const int MostQueuedDatagrams = 10;        // net.unix.max_dgram_qlen
    private const int MostBacklog = 4096;               // net.core.somaxconn
    private const int MostPiece = 32768;
    private const uint BytesToRead = 0x541B, BytesSent = 0x5411;

    private enum State
    {
        Unconnected,
        Listening,
        Connected,
        Cut,
    }

    private static readonly SpinLock s_topology = new("unix topology");

    private readonly Mutex _receivers = new("unix receivers");
    private readonly SpinLock _lock = new("unix socket");
    private readonly UnixQueue _queue = new();
    private readonly Pollee _pollee = new();
    private readonly NetworkNamespace _network;

    // Under s_topology.
    private State _state;
    private UnixSocket? _peer;
    private Queue<UnixSocket>? _pending;
    private int _backlog;
    private byte[] _name = UnixName.Unnamed;
    private bool _isClosed;
    private PeerCredentials _own, _peerCredentials;

    // Read without a lock.
    private bool _cannotReceive, _cannotSend;
    private int _error;

    private readonly record struct PeerCredentials(Pid? Pid, uint Uid, uint Gid);

    /// <summary>The file that it is bound to; null for none.</summary>
    public Inode? BoundInode;

    public UnixSocket(SocketType type, Thread thread, OpenFlags flags) : base(type, thread, flags)
    {
        _network = thread.Namespaces.Network;
        _own = CredentialsOf(thread);
    }

    /// <summary>socketpair(2).</summary>
    public static (UnixSocket, UnixSocket) CreatePair(SocketType type, Thread thread, OpenFlags flags)
    {
        var a = new UnixSocket(type, thread, flags);
        var b = new UnixSocket(type, thread, flags);
        a._peer = b;
        b._peer = a;
        a._state = b._state = State.Connected;
        a._peerCredentials = b._peerCredentials = CredentialsOf(thread);
        return (a, b);
    }

    public override int Family => UnixName.Family;
    public override bool IsListening => _state == State.Listening;
    private bool IsDatagram => Type == SocketType.Datagram;

    private static PeerCredentials CredentialsOf(Thread thread) => new(thread.Process.Pid, thread.Credentials.EffectiveUid, thread.Credentials.EffectiveGid);

    // ---- names and connections

    public override Errno Bind(Thread thread, scoped ReadOnlySpan<byte> name)
    {
        Errno error = UnixName.Check(name);
        if (error != Errno.None) return error;
        using (SpinLock.Guard guard = s_topology.Lock())
        {
            if (!UnixName.IsUnnamed(_name)) return UnixName.IsUnnamed(name) ? Errno.None : Errno.EINVAL;
        }
        Result<byte[]> bound = UnixName.Bind(thread, this, name);
        if (!bound.IsOk) return bound.Error;
        using (SpinLock.Guard guard = s_topology.Lock()) _name = bound.Value;
        return Errno.None;
    }

    public override Errno Listen(Thread thread, int backlog)
    {
        if (IsDatagram) return Errno.EOPNOTSUPP;
        var pending = new Queue<UnixSocket>();
        using (SpinLock.Guard guard = s_topology.Lock())
        {
            if (UnixName.IsUnnamed(_name) || _state is not (State.Unconnected or State.Listening)) return Errno.EINVAL;
            _state = State.Listening;
            _pending ??= pending;
            _backlog = (uint)backlog > MostBacklog ? MostBacklog : backlog;
            _own = CredentialsOf(thread);
        }
        _pollee.Notify(PollEvents.Out);
        return Errno.None;
    }

    public override Errno Connect(Thread thread, scoped ReadOnlySpan<byte> name)
    {
        if (IsDatagram && name.Length >= 2 && name[0] == 0 && name[1] == 0)
        {
            // AF_UNSPEC dissolves the association.
            using SpinLock.Guard guard = s_topology.Lock();
            _peer = null;
            _state = State.Unconnected;
            return Errno.None;
        }
        Errno error = UnixName.Check(name);
        if (error != Errno.None) return error;
        // With SO_PASSCRED a sender has a name (man 7 unix, "Autobind feature").
        if (PassesCredentials && UnixName.IsUnnamed(_name)) Bind(thread, UnixName.Unnamed);
        UnixSocket? server = IsDatagram ? null : new UnixSocket(Type, thread, OpenFlags.ReadOnly);
        error = Connect(thread, name, server);
        if (error != Errno.None) server?.Release();
        return error;
    }

    private Errno Connect(Thread thread, ReadOnlySpan<byte> name, UnixSocket? server)
    {
        while (true)
        {
            Result<UnixSocket> found = UnixName.Find(thread, name);
            if (!found.IsOk) return found.Error;
            UnixSocket other = found.Value;
            using (SpinLock.Guard guard = s_topology.Lock())
            {
                if (other._isClosed) return Errno.ECONNREFUSED;
                if (other.Type != Type) return Errno.EPROTOTYPE;
                if (server is null)
                {
                    if (other._peer is not null && !ReferenceEquals(other._peer, this)) return Errno.EPERM;
                    _peer = other;
                    _state = State.Connected;
                    break;
                }
                if (_state == State.Connected || _state == State.Cut) return Errno.EISCONN;
                if (_state == State.Listening) return Errno.EINVAL;
                if (other._state != State.Listening || other._cannotReceive) return Errno.ECONNREFUSED;
                if (other._pending!.Count <= other._backlog)
                {
                    server._peer = this;
                    server._state = State.Connected;
                    server._name = other._name;
                    server._peerCredentials = CredentialsOf(thread);
                    _peer = server;
                    _state = State.Connected;
                    _peerCredentials = other._own;
                    other._pending.Enqueue(server);
                    break;
                }
            }
            if (IsNonBlocking) return Errno.EAGAIN;
            Errno waited = other._pollee.Wait(other, static other => other.HasBacklogRoom, SendTimeoutNs);
            if (waited != Errno.None) return waited == Errno.ETIMEDOUT ? Errno.EAGAIN : waited;
        }
        if (server is not null && UnixName.Find(thread, name) is { IsOk: true } listener) listener.Value._pollee.Notify(PollEvents.In | PollEvents.ReadNormal);
        _pollee.Notify(PollEvents.Out | PollEvents.WriteNormal);
        return Errno.None;
    }

    private bool HasBacklogRoom
    {
        get { using SpinLock.Guard guard = s_topology.Lock(); return _state != State.Listening || _isClosed || _cannotReceive || _pending!.Count <= _backlog; }
    }

    private bool HasPending
    {
        get { using SpinLock.Guard guard = s_topology.Lock(); return _pending is { Count: > 0 } || _cannotReceive; }
    }

    public override Result<SocketFile> Accept(Thread thread, OpenFlags flags)
    {
        if (IsDatagram) return Errno.EOPNOTSUPP;
        while (true)
        {
            UnixSocket? socket;
            using (SpinLock.Guard guard = s_topology.Lock())
            {
                if (_state != State.Listening || (_cannotReceive && _pending!.Count == 0)) return Errno.EINVAL;
                _pending!.TryDequeue(out socket);
            }
            if (socket is not null)
            {
                _pollee.Notify(PollEvents.None);
                socket.ChangeFlags(OpenFlags.NonBlock, flags);
                return socket;
            }
            if (IsNonBlocking) return Errno.EAGAIN;
            Errno waited = _pollee.Wait(this, static socket => socket.HasPending, ReceiveTimeoutNs);
            if (waited != Errno.None) return waited == Errno.ETIMEDOUT ? Errno.EAGAIN : waited;
        }
    }

    public override Result<byte[]> GetName(bool ofPeer)
    {
        using SpinLock.Guard guard = s_topology.Lock();
        if (!ofPeer) return _name;
        return _peer is null || _state == State.Listening ? Errno.ENOTCONN : _peer._name;
    }

    public override Errno Shutdown(bool reading, bool writing)
    {
        UnixSocket? peer;
        using (SpinLock.Guard guard = s_topology.Lock())
        {
            if (!IsDatagram && _state == State.Unconnected) return Errno.ENOTCONN;
            if (reading) Volatile.Write(ref _cannotReceive, true);
            if (writing) Volatile.Write(ref _cannotSend, true);
            peer = IsDatagram ? null : _peer;
            if (peer is not null)
            {
                if (reading) Volatile.Write(ref peer._cannotSend, true);
                if (writing) Volatile.Write(ref peer._cannotReceive, true);
            }
        }
        NotifyAll();
        peer?.NotifyAll();
        return Errno.None;
    }

    private void NotifyAll() => _pollee.Notify(PollEvents.In | PollEvents.ReadNormal | PollEvents.Out | PollEvents.WriteNormal | PollEvents.HangUp | PollEvents.ReadHangUp | PollEvents.Error);

    protected override void OnRelease()
    {
        UnixSocket? peer;
        UnixSocket[] pending = [];
        using (SpinLock.Guard guard = s_topology.Lock())
        {
            _isClosed = true;
            peer = _peer;
            _peer = null;
            if (_pending is not null) pending = [.. _pending];
            _pending?.Clear();
        }
        UnixName.Unbind(_network, this, _name);
        UnixMessage[] unread;
        using (SpinLock.Guard guard = _lock.Lock()) unread = _queue.TakeAll();
        if (peer is not null && !IsDatagram)
        {
            using (SpinLock.Guard guard = s_topology.Lock())
            {
                if (peer._state == State.Connected) peer._state = State.Cut;
            }
            // Bytes that were never read are lost: that is an error for whoever sent them.
            if (unread.Length > 0) Volatile.Write(ref peer._error, (int)Errno.ECONNRESET);
            Volatile.Write(ref peer._cannotReceive, true);
            Volatile.Write(ref peer._cannotSend, true);
        }
        peer?.NotifyAll();
        foreach (UnixMessage message in unread)
        {
            message.Ancillary.Release();
            message.Sender._pollee.Notify(PollEvents.Out | PollEvents.WriteNormal);
        }
        foreach (UnixSocket socket in pending)
        {
            if (socket._peer is { } client) Volatile.Write(ref client._error, (int)Errno.ECONNRESET);
            socket.Release();
        }
        NotifyAll();
    }

    // ---- readiness, options

    public override PollEvents Poll(PollObserver? observer)
    {
        if (observer is not null) _pollee.Register(observer);
        PollEvents events = PollEvents.None;
        if (Volatile.Read(ref _error) != 0) events |= PollEvents.Error;
        bool noReceive = Volatile.Read(ref _cannotReceive), noSend = Volatile.Read(ref _cannotSend);
        if (noReceive) events |= PollEvents.In | PollEvents.ReadNormal | PollEvents.ReadHangUp;
        if (noReceive && noSend) events |= PollEvents.HangUp;
        UnixSocket? peer;
        using (SpinLock.Guard guard = s_topology.Lock())
        {
            if (_state == State.Listening) return events | (_pending!.Count > 0 ? PollEvents.In | PollEvents.ReadNormal : PollEvents.None);
            if (_state == State.Unconnected && !IsDatagram) events |= PollEvents.HangUp;
            peer = _peer;
        }
        using (SpinLock.Guard guard = _lock.Lock())
        {
            if (_queue.Count > 0) events |= PollEvents.In | PollEvents.ReadNormal;
        }
        if (peer is null || peer.HasRoomFor(this)) events |= PollEvents.Out | PollEvents.WriteNormal | PollEvents.WriteBand;
        return events;
    }

    public override Errno TakeError() => (Errno)Interlocked.Exchange(ref _error, 0);

    /// <summary>SO_PEERCRED: who the peer was when the connection was made.</summary>
    public (int Pid, uint Uid, uint Gid) Peer(Thread thread)
    {
        using SpinLock.Guard guard = s_topology.Lock();
        if (_state is not (State.Connected or State.Cut) || _peerCredentials.Pid is null) return (0, uint.MaxValue, uint.MaxValue);
        return (_peerCredentials.Pid.NumberIn(thread.Namespaces.Pid), _peerCredentials.Uid, _peerCredentials.Gid);
    }

    public override Result<long> Control(Thread thread, uint command, ulong argument)
    {
        long bytes;
        switch (command)
        {
            case BytesToRead:
                if (IsListening) return Errno.EINVAL;
                using (SpinLock.Guard guard = _lock.Lock()) bytes = IsDatagram ? _queue.First?.Length ?? 0 : _queue.Bytes;
                break;
            case BytesSent:
                UnixSocket? peer;
                using (SpinLock.Guard guard = s_topology.Lock()) peer = _peer;
                bytes = 0;
                if (peer is not null)
                {
                    using SpinLock.Guard guard = peer._lock.Lock();
                    bytes = peer._queue.Bytes;
                }
                break;
            default: return Errno.ENOTTY;
        }
        return thread.Memory.Write(new UserAddress(argument), (int)Math.Min(bytes, int.MaxValue));
    }
}
