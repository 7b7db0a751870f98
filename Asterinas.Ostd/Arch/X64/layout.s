# Addresses that the linker script, the assembly and the runtime define, as one table for no-GC C# (enum ImageSymbol, same order).
        .intel_syntax noprefix
        .section .text
        .globl  x64_symbol_table
        .type   x64_symbol_table, @function
x64_symbol_table:
        lea     rax, [rip + table]
        ret

        .weak   __ksyms_start
        .weak   __ksyms_end
        .section .data.rel.ro, "aw", @progbits
        .balign 8
table:
        .quad   x64_vector_stubs, x64_syscall_entry, x64_thread_start
        .quad   x64_copy_user_fault, x64_copy_user_fixup
        .quad   x64_zero_user_fault, x64_zero_user_fixup
        .quad   x64_cmpxchg_user_fault, x64_cmpxchg_user_fixup
        .quad   __text_start, __text_end, __rodata_start, __rodata_end, __data_start, __data_end, __bss_start, __bss_end, __kernel_end
        .quad   __tdata_start, __tdata_end, __tbss_end, __tls_align
        .quad   __init_array_start, __init_array_end
        .quad   __eh_frame_hdr_start, __eh_frame_hdr_end
        .quad   __ksyms_start, __ksyms_end
        .quad   __start___managedcode, __stop___managedcode
        .quad   boot_kernel_stack, boot_kernel_stack_end, boot_pml4
        .quad   main, x64_boot_main
        .quad   x64_switch, x64_switch_end, x64_activation_entry
        .quad   ap_trampoline, ap_trampoline_end, ap_expected, ap_root, ap_stack, ap_area
        # The collector's two events for "the collection is over" (a GCEvent, and a pointer to one): a thread that waits for them keeps its CPU.
        .quad   _ZN3WKS7gc_heap13gc_done_eventE, _ZN3WKS6GCHeap14WaitForGCEventE

        # Identifies the image to __cxa_atexit.
        .globl  __dso_handle
__dso_handle:
        .quad   0

        .section .note.GNU-stack, "", @progbits
