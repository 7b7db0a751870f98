namespace Asterinas.Tests.Kernel;

/// <summary>One in-kernel test: its name and the guest's time limit in seconds.</summary>
public readonly record struct KernelTest(string Name, int LimitSeconds);

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
    ];
}
