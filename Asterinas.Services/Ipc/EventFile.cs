using System;
using System.Buffers.Binary;
using System.Threading;
using Asterinas.Services.Memory;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Ipc;

/// <summary>A counter to wait for (man 2 eventfd). Changed by compare-and-swap: reading and writing take no lock.</summary>
internal sealed class EventFile : OpenFile
{
    private const ulong Most = ulong.MaxValue - 1;
    private readonly Pollee _pollee = new();
    private readonly bool _isSemaphore;
    private ulong _count;

    public EventFile(ulong count, bool isSemaphore, OpenFlags flags) : base(new VfsPath(null, AnonymousFileSystem.Files.Shared), OpenFlags.ReadWrite | flags)
    {
        _count = count;
        _isSemaphore = isSemaphore;
    }

    public override bool IsPollable => true;

    public override string? AnonymousName => "anon_inode:[eventfd]";

    public override Result<long> ReadAt(ref IoSink sink, long position)
    {
        if (sink.Remaining < sizeof(ulong)) return Errno.EINVAL;
        ulong taken;
        while ((taken = Take()) == 0)
        {
            if (IsNonBlocking) return Errno.EAGAIN;
            Errno waited = _pollee.Wait(this, static file => Volatile.Read(ref file._count) != 0);
            if (waited != Errno.None) return waited;
        }
        _pollee.Notify(PollEvents.Out | PollEvents.WriteNormal);
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, taken);
        return sink.Write(bytes) == bytes.Length ? bytes.Length : Errno.EFAULT;
    }

    public override Result<long> WriteAt(ref IoSource source, ref long position)
    {
        if (source.Remaining < sizeof(ulong)) return Errno.EINVAL;
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        if (source.Read(bytes) != bytes.Length) return Errno.EFAULT;
        ulong value = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        if (value == ulong.MaxValue) return Errno.EINVAL;
        while (!TryAdd(value))
        {
            if (IsNonBlocking) return Errno.EAGAIN;
            Errno waited = _pollee.Wait((this, value), static state => Most - Volatile.Read(ref state.Item1._count) >= state.value);
            if (waited != Errno.None) return waited;
        }
        _pollee.Notify(PollEvents.In | PollEvents.ReadNormal);
        return bytes.Length;
    }

    public override PollEvents Poll(PollObserver? observer)
    {
        if (observer is not null) _pollee.Register(observer);
        ulong count = Volatile.Read(ref _count);
        PollEvents events = PollEvents.None;
        if (count > 0) events |= PollEvents.In | PollEvents.ReadNormal;
        if (count < Most) events |= PollEvents.Out | PollEvents.WriteNormal;
        return events;
    }

    public override string DescribeForProc() => $"eventfd-count: {Volatile.Read(ref _count),16:x}\neventfd-semaphore: {(_isSemaphore ? 1 : 0)}\n";

    private ulong Take()
    {
        while (true)
        {
            ulong count = Volatile.Read(ref _count);
            if (count == 0) return 0;
            ulong taken = _isSemaphore ? 1 : count;
            if (Interlocked.CompareExchange(ref _count, count - taken, count) == count) return taken;
        }
    }

    private bool TryAdd(ulong value)
    {
        while (true)
        {
            ulong count = Volatile.Read(ref _count);
            if (Most - count < value) return false;
            if (Interlocked.CompareExchange(ref _count, count + value, count) == count) return true;
        }
    }
}
