using System;
using System.Buffers.Binary;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Network;
using Asterinas.Services.Network.Unix;
using Asterinas.Services.Processes;
using Asterinas.Services.Time;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>setsockopt(2) and getsockopt(2) at the level of sockets (man 7 socket).</summary>
internal static class SocketOptionSyscalls
{
    private const int SocketLevel = 1, MostBytes = 128;
    private const int Debug = 1, ReuseAddress = 2, TypeOption = 3, ErrorOption = 4, DontRoute = 5, Broadcast = 6, SendBuffer = 7, ReceiveBuffer = 8, KeepAlive = 9, Priority = 12, Linger = 13,
        ReusePort = 15, PassCredentials = 16, PeerCredentials = 17, ReceiveLowWater = 18, SendLowWater = 19, ReceiveTimeout = 20, SendTimeout = 21, TimeStamp = 29, AcceptConnections = 30,
        SendBufferForce = 32, ReceiveBufferForce = 33, Protocol = 38, Domain = 39;
    private const int DefaultMost = 212992, LeastSend = 4608, LeastReceive = 2304;

    public static void Register()
    {
        const string Lacks = "only AF_UNIX; SO_LINGER, SO_KEEPALIVE, SO_PRIORITY, SO_BROADCAST, SO_TIMESTAMP, SO_REUSEADDR have no meaning there and are not kept";
        SyscallTable.Add(54, "setsockopt", Set, Lacks);
        SyscallTable.Add(55, "getsockopt", Get, Lacks);
    }

    private static long Set(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        Errno error = SocketSyscalls.Get(thread, a.Int(0), out FileHandle handle, out SocketFile socket);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            int length = a.Int(4);
            if (length < 0) return -(long)Errno.EINVAL;
            Span<byte> bytes = stackalloc byte[MostBytes];
            bytes = bytes[..Math.Min(length, MostBytes)];
            if (a.Int(1) == SocketLevel && length < sizeof(int)) return -(long)Errno.EINVAL;
            if (thread.Memory.Read(a.Address(3), bytes) != Errno.None) return -(long)Errno.EFAULT;
            return -(long)(a.Int(1) == SocketLevel ? Set(thread, socket, a.Int(2), bytes) : socket.SetOption(thread, a.Int(1), a.Int(2), bytes));
        }
    }

    private static Errno Set(Thread thread, SocketFile socket, int option, ReadOnlySpan<byte> bytes)
    {
        int value = BinaryPrimitives.ReadInt32LittleEndian(bytes);
        switch (option)
        {
            case PassCredentials:
                socket.PassesCredentials = value != 0;
                return Errno.None;
            case SendBuffer:
                socket.SendBuffer = Math.Max(2 * Math.Clamp(value, 0, DefaultMost), LeastSend);
                return Errno.None;
            case ReceiveBuffer:
                socket.ReceiveBuffer = Math.Max(2 * Math.Clamp(value, 0, DefaultMost), LeastReceive);
                return Errno.None;
            case SendBufferForce or ReceiveBufferForce:
                if (!thread.Credentials.Has(Capability.NetAdmin)) return Errno.EPERM;
                value = Math.Clamp(value, 0, int.MaxValue / 2);
                if (option == SendBufferForce) socket.SendBuffer = Math.Max(2 * value, LeastSend); else socket.ReceiveBuffer = Math.Max(2 * value, LeastReceive);
                return Errno.None;
            case ReceiveTimeout or SendTimeout:
                if (bytes.Length < 16) return Errno.EINVAL;
                long seconds = BinaryPrimitives.ReadInt64LittleEndian(bytes), microseconds = BinaryPrimitives.ReadInt64LittleEndian(bytes[8..]);
                if (microseconds is < 0 or >= 1000000) return Errno.EDOM;
                // Zero is for ever; a negative time is none at all.
                ulong timeout = seconds < 0 ? 0 : (seconds | microseconds) == 0 || seconds > long.MaxValue / UserTime.Second - 1 ? ulong.MaxValue
                    : (ulong)(seconds * UserTime.Second + microseconds * 1000);
                if (option == ReceiveTimeout) socket.ReceiveTimeoutNs = timeout; else socket.SendTimeoutNs = timeout;
                return Errno.None;
            case Debug when value != 0: return thread.Credentials.Has(Capability.NetAdmin) ? Errno.None : Errno.EACCES;
            case Linger: return bytes.Length < 8 ? Errno.EINVAL : Errno.None;
            case Debug or ReuseAddress or DontRoute or Broadcast or KeepAlive or Priority or TimeStamp or ReceiveLowWater: return Errno.None;
            case ReusePort: return Errno.EOPNOTSUPP;
            default: return Errno.ENOPROTOOPT;
        }
    }

    private static long Get(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        Errno error = SocketSyscalls.Get(thread, a.Int(0), out FileHandle handle, out SocketFile socket);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            if (thread.Memory.Read(a.Address(4), out int room) != Errno.None) return -(long)Errno.EFAULT;
            if (room < 0) return -(long)Errno.EINVAL;
            Span<byte> bytes = stackalloc byte[MostBytes];
            bytes.Clear();
            Result<int> length = a.Int(1) == SocketLevel ? Get(thread, socket, a.Int(2), bytes) : socket.GetOption(thread, a.Int(1), a.Int(2), bytes);
            if (!length.IsOk) return -(long)length.Error;
            int count = Math.Min(room, length.Value);
            if (thread.Memory.Write(a.Address(3), bytes[..count]) != Errno.None) return -(long)Errno.EFAULT;
            return -(long)thread.Memory.Write(a.Address(4), count);
        }
    }

    private static Result<int> Get(Thread thread, SocketFile socket, int option, Span<byte> bytes)
    {
        switch (option)
        {
            case TypeOption: return Put(bytes, (int)socket.Type);
            case Domain: return Put(bytes, socket.Family);
            case ErrorOption: return Put(bytes, (int)socket.TakeError());
            case AcceptConnections: return Put(bytes, socket.IsListening ? 1 : 0);
            case PassCredentials: return Put(bytes, socket.PassesCredentials ? 1 : 0);
            case SendBuffer: return Put(bytes, socket.SendBuffer);
            case ReceiveBuffer: return Put(bytes, socket.ReceiveBuffer);
            case ReceiveLowWater or SendLowWater: return Put(bytes, 1);
            case Protocol or Debug or ReuseAddress or DontRoute or Broadcast or KeepAlive or Priority or TimeStamp or ReusePort: return Put(bytes, 0);
            case Linger: return 8;
            case PeerCredentials when socket is UnixSocket local:
                (int pid, uint uid, uint gid) = local.Peer(thread);
                BinaryPrimitives.WriteInt32LittleEndian(bytes, pid);
                BinaryPrimitives.WriteUInt32LittleEndian(bytes[4..], uid);
                BinaryPrimitives.WriteUInt32LittleEndian(bytes[8..], gid);
                return 12;
            case ReceiveTimeout or SendTimeout:
                ulong timeout = option == ReceiveTimeout ? socket.ReceiveTimeoutNs : socket.SendTimeoutNs;
                if (timeout == ulong.MaxValue) timeout = 0;
                BinaryPrimitives.WriteInt64LittleEndian(bytes, (long)timeout / UserTime.Second);
                BinaryPrimitives.WriteInt64LittleEndian(bytes[8..], (long)timeout % UserTime.Second / 1000);
                return 16;
            default: return Errno.ENOPROTOOPT;
        }
    }

    private static Result<int> Put(Span<byte> bytes, int value)
    {
        BinaryPrimitives.WriteInt32LittleEndian(bytes, value);
        return sizeof(int);
    }
}
