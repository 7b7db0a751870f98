using System;
using Asterinas.Services.Ipc;
using Asterinas.Services.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Network;

/// <summary>Type of a socket (man 2 socket).</summary>
internal enum SocketType
{
    Stream = 1,
    Datagram = 2,
    Raw = 3,
    SequencedPacket = 5,
}

/// <summary>Flags of send(2) and recv(2).</summary>
[Flags]
internal enum MessageFlags : uint
{
    None = 0,
    OutOfBand = 0x1,
    Peek = 0x2,
    DontRoute = 0x4,
    ControlTruncated = 0x8,
    Truncated = 0x20,
    DontWait = 0x40,
    EndOfRecord = 0x80,
    WaitAll = 0x100,
    NoSignal = 0x4000,
    More = 0x8000,
    WaitForOne = 0x10000,
    CloseOnExec = 0x40000000,
}

/// <summary>What goes with the bytes of a message (man 3 cmsg): open files, and who sent it.</summary>
internal sealed class Ancillary
{
    /// <summary>Files, each with a reference of its own; null for none.</summary>
    public OpenFile[]? Files;
    /// <summary>Whose credentials: the sender's, or what a privileged one wants to be taken for.</summary>
    public bool HasCredentials;
    public Pid? Pid;
    public int ForgedPid;
    public uint Uid, Gid;

    /// <summary>Gives the files back that nobody received.</summary>
    public void Release()
    {
        if (Files is null) return;
        foreach (OpenFile file in Files) file.Release();
        Files = null;
    }
}

/// <summary>What a receive came back with, besides bytes.</summary>
internal struct ReceivedMessage
{
    public MessageFlags Flags;
    /// <summary>Name of the sender as in struct sockaddr; null for none.</summary>
    public byte[]? Name;
    public OpenFile[]? Files;
    public bool HasCredentials;
    public int Pid;
    public uint Uid, Gid;
}

/// <summary>An open socket (man 7 socket): what all families have in common.</summary>
internal abstract class SocketFile : OpenFile
{
    /// <summary>Default and least size of a buffer, doubled as Linux does to account for its own overhead.</summary>
    protected const int DefaultBuffer = 212992, LeastBuffer = 4608, MostBuffer = 2 * 212992;

    protected SocketFile(SocketType type, Thread thread, OpenFlags flags)
        : base(AnonymousFileSystem.Sockets.Create(InodeType.Socket, 0x1FF, thread, "socket"), OpenFlags.ReadWrite | flags) => Type = type;

    public SocketType Type { get; }

    /// <summary>AF_ number.</summary>
    public abstract int Family { get; }

    public override bool IsPollable => true;

    public override string? AnonymousName => $"socket:[{Inode.Number}]";

    // ---- options that need no family

    public bool PassesCredentials { get; set; }
    public ulong ReceiveTimeoutNs { get; set; } = ulong.MaxValue;
    public ulong SendTimeoutNs { get; set; } = ulong.MaxValue;
    public int SendBuffer { get; set; } = DefaultBuffer;
    public int ReceiveBuffer { get; set; } = DefaultBuffer;

    // ---- the calls. Names are the bytes of struct sockaddr.

    public abstract Errno Bind(Thread thread, scoped ReadOnlySpan<byte> name);
    public abstract Errno Listen(Thread thread, int backlog);
    public abstract Errno Connect(Thread thread, scoped ReadOnlySpan<byte> name);
    public abstract Result<SocketFile> Accept(Thread thread, OpenFlags flags);
    public abstract Result<byte[]> GetName(bool ofPeer);
    public abstract Errno Shutdown(bool reading, bool writing);

    /// <summary>Sends bytes, and takes over the ancillary data when it succeeds. EPIPE: the caller sends SIGPIPE.</summary>
    public abstract Result<long> Send(Thread thread, ref IoSource source, scoped ReadOnlySpan<byte> name, Ancillary? ancillary, MessageFlags flags);

    /// <summary>Receives bytes. Files in the answer belong to the caller.</summary>
    public abstract Result<long> Receive(Thread thread, ref IoSink sink, MessageFlags flags, ref ReceivedMessage message);

    /// <summary>An option of the family or protocol. ENOPROTOOPT.</summary>
    public virtual Errno SetOption(Thread thread, int level, int option, ReadOnlySpan<byte> value) => Errno.ENOPROTOOPT;

    /// <summary>Reads an option. ENOPROTOOPT.</summary>
    public virtual Result<int> GetOption(Thread thread, int level, int option, Span<byte> value) => Errno.ENOPROTOOPT;

    /// <summary>SO_ERROR: the error of something that happened meanwhile; asking clears it.</summary>
    public virtual Errno TakeError() => Errno.None;

    public virtual bool IsListening => false;

    // ---- as a file

    public override Result<long> ReadAt(ref IoSink sink, long position)
    {
        ReceivedMessage message = default;
        Result<long> result = Receive(Thread.Current!, ref sink, MessageFlags.None, ref message);
        // read(2) has no place for them.
        if (message.Files is not null)
        {
            foreach (OpenFile file in message.Files) file.Release();
        }
        return result;
    }

    public override Result<long> WriteAt(ref IoSource source, ref long position)
    {
        Result<long> result = Send(Thread.Current!, ref source, default, null, MessageFlags.None);
        if (result.Error == Errno.EPIPE) PipeFile.SendBrokenPipe(Thread.Current);
        return result;
    }
}
