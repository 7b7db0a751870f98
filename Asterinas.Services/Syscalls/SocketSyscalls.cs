using System;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Network;
using Asterinas.Services.Network.Unix;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>socket(2) and the calls on sockets, but for messages and options.</summary>
internal static class SocketSyscalls
{
    /// <summary>Bytes of struct sockaddr_storage: the longest name.</summary>
    public const int MostNameBytes = 128;
    private const int TypeMask = 0xF, UnixFamily = 1;
    private const OpenFlags CreationFlags = OpenFlags.NonBlock | OpenFlags.CloseOnExec;

    public static void Register()
    {
        SyscallTable.Add(41, "socket", Create, "only AF_UNIX");
        SyscallTable.Add(42, "connect", Connect, "only AF_UNIX");
        SyscallTable.Add(43, "accept", static (in SyscallArguments a) => Accept(a, 0), "only AF_UNIX");
        SyscallTable.Add(48, "shutdown", Shutdown, "only AF_UNIX");
        SyscallTable.Add(49, "bind", Bind, "only AF_UNIX");
        SyscallTable.Add(50, "listen", Listen, "only AF_UNIX");
        SyscallTable.Add(51, "getsockname", static (in SyscallArguments a) => GetName(a, false), "only AF_UNIX");
        SyscallTable.Add(52, "getpeername", static (in SyscallArguments a) => GetName(a, true), "only AF_UNIX");
        SyscallTable.Add(53, "socketpair", CreatePair);
        SyscallTable.Add(288, "accept4", static (in SyscallArguments a) => Accept(a, (OpenFlags)a.Int(3)), "only AF_UNIX");
    }

    /// <summary>The socket of a descriptor. EBADF, ENOTSOCK.</summary>
    public static Errno Get(Thread thread, int descriptor, out FileHandle handle, out SocketFile socket)
    {
        socket = null!;
        Errno error = thread.Files.Get(descriptor, out handle);
        if (error != Errno.None) return error;
        if (handle.File is SocketFile found)
        {
            socket = found;
            return Errno.None;
        }
        handle.Dispose();
        return Errno.ENOTSOCK;
    }

    /// <summary>Reads a name. EINVAL for an impossible length, EFAULT.</summary>
    public static Errno ReadName(Thread thread, UserAddress address, int length, Span<byte> buffer, out ReadOnlySpan<byte> name)
    {
        name = default;
        if (length is < 0 or > MostNameBytes) return Errno.EINVAL;
        name = buffer[..length];
        return length == 0 || thread.Memory.Read(address, buffer[..length]) == Errno.None ? Errno.None : Errno.EFAULT;
    }

    /// <summary>Writes a name, cut to the room that the program says it has, and its true length. EFAULT, EINVAL.</summary>
    public static Errno WriteName(Thread thread, UserAddress address, UserAddress lengthAddress, ReadOnlySpan<byte> name)
    {
        if (thread.Memory.Read(lengthAddress, out int room) != Errno.None) return Errno.EFAULT;
        if (room < 0) return Errno.EINVAL;
        if (thread.Memory.Write(address, name[..Math.Min(room, name.Length)]) != Errno.None) return Errno.EFAULT;
        return thread.Memory.Write(lengthAddress, name.Length);
    }

    private static Errno CheckKind(int family, int type, int protocol, out SocketType kind)
    {
        kind = (SocketType)(type & TypeMask);
        if ((type & ~TypeMask & ~(int)CreationFlags) != 0 || type < 0) return Errno.EINVAL;
        if (family != UnixFamily) return Errno.EAFNOSUPPORT;
        if (protocol is not (0 or UnixFamily)) return Errno.EPROTONOSUPPORT;
        if (kind == SocketType.Raw) kind = SocketType.Datagram;         // as Linux has it
        return kind is SocketType.Stream or SocketType.Datagram or SocketType.SequencedPacket ? Errno.None : Errno.ESOCKTNOSUPPORT;
    }

    private static long Create(in SyscallArguments a)
    {
        int type = a.Int(1);
        Errno error = CheckKind(a.Int(0), type, a.Int(2), out SocketType kind);
        if (error != Errno.None) return -(long)error;
        return PipeSyscalls.Install(a.Thread, new UnixSocket(kind, a.Thread, (OpenFlags)type & OpenFlags.NonBlock), (type & (int)OpenFlags.CloseOnExec) != 0);
    }

    private static long CreatePair(in SyscallArguments a)
    {
        int type = a.Int(1);
        Errno error = CheckKind(a.Int(0), type, a.Int(2), out SocketType kind);
        if (error != Errno.None) return -(long)error;
        (UnixSocket first, UnixSocket second) = UnixSocket.CreatePair(kind, a.Thread, (OpenFlags)type & OpenFlags.NonBlock);
        return -(long)PipeSyscalls.InstallPair(a.Thread, a.Address(3), first, second, (type & (int)OpenFlags.CloseOnExec) != 0);
    }

    private static long Bind(in SyscallArguments a)
    {
        Errno error = Get(a.Thread, a.Int(0), out FileHandle handle, out SocketFile socket);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            error = ReadName(a.Thread, a.Address(1), a.Int(2), stackalloc byte[MostNameBytes], out ReadOnlySpan<byte> name);
            return -(long)(error != Errno.None ? error : socket.Bind(a.Thread, name));
        }
    }

    private static long Connect(in SyscallArguments a)
    {
        Errno error = Get(a.Thread, a.Int(0), out FileHandle handle, out SocketFile socket);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            error = ReadName(a.Thread, a.Address(1), a.Int(2), stackalloc byte[MostNameBytes], out ReadOnlySpan<byte> name);
            return -(long)(error != Errno.None ? error : socket.Connect(a.Thread, name));
        }
    }

    private static long Listen(in SyscallArguments a)
    {
        Errno error = Get(a.Thread, a.Int(0), out FileHandle handle, out SocketFile socket);
        if (error != Errno.None) return -(long)error;
        using (handle) return -(long)socket.Listen(a.Thread, a.Int(1));
    }

    private static long Accept(in SyscallArguments a, OpenFlags flags)
    {
        Thread thread = a.Thread;
        if ((flags & ~CreationFlags) != 0) return -(long)Errno.EINVAL;
        Errno error = Get(thread, a.Int(0), out FileHandle handle, out SocketFile socket);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            Result<SocketFile> accepted = socket.Accept(thread, flags & OpenFlags.NonBlock);
            if (!accepted.IsOk) return -(long)accepted.Error;
            if (a.A1 != 0)
            {
                Result<byte[]> name = accepted.Value.GetName(ofPeer: true);
                error = WriteName(thread, a.Address(1), a.Address(2), name.IsOk ? name.Value : UnixName.Unnamed);
                if (error != Errno.None)
                {
                    accepted.Value.Release();
                    return -(long)error;
                }
            }
            return PipeSyscalls.Install(thread, accepted.Value, (flags & OpenFlags.CloseOnExec) != 0);
        }
    }

    private static long GetName(in SyscallArguments a, bool ofPeer)
    {
        Errno error = Get(a.Thread, a.Int(0), out FileHandle handle, out SocketFile socket);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            Result<byte[]> name = socket.GetName(ofPeer);
            return -(long)(name.IsOk ? WriteName(a.Thread, a.Address(1), a.Address(2), name.Value) : name.Error);
        }
    }

    private static long Shutdown(in SyscallArguments a)
    {
        int how = a.Int(1);
        Errno error = Get(a.Thread, a.Int(0), out FileHandle handle, out SocketFile socket);
        if (error != Errno.None) return -(long)error;
        using (handle) return how is < 0 or > 2 ? -(long)Errno.EINVAL : -(long)socket.Shutdown(how is 0 or 2, how is 1 or 2);
    }
}
