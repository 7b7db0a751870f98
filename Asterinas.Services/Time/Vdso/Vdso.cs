using System.Threading;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Timers;
using Asterinas.Services.Memory;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Time;

/// <summary>
/// The vDSO (man 7 vdso): a shared object in every program that reads clocks without a system call. The code is vdso.s, assembled by the build. The page before it holds what turns the
/// time-stamp counter into time; the kernel changes it only when the wall clock is set. All programs share the same pages.
/// </summary>
internal static partial class Vdso
{
    private const int Sequence = 0, Base = 8, Multiplier = 16, Offset = 24, ZoneOffset = 32;

    // The mappings of all programs last as long as the kernel: nobody needs a list of them.
    private sealed class Pages : MemoryObject
    {
        private readonly Frame[] _frames = new Frame[1 + (Image.Length + PageSize.Small - 1) / PageSize.Small];

        public Pages()
        {
            for (int i = 0; i < _frames.Length; i++) _frames[i] = Frame.Allocate();
            for (int i = 1; i < _frames.Length; i++)
            {
                int start = (i - 1) * PageSize.Small;
                _frames[i].Writer().Write(Image[start..System.Math.Min(Image.Length, start + PageSize.Small)]);
            }
            Put(Base, Clock.TscAtBoot);
            Put(Multiplier, Clock.TscMultiplier);
            Put(Offset, (ulong)WallClock.OffsetNs);
        }

        public int Count => _frames.Length;

        public override Inode? Inode => null;

        public override Result<Frame> GetPage(ulong index, Access access) => index < (ulong)_frames.Length ? _frames[index].Share() : Errno.EFAULT;

        public override void AddMapping(Mapping mapping)
        {
        }

        public override void RemoveMapping(Mapping mapping)
        {
        }

        public void Put(int offset, ulong value) => _frames[0].Writer(offset, sizeof(ulong)).TryWrite(value);

        public void PutSequence(uint value) => _frames[0].Writer(Sequence, sizeof(uint)).TryWrite(value);
    }

    private static readonly SpinLock s_lock = new("vdso");
    private static readonly Pages s_pages = new();
    private static uint s_sequence;
    private static long s_zone;

    /// <summary>The zone of settimeofday(2): kept for whoever asks, without any effect.</summary>
    public static long Zone
    {
        get => Volatile.Read(ref s_zone);
        set
        {
            Volatile.Write(ref s_zone, value);
            Change(ZoneOffset, (ulong)value);
        }
    }

    /// <summary>Maps it into a program's memory, data page first. ENOMEM. May block.</summary>
    public static Errno Map(AddressSpace memory)
    {
        ulong length = (ulong)s_pages.Count * PageSize.Small;
        Result<ulong> data = memory.Map(new MapRequest
        {
            Length = length, Protection = Protection.Read, MaxProtection = Protection.Read, Flags = MapFlags.Private, Object = s_pages, Name = "[vvar]",
        });
        if (!data.IsOk) return data.Error;
        Result<ulong> code = memory.Map(new MapRequest
        {
            Address = data.Value + PageSize.Small, Length = length - PageSize.Small, Protection = Protection.Read | Protection.Execute,
            MaxProtection = Protection.Read | Protection.Write | Protection.Execute, Flags = MapFlags.Private | MapFlags.Fixed, Object = s_pages, ObjectPage = 1, Name = "[vdso]",
        });
        if (code.IsOk) memory.VdsoStart = code.Value;
        return code.Error;
    }

    /// <summary>The wall clock was set.</summary>
    public static void OnClockSet() => Change(Offset, (ulong)WallClock.OffsetNs);

    // A program that reads meanwhile sees an odd number, or another one afterwards, and reads again. The CPU keeps stores in order.
    private static void Change(int offset, ulong value)
    {
        using SpinLock.Guard guard = s_lock.Lock();
        s_pages.PutSequence(++s_sequence);
        s_pages.Put(offset, value);
        s_pages.PutSequence(++s_sequence);
    }
}
