using System.Runtime.InteropServices;
using System.Threading;
using Asterinas.Ostd.Runtime;
using Asterinas.Ostd.Tasks;

namespace Asterinas.Ostd.Arch;

/// <summary>
/// The seam between managed Ostd and what is below it. Here: direct calls into the platform layer (Asterinas.Ostd/Runtime, no-GC code).
/// Leaf functions suppress the GC transition; whatever blocks, switches, halts or enters user mode leaves cooperative mode first, so that a thread
/// that waits never delays a collection.
/// </summary>
/// <remarks>SAFETY: every import is an exported function of the platform layer with exactly this C signature (the link fails on a missing one).</remarks>
// SAFETY: each declaration matches the [RuntimeExport] method of the same name in Asterinas.Ostd/Runtime; callers inside Ostd keep the contracts stated there.
internal static unsafe class Machine
{
    private const string Library = "ostd";

    // ---- physical memory and address spaces

    public const ulong DirectMapBase = 0xFFFF800000000000;
    /// <summary>First address beyond user space: PML4 slot 255 belongs to the garbage collector.</summary>
    public const ulong UserEnd = 0x00007F8000000000;

    public static byte* PhysToVirt(ulong physical) => (byte*)(DirectMapBase + physical);

    [DllImport(Library, EntryPoint = "ostd_frame_metas"), SuppressGCTransition] public static extern FrameMeta* FrameMetas();
    [DllImport(Library, EntryPoint = "ostd_frame_count"), SuppressGCTransition] public static extern ulong FrameCount();
    [DllImport(Library, EntryPoint = "ostd_reserve_allocate")] public static extern ulong ReserveAllocate(int order);
    [DllImport(Library, EntryPoint = "ostd_reserve_free"), SuppressGCTransition] public static extern int ReserveFree(ulong physical, int order);
    [DllImport(Library, EntryPoint = "ostd_reserve_free_pages"), SuppressGCTransition] public static extern ulong ReserveFreePages();
    [DllImport(Library, EntryPoint = "ostd_idle_stack_pages"), SuppressGCTransition] public static extern ulong IdleStackPages();
    [DllImport(Library, EntryPoint = "ostd_reserve_set_low_water"), SuppressGCTransition] public static extern void ReserveSetLowWater(ulong pages);
    [DllImport(Library, EntryPoint = "ostd_kernel_root"), SuppressGCTransition] public static extern ulong KernelRoot();
    [DllImport(Library, EntryPoint = "ostd_activate_root"), SuppressGCTransition] public static extern void ActivateRoot(ulong physical);
    [DllImport(Library, EntryPoint = "ostd_active_root"), SuppressGCTransition] public static extern ulong ActiveRoot();
    [DllImport(Library, EntryPoint = "ostd_flush_tlb")] public static extern void FlushTlb(ulong root, ulong address, ulong pages);
    [DllImport(Library, EntryPoint = "ostd_copy_from_user"), SuppressGCTransition] public static extern nuint CopyFromUser(byte* destination, ulong source, nuint count);
    [DllImport(Library, EntryPoint = "ostd_copy_to_user"), SuppressGCTransition] public static extern nuint CopyToUser(ulong destination, byte* source, nuint count);
    [DllImport(Library, EntryPoint = "ostd_zero_user"), SuppressGCTransition] public static extern nuint ZeroUser(ulong destination, nuint count);
    [DllImport(Library, EntryPoint = "ostd_compare_exchange_user32"), SuppressGCTransition] public static extern int CompareExchangeUser32(ulong address, uint expected, uint value, uint* found);
    [DllImport(Library, EntryPoint = "ostd_copy_user_string"), SuppressGCTransition] public static extern nuint CopyUserString(byte* destination, ulong source, nuint room);
    [DllImport(Library, EntryPoint = "ostd_load_user32"), SuppressGCTransition] public static extern int LoadUser32(ulong address, uint* found);
    [DllImport(Library, EntryPoint = "ostd_update_user32"), SuppressGCTransition] public static extern int UpdateUser32(ulong address, int operation, uint operand, uint* found);
    [DllImport(Library, EntryPoint = "ostd_zero_page"), SuppressGCTransition] public static extern void ZeroPage(ulong physical);
    [DllImport(Library, EntryPoint = "ostd_copy_page"), SuppressGCTransition] public static extern void CopyPage(ulong to, ulong from);
    [DllImport(Library, EntryPoint = "malloc")] public static extern void* Malloc(nuint bytes);
    [DllImport(Library, EntryPoint = "aligned_alloc")] public static extern void* AlignedAlloc(nuint alignment, nuint bytes);
    [DllImport(Library, EntryPoint = "free")] public static extern void Free(void* block);

    // ---- threads

    [DllImport(Library, EntryPoint = "ostd_thread_create")] public static extern nint ThreadCreate(delegate* unmanaged<nint, void> entry, nint argument, nuint stackBytes);
    [DllImport(Library, EntryPoint = "ostd_thread_current"), SuppressGCTransition] public static extern nint ThreadCurrent();
    [DllImport(Library, EntryPoint = "ostd_thread_switch")] public static extern void ThreadSwitch(nint next);
    [DllImport(Library, EntryPoint = "ostd_thread_idle"), SuppressGCTransition] public static extern nint ThreadIdle();
    [DllImport(Library, EntryPoint = "ostd_thread_set_idle"), SuppressGCTransition] public static extern void ThreadSetIdle(nint thread);
    [DllImport(Library, EntryPoint = "ostd_thread_take_ready"), SuppressGCTransition] public static extern nint ThreadTakeReady();
    [DllImport(Library, EntryPoint = "ostd_set_thread_tag"), SuppressGCTransition] public static extern void SetThreadTag(nint thread, nint tag);
    [DllImport(Library, EntryPoint = "ostd_get_thread_tag"), SuppressGCTransition] public static extern nint GetThreadTag(nint thread);
    [DllImport(Library, EntryPoint = "ostd_thread_count"), SuppressGCTransition] public static extern int ThreadCount();

    [DllImport(Library, EntryPoint = "ostd_thread_policy_mark"), SuppressGCTransition] public static extern PolicyWatch.Mark* ThreadPolicyMark(nint thread);
    [DllImport(Library, EntryPoint = "ostd_watch_policy"), SuppressGCTransition] public static extern void WatchPolicy(int kind, byte* name, int length);

    // ---- this CPU

    [DllImport(Library, EntryPoint = "ostd_cpu_count"), SuppressGCTransition] public static extern int CpuCount();
    [DllImport(Library, EntryPoint = "ostd_cpu_id"), SuppressGCTransition] public static extern int CpuId();
    [DllImport(Library, EntryPoint = "ostd_cpuid"), SuppressGCTransition] public static extern void CpuidInstruction(uint leaf, uint subleaf, uint* four);
    /// <summary>Gives a CPU that is online its idle thread: from then on it runs threads.</summary>
    [DllImport(Library, EntryPoint = "ostd_cpu_start")] public static extern void CpuStart(int cpu, nint idleThread);
    /// <summary>Notes a reschedule event on a CPU, and interrupts it if it is another one.</summary>
    [DllImport(Library, EntryPoint = "ostd_kick_cpu"), SuppressGCTransition] public static extern void KickCpu(int cpu);
    [DllImport(Library, EntryPoint = "ostd_halt")] public static extern void Halt();
    /// <summary>A spin hint with a GC transition: a collection can stop the spinner here.</summary>
    [DllImport(Library, EntryPoint = "ostd_pause")] public static extern void Pause();
    [DllImport(Library, EntryPoint = "ostd_pending_events"), SuppressGCTransition] public static extern uint PendingEvents();
    [DllImport(Library, EntryPoint = "ostd_take_timer_expired"), SuppressGCTransition] public static extern int TakeTimerExpired();
    [DllImport(Library, EntryPoint = "ostd_take_reschedule"), SuppressGCTransition] public static extern int TakeReschedule();
    [DllImport(Library, EntryPoint = "ostd_take_reserve_low"), SuppressGCTransition] public static extern int TakeReserveLow();
    [DllImport(Library, EntryPoint = "ostd_take_pending_vector"), SuppressGCTransition] public static extern int TakePendingVector();
    [DllImport(Library, EntryPoint = "ostd_interrupt_count"), SuppressGCTransition] public static extern ulong InterruptCount();

    // ---- time

    [DllImport(Library, EntryPoint = "ostd_monotonic_ns"), SuppressGCTransition] public static extern ulong MonotonicNs();
    [DllImport(Library, EntryPoint = "ostd_real_time_ns_at_boot"), SuppressGCTransition] public static extern ulong RealTimeNsAtBoot();
    [DllImport(Library, EntryPoint = "ostd_tsc_frequency"), SuppressGCTransition] public static extern ulong TscFrequency();
    [DllImport(Library, EntryPoint = "ostd_tsc_at_boot"), SuppressGCTransition] public static extern ulong TscAtBoot();
    [DllImport(Library, EntryPoint = "ostd_tsc_multiplier"), SuppressGCTransition] public static extern ulong TscMultiplier();
    [DllImport(Library, EntryPoint = "ostd_timer_arm"), SuppressGCTransition] public static extern void TimerArm(ulong deadlineNs);
    [DllImport(Library, EntryPoint = "ostd_timer_storm"), SuppressGCTransition] public static extern void TimerStorm(ulong periodNs);

    // ---- user mode

    [DllImport(Library, EntryPoint = "ostd_user_execute")] public static extern int UserExecute(byte* frame);
    [DllImport(Library, EntryPoint = "ostd_user_save")] public static extern void UserSave(byte* frame);
    [DllImport(Library, EntryPoint = "ostd_xsave_mask"), SuppressGCTransition] public static extern ulong XsaveMask();
    [DllImport(Library, EntryPoint = "ostd_xsave_bytes"), SuppressGCTransition] public static extern uint XsaveBytes();

    // ---- ports, device memory, interrupt routing

    [DllImport(Library, EntryPoint = "ostd_in8"), SuppressGCTransition] public static extern byte In8(ushort port);
    [DllImport(Library, EntryPoint = "ostd_in16"), SuppressGCTransition] public static extern ushort In16(ushort port);
    [DllImport(Library, EntryPoint = "ostd_in32"), SuppressGCTransition] public static extern uint In32(ushort port);
    [DllImport(Library, EntryPoint = "ostd_out8"), SuppressGCTransition] public static extern void Out8(ushort port, byte value);
    [DllImport(Library, EntryPoint = "ostd_out16"), SuppressGCTransition] public static extern void Out16(ushort port, ushort value);
    [DllImport(Library, EntryPoint = "ostd_out32"), SuppressGCTransition] public static extern void Out32(ushort port, uint value);
    [DllImport(Library, EntryPoint = "ostd_map_io")] public static extern nint MapIo(ulong physical, nuint bytes, int cacheType);
    [DllImport(Library, EntryPoint = "ostd_unmap_io")] public static extern void UnmapIo(nint address, nuint bytes);
    /// <summary>One load or store of device memory, in program order.</summary>
    public static byte IoRead8(byte* address) => Volatile.Read(ref *address);
    public static ushort IoRead16(byte* address) => Volatile.Read(ref *(ushort*)address);
    public static uint IoRead32(byte* address) => Volatile.Read(ref *(uint*)address);
    public static ulong IoRead64(byte* address) => Volatile.Read(ref *(ulong*)address);
    public static void IoWrite8(byte* address, byte value) => Volatile.Write(ref *address, value);
    public static void IoWrite16(byte* address, ushort value) => Volatile.Write(ref *(ushort*)address, value);
    public static void IoWrite32(byte* address, uint value) => Volatile.Write(ref *(uint*)address, value);
    public static void IoWrite64(byte* address, ulong value) => Volatile.Write(ref *(ulong*)address, value);
    /// <summary>Makes what was written visible to hardware that does not look into the caches.</summary>
    [DllImport(Library, EntryPoint = "ostd_flush_cache"), SuppressGCTransition] public static extern void FlushCache(byte* address, nuint bytes);
    [DllImport(Library, EntryPoint = "ostd_map_firmware")] public static extern int MapFirmware(ulong physical, ulong bytes);
    [DllImport(Library, EntryPoint = "ostd_acpi_find")] public static extern ulong AcpiFind(uint signature);
    [DllImport(Library, EntryPoint = "ostd_io_apic_route"), SuppressGCTransition] public static extern int IoApicRoute(uint gsi, int vector, int flags);
    [DllImport(Library, EntryPoint = "ostd_io_apic_unmask"), SuppressGCTransition] public static extern void IoApicUnmask(uint gsi);
    /// <summary>Where a device writes to interrupt this CPU; the data is the vector (SDM vol. 3 §11.11).</summary>
    [DllImport(Library, EntryPoint = "ostd_message_address"), SuppressGCTransition] public static extern ulong MessageAddress();
    [DllImport(Library, EntryPoint = "ostd_isa_interrupt"), SuppressGCTransition] public static extern ulong IsaInterrupt(int line);

    // ---- console, diagnostics, the end

    [DllImport(Library, EntryPoint = "ostd_console_write")] public static extern void ConsoleWrite(byte* text, nuint length);
    [DllImport(Library, EntryPoint = "ostd_console_read"), SuppressGCTransition] public static extern int ConsoleRead();
    [DllImport(Library, EntryPoint = "ostd_console_enable_input"), SuppressGCTransition] public static extern void ConsoleEnableInput();
    [DllImport(Library, EntryPoint = "ostd_boot_info"), SuppressGCTransition] public static extern BootInfoData* BootInfo();
    [DllImport(Library, EntryPoint = "ostd_gc_memory_counter"), SuppressGCTransition] public static extern long GcMemoryCounter(int index);
    [DllImport(Library, EntryPoint = "ostd_suspension_count"), SuppressGCTransition] public static extern long SuspensionCount();
    [DllImport(Library, EntryPoint = "ostd_suspension_time"), SuppressGCTransition] public static extern ulong SuspensionTime(long number);
    [DllImport(Library, EntryPoint = "ostd_symbol_name"), SuppressGCTransition] public static extern int SymbolName(ulong address, byte* buffer, int capacity);
    [DllImport(Library, EntryPoint = "ostd_random_u64"), SuppressGCTransition] public static extern ulong RandomU64();
    [DllImport(Library, EntryPoint = "ostd_panic")] public static extern void Panic(byte* message, nuint length);
    [DllImport(Library, EntryPoint = "ostd_power_off")] public static extern void PowerOff(int status);
    [DllImport(Library, EntryPoint = "ostd_reboot")] public static extern void Reboot();
}
