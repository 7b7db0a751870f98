using System;
using System.Buffers.Binary;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Ipc;
using Asterinas.Services.Memory;
using Asterinas.Services.Network;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>send(2), recv(2) and their variants.</summary>
internal static class MessageSyscalls
{
    private const int HeaderBytes = 56, ManyHeaderBytes = 64, MostMessages = 1024;
    private const int NameOffset = 0, NameLengthOffset = 8, VectorOffset = 16, VectorLengthOffset = 24, ControlOffset = 32, ControlLengthOffset = 40, FlagsOffset = 48;

    public static void Register()
    {
        SyscallTable.Add(44, "sendto", SendTo, "only AF_UNIX");
        SyscallTable.Add(45, "recvfrom", ReceiveFrom, "only AF_UNIX");
        SyscallTable.Add(46, "sendmsg", static (in SyscallArguments a) => SendOne(a.Thread, a.Int(0), a.A1, (MessageFlags)a.UInt(2)), "only AF_UNIX");
        SyscallTable.Add(47, "recvmsg", static (in SyscallArguments a) => ReceiveOne(a.Thread, a.Int(0), a.A1, (MessageFlags)a.UInt(2)), "only AF_UNIX");
        SyscallTable.Add(299, "recvmmsg", ReceiveMany, "only AF_UNIX");
        SyscallTable.Add(307, "sendmmsg", SendMany, "only AF_UNIX");
    }

    // ---- without a header

    private static long SendTo(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        Errno error = IoVector.CheckBuffer(a.A1, a.A2, out long length);
        if (error != Errno.None) return -(long)error;
        error = SocketSyscalls.Get(thread, a.Int(0), out FileHandle handle, out SocketFile socket);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            Span<byte> buffer = stackalloc byte[SocketSyscalls.MostNameBytes];
            ReadOnlySpan<byte> name = buffer[..0];
            if (a.A4 != 0) error = SocketSyscalls.ReadName(thread, a.Address(4), a.Int(5), buffer, out name);
            if (error != Errno.None) return -(long)error;
            var source = new IoSource(thread.Memory, a.Address(1), length);
            return Finish(thread, socket.Send(thread, ref source, name, null, (MessageFlags)a.UInt(3)), (MessageFlags)a.UInt(3));
        }
    }

    private static long ReceiveFrom(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        Errno error = IoVector.CheckBuffer(a.A1, a.A2, out long length);
        if (error != Errno.None) return -(long)error;
        error = SocketSyscalls.Get(thread, a.Int(0), out FileHandle handle, out SocketFile socket);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            var sink = new IoSink(thread.Memory, a.Address(1), length);
            ReceivedMessage message = default;
            Result<long> result = socket.Receive(thread, ref sink, (MessageFlags)a.UInt(3), ref message);
            ReleaseFiles(message.Files);
            if (!result.IsOk || a.A4 == 0) return SyscallAnswer.From(result);
            error = SocketSyscalls.WriteName(thread, a.Address(4), a.Address(5), message.Name);
            return error != Errno.None ? -(long)error : result.Value;
        }
    }

    // EPIPE comes with a signal, unless MSG_NOSIGNAL says otherwise.
    private static long Finish(Thread thread, Result<long> result, MessageFlags flags)
    {
        if (result.Error == Errno.EPIPE && (flags & MessageFlags.NoSignal) == 0) PipeFile.SendBrokenPipe(thread);
        return SyscallAnswer.From(result);
    }

    private static void ReleaseFiles(OpenFile[]? files)
    {
        if (files is null) return;
        foreach (OpenFile file in files) file.Release();
    }

    // ---- with a header

    private static long SendOne(Thread thread, int descriptor, ulong address, MessageFlags flags)
    {
        Errno error = SocketSyscalls.Get(thread, descriptor, out FileHandle handle, out SocketFile socket);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            Span<byte> header = stackalloc byte[HeaderBytes];
            if (thread.Memory.Read(new UserAddress(address), header) != Errno.None) return -(long)Errno.EFAULT;
            Span<byte> buffer = stackalloc byte[SocketSyscalls.MostNameBytes];
            ReadOnlySpan<byte> name = buffer[..0];
            ulong nameAt = BinaryPrimitives.ReadUInt64LittleEndian(header[NameOffset..]);
            int nameLength = BinaryPrimitives.ReadInt32LittleEndian(header[NameLengthOffset..]);
            if (nameLength < 0) return -(long)Errno.EINVAL;
            if (nameAt != 0 && nameLength != 0)
            {
                error = SocketSyscalls.ReadName(thread, new UserAddress(nameAt), Math.Min(nameLength, SocketSyscalls.MostNameBytes), buffer, out name);
                if (error != Errno.None) return -(long)error;
            }
            error = ReadVector(thread, header, stackalloc UserSegment[IoVector.FewSegments], out ReadOnlySpan<UserSegment> segments);
            if (error != Errno.None) return -(long)error;
            ulong controlLength = BinaryPrimitives.ReadUInt64LittleEndian(header[ControlLengthOffset..]);
            Ancillary? ancillary = null;
            if (controlLength != 0)
            {
                error = ControlMessages.Read(thread, BinaryPrimitives.ReadUInt64LittleEndian(header[ControlOffset..]), controlLength, out ancillary);
                if (error != Errno.None) return -(long)error;
            }
            var source = new IoSource(thread.Memory, segments);
            Result<long> result = socket.Send(thread, ref source, name, ancillary, flags);
            if (!result.IsOk) ancillary?.Release();
            return Finish(thread, result, flags);
        }
    }

    private static long ReceiveOne(Thread thread, int descriptor, ulong address, MessageFlags flags)
    {
        Errno error = SocketSyscalls.Get(thread, descriptor, out FileHandle handle, out SocketFile socket);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            Span<byte> header = stackalloc byte[HeaderBytes];
            if (thread.Memory.Read(new UserAddress(address), header) != Errno.None) return -(long)Errno.EFAULT;
            if (BinaryPrimitives.ReadInt32LittleEndian(header[NameLengthOffset..]) < 0) return -(long)Errno.EINVAL;
            error = ReadVector(thread, header, stackalloc UserSegment[IoVector.FewSegments], out ReadOnlySpan<UserSegment> segments);
            if (error != Errno.None) return -(long)error;
            var sink = new IoSink(thread.Memory, segments);
            ReceivedMessage message = default;
            Result<long> result = socket.Receive(thread, ref sink, flags, ref message);
            if (!result.IsOk) return -(long)result.Error;
            error = WriteHeader(thread, address, header, flags, ref message);
            return error != Errno.None ? -(long)error : result.Value;
        }
    }

    private static Errno ReadVector(Thread thread, ReadOnlySpan<byte> header, Span<UserSegment> few, out ReadOnlySpan<UserSegment> segments)
    {
        segments = default;
        ulong count = BinaryPrimitives.ReadUInt64LittleEndian(header[VectorLengthOffset..]);
        if (count > IoVector.MostSegments) return Errno.EMSGSIZE;
        return IoVector.Read(thread, new UserAddress(BinaryPrimitives.ReadUInt64LittleEndian(header[VectorOffset..])), (long)count, few, out segments);
    }

    private static Errno WriteHeader(Thread thread, ulong address, ReadOnlySpan<byte> header, MessageFlags flags, ref ReceivedMessage message)
    {
        // Files that come have their descriptors before anything can fail for the program's fault: on failure they are there, as on Linux.
        ulong control = BinaryPrimitives.ReadUInt64LittleEndian(header[ControlOffset..]), room = BinaryPrimitives.ReadUInt64LittleEndian(header[ControlLengthOffset..]);
        Errno error = ControlMessages.Write(thread, control, control == 0 ? 0 : room, (flags & MessageFlags.CloseOnExec) != 0, ref message, out ulong used);
        if (error != Errno.None) return error;
        ulong name = BinaryPrimitives.ReadUInt64LittleEndian(header[NameOffset..]);
        if (name != 0)
        {
            int nameRoom = BinaryPrimitives.ReadInt32LittleEndian(header[NameLengthOffset..]), length = message.Name?.Length ?? 0;
            if (length > 0 && thread.Memory.Write(new UserAddress(name), message.Name.AsSpan(0, Math.Min(length, nameRoom))) != Errno.None) return Errno.EFAULT;
            if (thread.Memory.Write(new UserAddress(address + NameLengthOffset), length) != Errno.None) return Errno.EFAULT;
        }
        if (thread.Memory.Write(new UserAddress(address + ControlLengthOffset), used) != Errno.None) return Errno.EFAULT;
        MessageFlags answer = message.Flags | (flags & MessageFlags.CloseOnExec);
        return thread.Memory.Write(new UserAddress(address + FlagsOffset), (uint)answer);
    }

    // ---- many at once

    private static long SendMany(in SyscallArguments a)
    {
        uint count = Math.Min(a.UInt(2), MostMessages);
        long done = 0;
        for (; done < count; done++)
        {
            ulong at = a.A1 + (ulong)done * ManyHeaderBytes;
            long sent = SendOne(a.Thread, a.Int(0), at, (MessageFlags)a.UInt(3));
            if (sent < 0) return done > 0 ? done : sent;
            if (a.Thread.Memory.Write(new UserAddress(at + HeaderBytes), (uint)sent) != Errno.None) return done > 0 ? done : -(long)Errno.EFAULT;
        }
        return done;
    }

    private static long ReceiveMany(in SyscallArguments a)
    {
        uint count = Math.Min(a.UInt(2), MostMessages);
        var flags = (MessageFlags)a.UInt(3);
        ulong deadline = ulong.MaxValue;
        if (a.A4 != 0)
        {
            Errno error = Time.UserTime.ReadTimespec(a.Thread.Memory, a.Address(4), out long nanoseconds);
            if (error != Errno.None) return -(long)error;
            deadline = Time.UserTime.DeadlineAfter(nanoseconds);
        }
        long done = 0;
        for (; done < count; done++)
        {
            ulong at = a.A1 + (ulong)done * ManyHeaderBytes;
            long received = ReceiveOne(a.Thread, a.Int(0), at, flags & ~MessageFlags.WaitForOne);
            if (received < 0) return done > 0 ? done : received;
            if (a.Thread.Memory.Write(new UserAddress(at + HeaderBytes), (uint)received) != Errno.None) return done > 0 ? done : -(long)Errno.EFAULT;
            if ((flags & MessageFlags.WaitForOne) != 0) flags |= MessageFlags.DontWait;
            // The time is looked at between messages only (man 2 recvmmsg, BUGS).
            if (deadline != ulong.MaxValue && Ostd.Timers.Clock.MonotonicNs >= deadline) return done + 1;
        }
        return done;
    }
}
