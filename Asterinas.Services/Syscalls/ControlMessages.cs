using System;
using System.Buffers.Binary;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Network;
using Asterinas.Services.Processes;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>Control messages at sockets (man 3 cmsg): descriptors and credentials.</summary>
internal static class ControlMessages
{
    private const int HeaderBytes = 16, SocketLevel = 1, Rights = 1, CredentialsType = 2, CredentialBytes = 12;
    private const int MostFiles = 253;                  // SCM_MAX_FD
    private const ulong MostBytes = 20480;              // net.core.optmem_max

    /// <summary>Reads what is to be sent. EINVAL, EBADF, EPERM for credentials that are not the sender's own, ENOBUFS, EFAULT.</summary>
    public static Errno Read(Thread thread, ulong address, ulong length, out Ancillary? ancillary)
    {
        ancillary = null;
        if (length > MostBytes) return Errno.ENOBUFS;
        var bytes = new byte[length];
        if (thread.Memory.Read(new UserAddress(address), bytes) != Errno.None) return Errno.EFAULT;
        var made = new Ancillary();
        for (int at = 0; at + HeaderBytes <= bytes.Length;)
        {
            ulong size = BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(at));
            int level = BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(at + 8)), type = BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(at + 12));
            Errno error = size < HeaderBytes || size > (ulong)(bytes.Length - at) ? Errno.EINVAL : Errno.None;
            if (error == Errno.None && level == SocketLevel)
            {
                ReadOnlySpan<byte> data = bytes.AsSpan(at + HeaderBytes, (int)size - HeaderBytes);
                error = type switch
                {
                    Rights => ReadFiles(thread, data, made),
                    CredentialsType => ReadCredentials(thread, data, made),
                    _ => Errno.EINVAL,
                };
            }
            if (error != Errno.None)
            {
                made.Release();
                return error;
            }
            at += ((int)size + 7) & ~7;
        }
        ancillary = made;
        return Errno.None;
    }

    /// <summary>Writes what came, as far as there is room; files that find none are closed (MSG_CTRUNC). EFAULT.</summary>
    public static Errno Write(Thread thread, ulong address, ulong room, bool closeOnExec, ref ReceivedMessage message, out ulong used)
    {
        used = 0;
        if (message.HasCredentials)
        {
            Span<byte> bytes = stackalloc byte[HeaderBytes + 16];
            bytes.Clear();
            BinaryPrimitives.WriteUInt64LittleEndian(bytes, HeaderBytes + CredentialBytes);
            BinaryPrimitives.WriteInt32LittleEndian(bytes[8..], SocketLevel);
            BinaryPrimitives.WriteInt32LittleEndian(bytes[12..], CredentialsType);
            BinaryPrimitives.WriteInt32LittleEndian(bytes[16..], message.Pid);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes[20..], message.Uid);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes[24..], message.Gid);
            if (room < HeaderBytes + CredentialBytes)
            {
                message.Flags |= MessageFlags.ControlTruncated;
            }
            else
            {
                int count = (int)Math.Min(room, (ulong)bytes.Length);
                if (thread.Memory.Write(new UserAddress(address), bytes[..count]) != Errno.None) return Errno.EFAULT;
                used = (ulong)count;
            }
        }
        return message.Files is { } files ? WriteFiles(thread, address, room, closeOnExec, files, ref message, ref used) : Errno.None;
    }

    private static Errno WriteFiles(Thread thread, ulong address, ulong room, bool closeOnExec, OpenFile[] files, ref ReceivedMessage message, ref ulong used)
    {
        ulong left = room - used;
        int fit = left < HeaderBytes + 4 ? 0 : (int)Math.Min((left - HeaderBytes) / 4, (ulong)files.Length), installed = 0;
        Errno error = Errno.None;
        for (int i = 0; i < files.Length; i++)
        {
            if (installed == fit || error != Errno.None)
            {
                files[i].Release();
                continue;
            }
            long descriptor = PipeSyscalls.Install(thread, files[i], closeOnExec);
            if (descriptor < 0)
            {
                fit = installed;
                continue;
            }
            error = thread.Memory.Write(new UserAddress(address + used + HeaderBytes + (ulong)(4 * installed)), (int)descriptor);
            installed++;
        }
        message.Files = null;
        if (installed < files.Length) message.Flags |= MessageFlags.ControlTruncated;
        if (installed == 0 || error != Errno.None) return error;
        Span<byte> header = stackalloc byte[HeaderBytes];
        ulong size = HeaderBytes + (ulong)(4 * installed);
        BinaryPrimitives.WriteUInt64LittleEndian(header, size);
        BinaryPrimitives.WriteInt32LittleEndian(header[8..], SocketLevel);
        BinaryPrimitives.WriteInt32LittleEndian(header[12..], Rights);
        if (thread.Memory.Write(new UserAddress(address + used), header) != Errno.None) return Errno.EFAULT;
        used += Math.Min((size + 7) & ~7UL, left);
        return Errno.None;
    }

    private static Errno ReadFiles(Thread thread, ReadOnlySpan<byte> data, Ancillary ancillary)
    {
        int count = data.Length / 4, before = ancillary.Files?.Length ?? 0;
        if (before + count > MostFiles) return Errno.EINVAL;
        if (count == 0) return Errno.None;
        var files = new OpenFile[before + count];
        ancillary.Files?.CopyTo(files, 0);
        for (int i = 0; i < count; i++)
        {
            Errno error = thread.Files.Get(BinaryPrimitives.ReadInt32LittleEndian(data[(4 * i)..]), out FileHandle handle, allowPath: true);
            if (error != Errno.None)
            {
                for (int k = before; k < before + i; k++) files[k].Release();
                return error;
            }
            using (handle)
            {
                handle.File.AddReference();
                files[before + i] = handle.File;
            }
        }
        ancillary.Files = files;
        return Errno.None;
    }

    // A sender may only tell the truth, but for those who may be anybody (man 7 unix, SCM_CREDENTIALS).
    private static Errno ReadCredentials(Thread thread, ReadOnlySpan<byte> data, Ancillary ancillary)
    {
        if (data.Length != CredentialBytes) return Errno.EINVAL;
        int number = BinaryPrimitives.ReadInt32LittleEndian(data);
        uint uid = BinaryPrimitives.ReadUInt32LittleEndian(data[4..]), gid = BinaryPrimitives.ReadUInt32LittleEndian(data[8..]);
        Credentials own = thread.Credentials;
        if (number != thread.Process.Pid.NumberIn(thread.Namespaces.Pid) && !own.Has(Capability.SysAdmin)) return Errno.EPERM;
        if (uid != own.Uid && uid != own.EffectiveUid && uid != own.SavedUid && !own.Has(Capability.Setuid)) return Errno.EPERM;
        if (gid != own.Gid && gid != own.EffectiveGid && gid != own.SavedGid && !own.Has(Capability.Setgid)) return Errno.EPERM;
        Pid? pid = thread.Namespaces.Pid.Find(number);
        if (pid?.Process is null) return Errno.ESRCH;
        ancillary.HasCredentials = true;
        ancillary.Pid = pid;
        ancillary.Uid = uid;
        ancillary.Gid = gid;
        return Errno.None;
    }
}
