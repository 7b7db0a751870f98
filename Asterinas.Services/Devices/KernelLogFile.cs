using System;
using System.Threading;
using Asterinas.Services.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Devices;

/// <summary>/dev/kmsg (man 4 kmsg): a read gives one line, the position is a line's number; a write adds one.</summary>
internal sealed class KernelLogFile : OpenFile
{
    private const int MostBytes = 1024;
    private ulong _next = KernelLog.Oldest;

    private KernelLogFile(VfsPath path, OpenFlags flags) : base(path, flags)
    {
    }

    public static void Initialize()
    {
        KernelLog.Initialize();
        DeviceRegistry.Register(InodeType.CharacterDevice, new DeviceNumber(1, 11), "kmsg", 0x1A4, static (path, flags, thread) =>
            (flags & OpenFlags.AccessMask) != OpenFlags.WriteOnly && !thread.Credentials.Has(Capability.Syslog) && !thread.Credentials.Has(Capability.SysAdmin)
                ? Errno.EPERM : new KernelLogFile(path, flags));
    }

    public override bool IsPollable => true;
    public override bool IsSeekable => true;

    protected override Result<long> SeekTarget(long position, long offset, int whence)
    {
        if (offset != 0) return Errno.ESPIPE;
        switch (whence)
        {
            case 0: Volatile.Write(ref _next, KernelLog.Oldest); return 0;
            case 2: Volatile.Write(ref _next, KernelLog.Next); return 0;
            case 3: Volatile.Write(ref _next, KernelLog.ClearedAt); return 0;      // SEEK_DATA: behind the last clear
            default: return Errno.EINVAL;
        }
    }

    // The position's lock is held: readers take turns.
    public override Result<long> ReadAt(ref IoSink sink, long position)
    {
        LogRecord record;
        while (!KernelLog.TryGet(_next, out record))
        {
            ulong oldest = KernelLog.Oldest;
            if (_next < oldest)
            {
                // Lines were overwritten before they were read: the reader is told once.
                _next = oldest;
                return Errno.EPIPE;
            }
            if (IsNonBlocking) return Errno.EAGAIN;
            Errno waited = KernelLog.Pollee.Wait(this, static file => KernelLog.Next > file._next);
            if (waited != Errno.None) return waited;
        }
        Span<byte> bytes = stackalloc byte[MostBytes];
        int count = KernelLog.Format(record, bytes);
        if (sink.Remaining < count) return Errno.EINVAL;
        _next++;
        return sink.Write(bytes[..count]) == count ? count : Errno.EFAULT;
    }

    public override Result<long> WriteAt(ref IoSource source, ref long position)
    {
        if (source.Remaining > MostBytes) return Errno.EINVAL;
        Span<byte> bytes = stackalloc byte[MostBytes];
        int count = (int)source.Remaining;
        if (source.Read(bytes[..count]) != count) return Errno.EFAULT;
        KernelLog.Write(bytes[..count]);
        position = 0;
        return count;
    }

    public override PollEvents Poll(PollObserver? observer)
    {
        if (observer is not null) KernelLog.Pollee.Register(observer);
        PollEvents events = PollEvents.Out | PollEvents.WriteNormal;
        ulong next = Volatile.Read(ref _next);
        if (next < KernelLog.Next) events |= next < KernelLog.Oldest ? PollEvents.In | PollEvents.ReadNormal | PollEvents.Error | PollEvents.Priority : PollEvents.In | PollEvents.ReadNormal;
        return events;
    }
}
