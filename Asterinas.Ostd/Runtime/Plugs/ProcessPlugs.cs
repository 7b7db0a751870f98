using System;
using System.Runtime;
using System.Runtime.CompilerServices;

namespace Asterinas.Ostd.Runtime;

/// <summary>What the runtime asks about its process and machine: sysconf, time, identity, the image's program headers, the end.</summary>
// SAFETY: pointers are the C ABI's (the archive, compiled against glibc, owns the buffers and states their size where it varies); structures are written with
// glibc's layout and no field beyond it.
internal static unsafe class ProcessPlugs
{
    public const int ProcessId = 1;

    // ---- sysconf (numbers of Linux' unistd.h)

    [RuntimeExport("sysconf")]
    private static long SystemConfiguration(int name)
    {
        switch (name)
        {
            case 30: return 4096;                                           // _SC_PAGESIZE
            case 83: case 84: return Cpus.Count;                         // _SC_NPROCESSORS_CONF, _ONLN
            case 85: return (long)Boot.TotalPages;                          // _SC_PHYS_PAGES
            case 86: return (long)FrameReserve.FreePages;                   // _SC_AVPHYS_PAGES: live
            case 185: case 188: return 32768;                               // L1 instruction and data cache size
            case 191: return 1 << 20;                                       // L2 cache size
            case 194: return 8 << 20;                                       // L3 cache size: the GC derives its gen0 budget from it
            default:
                Errno.Set(Errno.EINVAL);
                return -1;
        }
    }

    [RuntimeExport("sysinfo")]
    private static int SystemInformation(ulong* info)
    {
        // struct sysinfo: uptime, loads[3], totalram, freeram, …; 112 bytes, mem_unit at 104.
        X64.Fill(info, 0, 112);
        info[0] = Clock.Nanoseconds() / 1000000000;
        info[4] = Boot.TotalPages * 4096;
        info[5] = FrameReserve.FreePages * 4096;
        *(uint*)((byte*)info + 104) = 1;
        return 0;
    }

    [RuntimeExport("getrlimit64")]
    private static int ResourceLimit(int resource, ulong* limit)
    {
        limit[0] = limit[1] = ulong.MaxValue;                               // RLIM_INFINITY: the kernel has no limits on itself
        return 0;
    }

    [RuntimeExport("getpid")] private static int GetProcessId() => ProcessId;
    [RuntimeExport("sched_getcpu")] private static int CurrentCpu() => X64.PerCpu()->CpuId;

    [RuntimeExport("sched_yield")]
    private static int Yield()
    {
        // The runtime yields while it spins for a lock: its holder is on another CPU (one that leaves its CPU holds none).
        X64.Pause();
        return 0;
    }

    [RuntimeExport("sched_getaffinity")]
    private static int Affinity(int process, nuint bytes, byte* set)
    {
        if (bytes < 8) return Errno.Fail(Errno.EINVAL);
        X64.Fill(set, 0, bytes);
        for (int i = 0; i < Cpus.Count; i++) set[i / 8] |= (byte)(1 << (i & 7));
        return 0;
    }

    [RuntimeExport("__sched_cpucount")]
    private static int CountCpus(nuint bytes, byte* set)
    {
        int count = 0;
        for (nuint i = 0; i < bytes; i++)
        {
            for (int bits = set[i]; bits != 0; bits &= bits - 1) count++;
        }
        return count;
    }

    [RuntimeExport("__sched_cpualloc")] private static void* AllocateCpuSet(nuint cpus) => KernelHeap.AllocateZeroed((cpus + 63) / 64, 8);
    [RuntimeExport("__sched_cpufree")] private static void FreeCpuSet(void* set) => KernelHeap.Free(set);

    /// <summary>Raw system calls of the archive: 186 gettid, 324 membarrier. Variadic in C; the arguments arrive in the usual registers.</summary>
    [RuntimeExport("syscall")]
    private static long SystemCall(long number, long first, long second)
    {
        const long MembarrierQuery = 0, PrivateExpedited = 8, RegisterPrivateExpedited = 16;
        if (number == 186) return Threads.Current->Id;
        if (number != 324) return Errno.Fail(Errno.ENOSYS);
        switch (first)
        {
            case MembarrierQuery:
                return PrivateExpedited | RegisterPrivateExpedited;
            case RegisterPrivateExpedited:
                return 0;                                                   // nothing to prepare: the kernel itself is the process
            case PrivateExpedited:
                CpuCalls.FenceAll();
                return 0;
            default:
                return Errno.Fail(Errno.EINVAL);
        }
    }

    // ---- time

    [RuntimeExport("clock_gettime")]
    private static int GetClock(int clock, long* time)
    {
        ulong now = Clock.Nanoseconds();
        if (clock is 0 or 5) now += Clock.RealTimeAtBoot;                   // CLOCK_REALTIME, _COARSE
        else if (clock is not (1 or 4 or 6 or 7 or 2 or 3)) return Errno.Fail(Errno.EINVAL);
        time[0] = (long)(now / 1000000000);
        time[1] = (long)(now % 1000000000);
        return 0;
    }

    [RuntimeExport("gettimeofday")]
    private static int GetTimeOfDay(long* time, void* zone)
    {
        ulong now = Clock.Nanoseconds() + Clock.RealTimeAtBoot;
        time[0] = (long)(now / 1000000000);
        time[1] = (long)(now % 1000000000 / 1000);
        return 0;
    }

    [RuntimeExport("time")]
    private static long GetTime(long* result)
    {
        long now = (long)((Clock.Nanoseconds() + Clock.RealTimeAtBoot) / 1000000000);
        if (result != null) *result = now;
        return now;
    }

    [RuntimeExport("nanosleep")]
    private static int Sleep(long* request, long* remaining)
    {
        if (request[0] < 0 || request[1] is < 0 or > 999999999) return Errno.Fail(Errno.EINVAL);
        Threads.Sleep(Clock.Nanoseconds() + (ulong)request[0] * 1000000000 + (ulong)request[1]);
        return 0;
    }

    [RuntimeExport("clock_nanosleep")]
    private static int ClockSleep(int clock, int flags, long* request, long* remaining)
    {
        if (clock is not (0 or 1) || request[0] < 0 || request[1] is < 0 or > 999999999) return Errno.EINVAL;
        ulong time = (ulong)request[0] * 1000000000 + (ulong)request[1];
        if ((flags & 1) == 0) time += Clock.Nanoseconds();
        else if (clock == 0) time = time > Clock.RealTimeAtBoot ? time - Clock.RealTimeAtBoot : 0;
        Threads.Sleep(time);
        return 0;
    }

    // ---- the image

    private struct ProgramHeader
    {
        public uint Type, Flags;
        public ulong Offset, VirtualAddress, PhysicalAddress, FileBytes, MemoryBytes, Align;
    }

    private struct ProgramInfo
    {
        public ulong Address;
        public byte* Name;
        public ProgramHeader* Headers;
        public ushort HeaderCount;
        public ushort Padding0;
        public uint Padding1;
        public ulong Adds, Subs, TlsModule;
        public void* TlsData;
    }

    /// <summary>The unwinder finds its tables here: PT_LOAD of the image and PT_GNU_EH_FRAME (man 3 dl_iterate_phdr).</summary>
    [RuntimeExport("dl_iterate_phdr")]
    private static int IterateProgramHeaders(void* callback, nint data)
    {
        ProgramHeader* headers = stackalloc ProgramHeader[2];
        X64.Fill(headers, 0, (nuint)(2 * sizeof(ProgramHeader)));
        ulong start = X64.Symbol(ImageSymbol.TextStart), end = X64.Symbol(ImageSymbol.KernelEnd);
        headers[0].Type = 1;
        headers[0].Flags = 5;
        headers[0].VirtualAddress = start;
        headers[0].FileBytes = headers[0].MemoryBytes = end - start;
        headers[0].Align = 4096;
        headers[1].Type = 0x6474E550;
        headers[1].Flags = 4;
        headers[1].VirtualAddress = X64.Symbol(ImageSymbol.EhFrameHdrStart);
        headers[1].FileBytes = headers[1].MemoryBytes = X64.Symbol(ImageSymbol.EhFrameHdrEnd) - headers[1].VirtualAddress;
        headers[1].Align = 4;
        ProgramInfo info = default;
        info.Name = "kernel\0"u8.Pointer;
        info.Headers = headers;
        info.HeaderCount = 2;
        info.Adds = 1;
        return (int)X64.Call(callback, (nint)(&info), sizeof(ProgramInfo), data);
    }

    [RuntimeExport("dladdr")]
    private static int AddressInfo(ulong address, ulong* info)
    {
        ulong start = X64.Symbol(ImageSymbol.TextStart);
        if (address < start || address >= X64.Symbol(ImageSymbol.KernelEnd)) return 0;
        info[0] = (ulong)"kernel\0"u8.Pointer;
        info[1] = start;
        info[2] = info[3] = 0;
        return 1;
    }

    // ---- the end

    // The machine ends with the runtime: nothing may run after power off, so handlers are not kept.
    [RuntimeExport("__cxa_atexit")] private static int AtExit(void* function, void* argument, void* module) => 0;
    [RuntimeExport("atexit")] private static int AtExitSimple(void* function) => 0;
    [RuntimeExport("exit")] private static void Exit(int status) => Power.Off(status);

    [RuntimeExport("abort")]
    private static void Abort() => Panic.Fail("kernel panic: the .NET runtime gave up (see above)\n"u8);

    [RuntimeExport("__stack_chk_fail")]
    private static void StackSmashed() => Panic.Fail("kernel panic: stack smashed in native code\n"u8);
}

/// <summary>Random numbers before there is a kernel to ask: RDRAND, seeds for the runtime and for hash codes.</summary>
internal static class Entropy
{
    public static ulong StackCanary;

    public static void Initialize() => StackCanary = Next() & ~0xFFUL;      // a zero byte stops string overruns

    [RuntimeExport("ostd_random_u64")]
    public static ulong Next()
    {
        ulong value = X64.RdRand();
        return value != 0 ? value : X64.ReadTsc() * 0x9E3779B97F4A7C15;
    }
}
