namespace Asterinas.Tests.Kernel;

/// <summary>Which boots run a test besides those that run all.</summary>
public enum KernelTestKind
{
    /// <summary>Every boot but those of another group.</summary>
    Basic,
    /// <summary>As <see cref="Basic"/>, and boots behind an IOMMU.</summary>
    Device,
    /// <summary>Only boots that run all: it is long, and about several CPUs.</summary>
    Smp,
}

/// <summary>One in-kernel test: its name, the guest's time limit in seconds, and its kind.</summary>
public readonly record struct KernelTest(string Name, int LimitSeconds, KernelTestKind Kind = KernelTestKind.Basic)
{
    /// <summary>Whether it is in a group of the test kernel's option <c>tests</c>: <c>devices</c>, <c>basic</c>, or null for all.</summary>
    public bool IsIn(string? group) => group switch
    {
        "devices" => Kind == KernelTestKind.Device,
        "basic" => Kind != KernelTestKind.Smp,
        _ => true,
    };
}

/// <summary>
/// The names of the in-kernel tests, compiled into the test kernel and into the NUnit assembly: NUnit knows every test before the kernel boots, so one that
/// a dead kernel never reported is a failure and not a silence. The kernel refuses a list that does not match its tests.
/// </summary>
public static class KernelTestList
{
    public static readonly KernelTest[] All =
    [
        new("Gc_collects_every_generation_200_times_with_64_MiB_live", 300),
        new("Gc_keeps_what_interior_pointers_on_the_stack_refer_to", 60),
        new("Gc_gives_memory_back_and_recommitted_pages_are_zero", 120),
        new("Gc_clears_weak_references_and_runs_finalizers", 60),
        new("Gc_survives_interrupts_at_10_kHz", 300),
        new("Exceptions_are_caught_by_type_through_nested_finally_blocks", 30),
        new("Exceptions_pass_filters_and_rethrow_keeps_the_stack_trace", 30),
        new("Exceptions_cross_interface_and_generic_frames", 30),
        new("Null_dereference_becomes_NullReferenceException", 60),
        new("Division_by_zero_becomes_DivideByZeroException", 60),
        new("Out_of_memory_can_be_caught_and_the_kernel_goes_on", 120),
        new("Clock_is_monotonic_and_near_the_wall_clock", 30),
        new("Boot_information_has_memory_map_command_line_and_rsdp", 30),
        new("User_registers_pass_through_system_calls", 60),
        new("User_segment_bases_are_the_programs_own", 60),
        new("User_vector_state_survives_task_switches", 60),
        new("User_extended_state_can_be_read_and_written", 60),
        new("User_exceptions_are_reported_with_vector_and_address", 60),
        new("User_addresses_outside_user_space_fault", 60),
        new("User_loops_are_preempted", 60),
        new("User_contexts_of_random_bytes_do_no_harm", 60),
        new("User_copies_answer_faults_with_short_counts", 60),
        new("User_spaces_that_are_disposed_cannot_run", 60),
        new("Tasks_run_in_turn_when_they_yield", 60),
        new("Tasks_have_thread_statics_of_their_own", 60),
        new("Tasks_that_end_by_an_exception_keep_it", 60),
        new("Tasks_by_the_thousand_leave_nothing_behind", 60),
        new("Tasks_asleep_keep_their_objects_through_collections", 60),
        new("Timers_fire_in_order_and_never_early", 60),
        new("Waits_end_by_wake_time_interrupt_or_kill", 60),
        new("Waits_of_two_tasks_hand_over_10000_times", 60),
        new("Mutex_excludes_and_wakes_in_order", 60),
        new("RwMutex_lets_readers_share_and_writers_alone", 60),
        new("Rcu_waits_for_readers", 60),
        new("Blocking_under_a_spin_lock_is_refused", 60),
        new("Scheduler_policies_that_lie_are_replaced", 60),
        new("Frames_are_zeroed_and_return_to_the_allocator", 60),
        new("Frames_that_are_forgotten_come_back_by_finalizers", 60),
        new("Frame_exhaustion_is_an_answer_and_everything_comes_back", 60),
        new("Frame_handles_that_are_disposed_answer_with_an_exception", 60),
        new("Address_spaces_map_protect_and_unmap_4_KiB_pages", 60),
        new("Address_spaces_map_2_MiB_pages_and_split_them", 60),
        new("Address_spaces_by_the_hundred_leave_nothing_behind", 60),
        new("Frame_lists_and_XArray_hold_frames", 60),
        new("Slab_slots_refuse_use_after_free", 60),
        new("Io_ports_and_memory_that_are_sensitive_are_refused", 60),
        new("Pci_functions_are_found_behind_bridges_and_are_quiet", 30, KernelTestKind.Device),
        new("Pci_functions_have_one_owner_and_bridges_none", 30, KernelTestKind.Device),
        new("Edu_answers_by_its_registers", 60, KernelTestKind.Device),
        new("Edu_interrupts_by_message", 60, KernelTestKind.Device),
        new("Edu_interrupts_through_its_pin", 60, KernelTestKind.Device),
        new("Edu_copies_by_DMA_both_ways", 60, KernelTestKind.Device),
        new("Nvme_interrupts_through_an_MSIX_table_that_drivers_cannot_write", 60, KernelTestKind.Device),
        new("Iommu_refuses_what_is_not_mapped", 60, KernelTestKind.Device),
        new("Cpus_all_run_tasks_and_wake_each_other", 60, KernelTestKind.Smp),
        new("Affinity_changes_move_a_running_task", 60, KernelTestKind.Smp),
        new("User_pages_that_are_unmapped_are_gone_on_all_cpus", 60, KernelTestKind.Smp),
        new("Cpus_that_flush_each_other_do_not_wait_in_a_circle", 60, KernelTestKind.Smp),
        new("User_vector_state_follows_a_task_from_cpu_to_cpu", 60, KernelTestKind.Smp),
        new("Gc_stops_all_cpus_1000_times_whatever_they_do", 200, KernelTestKind.Smp),
        new("Gc_pauses_with_many_tasks_asleep", 100, KernelTestKind.Smp),
        new("Scheduling_shares_follow_nice_values_on_one_cpu", 60, KernelTestKind.Smp),
        new("Scheduling_real_time_preempts_user_mode_at_the_next_interrupt", 60, KernelTestKind.Smp),
        new("Scheduling_busy_tasks_use_all_cpus", 60, KernelTestKind.Smp),
        new("Scheduling_affinity_moves_a_task_in_user_mode", 60, KernelTestKind.Smp),
    ];
}
