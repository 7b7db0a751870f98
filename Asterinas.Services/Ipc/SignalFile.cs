using System;
using System.Buffers.Binary;
using System.Threading;
using Asterinas.Services.Memory;
using Asterinas.Services.Signals;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Ipc;

/// <summary>Signals as something to read (man 2 signalfd): those of the reader, whoever opened it.</summary>
internal sealed class SignalFile : OpenFile
{
    private const int EntryBytes = 128;
    private ulong _mask;

    public SignalFile(SignalSet mask, OpenFlags flags) : base(new VfsPath(null, AnonymousFileSystem.Files.Shared), OpenFlags.ReadWrite | flags) => _mask = mask.Bits;

    public override bool IsPollable => true;

    public override string? AnonymousName => "anon_inode:[signalfd]";

    private SignalSet Mask => new(Volatile.Read(ref _mask));

    public void SetMask(SignalSet mask)
    {
        Volatile.Write(ref _mask, mask.Bits);
        Thread.Current?.Process.SignalPollee.Notify(PollEvents.In | PollEvents.ReadNormal);
    }

    public override Result<long> ReadAt(ref IoSink sink, long position)
    {
        if (sink.Remaining < EntryBytes) return Errno.EINVAL;
        Thread thread = Thread.Current!;
        Span<byte> bytes = stackalloc byte[EntryBytes];
        long done = 0;
        while (sink.Remaining >= EntryBytes)
        {
            if (!thread.TryTake(Mask, out SignalInfo info))
            {
                if (done > 0) break;
                if (IsNonBlocking) return Errno.EAGAIN;
                Errno waited = thread.Process.SignalPollee.Wait((this, thread), static state => !(state.thread.Pending & state.Item1.Mask).IsEmpty);
                if (waited != Errno.None) return waited;
                continue;
            }
            Encode(info, bytes);
            if (sink.Write(bytes) != EntryBytes) return done > 0 ? done : Errno.EFAULT;
            done += EntryBytes;
        }
        return done;
    }

    // The observer belongs to the caller, and sees the caller's signals.
    public override PollEvents Poll(PollObserver? observer)
    {
        if (Thread.Current is not { } thread) return PollEvents.None;
        if (observer is not null) thread.Process.SignalPollee.Register(observer);
        return (thread.Pending & Mask).IsEmpty ? PollEvents.None : PollEvents.In | PollEvents.ReadNormal;
    }

    public override string DescribeForProc() => $"sigmask:\t{Mask.Bits:x16}\n";

    // struct signalfd_siginfo.
    private static void Encode(in SignalInfo info, Span<byte> bytes)
    {
        const int ChildCode = 0;
        bytes.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, (uint)info.Signal);
        BinaryPrimitives.WriteInt32LittleEndian(bytes[4..], info.ErrorNumber);
        BinaryPrimitives.WriteInt32LittleEndian(bytes[8..], info.Code);
        bool isFault = info.Code > 0 && info.Code < SignalInfo.Kernel && info.Signal is Signal.SIGSEGV or Signal.SIGBUS or Signal.SIGILL or Signal.SIGFPE or Signal.SIGTRAP;
        if (isFault)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(bytes[72..], info.Value);
            return;
        }
        if (info.Signal == Signal.SIGIO && info.Code > 0)
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes[20..], (int)info.UserTime);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes[28..], (uint)info.Value);
            return;
        }
        if (info.Code == SignalInfo.Timer)
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes[24..], info.Pid);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes[32..], info.Uid);
        }
        else
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes[12..], info.Pid);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes[16..], info.Uid);
        }
        if (info.Signal == Signal.SIGCHLD && info.Code > ChildCode)
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes[40..], (int)info.Value);
            BinaryPrimitives.WriteInt64LittleEndian(bytes[56..], info.UserTime);
            BinaryPrimitives.WriteInt64LittleEndian(bytes[64..], info.SystemTime);
            return;
        }
        if (info.Code is SignalInfo.Queue or SignalInfo.Timer or SignalInfo.MessageQueue)
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes[44..], (int)info.Value);
            BinaryPrimitives.WriteUInt64LittleEndian(bytes[48..], info.Value);
        }
    }
}
