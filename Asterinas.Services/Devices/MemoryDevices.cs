using System;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Devices;

/// <summary>The devices without hardware (man 4 null, full, random).</summary>
internal static class MemoryDevices
{
    private const int EverybodyMayAll = 0x1B6;
    private const uint MemoryMajor = 1;

    public static void Initialize()
    {
        Add(3, "null", static (path, flags, _) => new NullFile(path, flags));
        Add(5, "zero", static (path, flags, _) => new ZeroFile(path, flags, isFull: false));
        Add(7, "full", static (path, flags, _) => new ZeroFile(path, flags, isFull: true));
        Add(8, "random", static (path, flags, _) => new RandomFile(path, flags));
        Add(9, "urandom", static (path, flags, _) => new RandomFile(path, flags));
    }

    private static void Add(uint minor, string name, Func<VfsPath, OpenFlags, Thread, Result<OpenFile>> open) =>
        DeviceRegistry.Register(InodeType.CharacterDevice, new DeviceNumber(MemoryMajor, minor), name, EverybodyMayAll, open);
}

/// <summary>An open device whose position does not matter: seeking is allowed and leads nowhere.</summary>
internal abstract class PositionlessFile(VfsPath path, OpenFlags flags) : OpenFile(path, flags)
{
    public override bool IsSeekable => true;

    protected override Result<long> SeekTarget(long position, long offset, int whence) => whence is 0 or 1 or 2 ? 0 : Errno.EINVAL;

    public override bool IsPollable => true;
}

/// <summary>/dev/null: empty, and takes everything.</summary>
internal sealed class NullFile(VfsPath path, OpenFlags flags) : PositionlessFile(path, flags)
{
    public override Result<long> ReadAt(ref IoSink sink, long position) => 0;

    public override Result<long> WriteAt(ref IoSource source, ref long position)
    {
        long count = source.Remaining;
        source.Skip(count);
        position = 0;
        return count;
    }
}

/// <summary>/dev/zero and /dev/full: zeroes without end. The one takes everything, the other never has room.</summary>
internal sealed class ZeroFile(VfsPath path, OpenFlags flags, bool isFull) : PositionlessFile(path, flags)
{
    // Larger than any address space: a mapping may show any part of it, and pays as it uses it.
    private const ulong MostPages = 1UL << 35;

    public override Result<long> ReadAt(ref IoSink sink, long position)
    {
        long done = 0;
        while (sink.Remaining > 0)
        {
            long step = Math.Min(sink.Remaining, 64 * 1024), filled = sink.Fill(step);
            done += filled;
            if (filled < step) return done > 0 ? done : Errno.EFAULT;
            Task.YieldIfNeeded();
        }
        return done;
    }

    public override Result<long> WriteAt(ref IoSource source, ref long position)
    {
        if (isFull) return Errno.ENOSPC;
        long count = source.Remaining;
        source.Skip(count);
        position = 0;
        return count;
    }

    public override Result<MemoryObject> GetMemoryObject(Protection protection, bool isShared)
    {
        if (isFull) return Errno.ENODEV;
        Result<SharedAnonymous> made = SharedAnonymous.Create(MostPages, true);
        return made.IsOk ? made.Value : made.Error;
    }
}

/// <summary>/dev/random and /dev/urandom: since Linux 5.6 the same, once the generator is seeded.</summary>
internal sealed class RandomFile(VfsPath path, OpenFlags flags) : PositionlessFile(path, flags)
{
    private const uint EntropyCount = 0x80045200, AddToEntropyCount = 0x40045201, AddEntropy = 0x40085203, ClearPool = 0x5206, ReseedPool = 0x5207;
    private const int PoolBits = 256;

    public override Result<long> ReadAt(ref IoSink sink, long position)
    {
        long done = 0;
        Span<byte> bytes = stackalloc byte[256];
        while (sink.Remaining > 0)
        {
            int step = (int)Math.Min(sink.Remaining, bytes.Length);
            RandomGenerator.Fill(bytes[..step]);
            int copied = sink.Write(bytes[..step]);
            done += copied;
            if (copied < step) return done > 0 ? done : Errno.EFAULT;
            Task.YieldIfNeeded();
        }
        return done;
    }

    public override Result<long> WriteAt(ref IoSource source, ref long position)
    {
        long done = 0;
        Span<byte> bytes = stackalloc byte[256];
        while (source.Remaining > 0)
        {
            int count = source.Read(bytes[..(int)Math.Min(source.Remaining, bytes.Length)]);
            if (count == 0) return done > 0 ? done : Errno.EFAULT;
            RandomGenerator.Mix(bytes[..count]);
            done += count;
            Task.YieldIfNeeded();
        }
        position = 0;
        return done;
    }

    public override Result<long> Control(Thread thread, uint command, ulong argument)
    {
        switch (command)
        {
            case EntropyCount: return thread.Memory.Write(new UserAddress(argument), PoolBits);
            case AddToEntropyCount or AddEntropy or ClearPool or ReseedPool:
                if (!thread.Credentials.Has(Capability.SysAdmin)) return Errno.EPERM;
                return command == AddEntropy ? Stir(thread, argument) : 0;
            default: return Errno.EINVAL;
        }
    }

    // struct rand_pool_info: entropy_count, buf_size, bytes.
    private static Result<long> Stir(Thread thread, ulong argument)
    {
        if (thread.Memory.Read(new UserAddress(argument), out int bits) != Errno.None || thread.Memory.Read(new UserAddress(argument + 4), out int size) != Errno.None) return Errno.EFAULT;
        if (bits < 0 || size < 0) return Errno.EINVAL;
        var source = new IoSource(thread.Memory, new UserAddress(argument + 8), size);
        Span<byte> bytes = stackalloc byte[256];
        while (source.Remaining > 0)
        {
            int count = source.Read(bytes[..(int)Math.Min(source.Remaining, bytes.Length)]);
            if (count == 0) return Errno.EFAULT;
            RandomGenerator.Mix(bytes[..count]);
            Task.YieldIfNeeded();
        }
        return 0;
    }
}
