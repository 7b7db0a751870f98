# Entry of the kernel image. Two protocols end in the same place:
#   PVH         (the Xen ELF note names pvh_start;  EBX = physical address of hvm_start_info, 32-bit protected mode, no paging)
#   Multiboot2  (the ELF entry point;               EBX = physical address of the information, EAX = 0x36d76289)
# Both run at physical addresses, build the first page tables (identity and kernel half for the low 4 GiB), enter long mode
# and call ostd_boot(protocol, information) in the kernel half. No-GC C# builds the final tables and drops the identity map.
#
# The other CPUs (SDM vol. 3 §9.4.4) start in real mode in a copy of ap_trampoline below 1 MiB and go the same way with the same first tables, to
# ostd_ap_main(per-CPU area). One at a time: each claims ap_expected, which holds the APIC ID of the CPU that the boot CPU waits for; one that comes
# too late, or was not meant, stops for good.

        .intel_syntax noprefix

        .set MULTIBOOT2_MAGIC, 0xe85250d6
        .set MULTIBOOT2_LOADER_MAGIC, 0x36d76289
        .set PROTOCOL_PVH, 1
        .set PROTOCOL_MULTIBOOT2, 2
        .set CR0_PE_MP_ET_NE_WP_PG, 0x80010033
        .set CR4_PAE_OSFXSR_OSXMMEXCPT, 0x620
        .set MSR_EFER, 0xc0000080
        .set EFER_LME_NXE_SCE, 0x901

        .section .boot.header, "a", @progbits
        .balign 8
multiboot2_header:
        .long MULTIBOOT2_MAGIC
        .long 0                                 # i386 protected mode
        .long multiboot2_header_end - multiboot2_header
        .long -(MULTIBOOT2_MAGIC + (multiboot2_header_end - multiboot2_header))
        .balign 8
        .short 3, 0                             # entry address
        .long 12
        .long multiboot2_start
        .balign 8
        .short 5, 1                             # framebuffer, optional: any mode with 32 bits per pixel
        .long 20
        .long 0, 0, 32
        .balign 8
        .short 6, 1                             # modules aligned to pages
        .long 8
        .balign 8
        .short 0, 0
        .long 8
multiboot2_header_end:

        .section .note.Xen, "a", @note
        .balign 4
        .long 4, 4, 18                          # name size, description size, XEN_ELFNOTE_PHYS32_ENTRY
        .asciz "Xen"
        .long pvh_start

        .section .boot.text, "ax", @progbits
        .code32
        .globl multiboot2_start, pvh_start
pvh_start:
        mov     esi, PROTOCOL_PVH
        jmp     start32

multiboot2_start:
        mov     esi, PROTOCOL_MULTIBOOT2
        cmp     eax, MULTIBOOT2_LOADER_MAGIC
        jne     not_multiboot2

start32:
        cli
        cld
        mov     esp, offset boot_stack_end
        mov     edi, ebx                        # information
        # Long mode and NX must exist before they are switched on; anything else is checked, and named, in C#.
        mov     eax, 0x80000000
        push    edi
        push    esi
        cpuid
        cmp     eax, 0x80000001
        jb      no_long_mode
        mov     eax, 0x80000001
        cpuid
        test    edx, 1 << 29
        jz      no_long_mode
        test    edx, 1 << 20
        jz      no_nx
        pop     esi
        pop     edi

        # PML4: 0 = identity, 256 = direct map (same table), 511 = kernel image.
        mov     eax, offset boot_pdpt
        or      eax, 3
        mov     [boot_pml4], eax
        mov     [boot_pml4 + 256 * 8], eax
        mov     eax, offset boot_pdpt_high
        or      eax, 3
        mov     [boot_pml4 + 511 * 8], eax
        # Four page directories of 2 MiB pages: the low 4 GiB.
        mov     ecx, 0
1:      mov     eax, ecx
        shl     eax, 12
        add     eax, offset boot_pd
        or      eax, 3
        mov     [boot_pdpt + ecx * 8], eax
        inc     ecx
        cmp     ecx, 4
        jne     1b
        mov     ecx, 0
2:      mov     eax, ecx
        shl     eax, 21
        or      eax, 0x83
        mov     [boot_pd + ecx * 8], eax
        mov     dword ptr [boot_pd + ecx * 8 + 4], 0
        inc     ecx
        cmp     ecx, 2048
        jne     2b
        # -2 GiB: PDPT entry 510 shows the first GiB.
        mov     eax, offset boot_pd
        or      eax, 3
        mov     [boot_pdpt_high + 510 * 8], eax

        mov     eax, CR4_PAE_OSFXSR_OSXMMEXCPT
        mov     cr4, eax
        mov     eax, offset boot_pml4
        mov     cr3, eax
        mov     ecx, MSR_EFER
        mov     eax, EFER_LME_NXE_SCE
        xor     edx, edx
        wrmsr
        mov     eax, CR0_PE_MP_ET_NE_WP_PG
        mov     cr0, eax
        lgdt    [boot_gdt_pointer]
        ljmp    0x08, offset start64

not_multiboot2:
        mov     esi, offset text_not_multiboot2
        jmp     fail32
no_long_mode:
        mov     esi, offset text_no_long_mode
        jmp     fail32
no_nx:  mov     esi, offset text_no_nx

        # Names what is missing on COM1 and on the exit-status channel, then stops: no triple fault.
fail32: mov     edx, 0x3fb                      # 8N1, DLAB off
        mov     al, 3
        out     dx, al
3:      lodsb
        test    al, al
        jz      4f
        mov     ah, al
        mov     dx, 0x3fd
5:      in      al, dx
        test    al, 0x20
        jz      5b
        mov     al, ah
        mov     dx, 0x3f8
        out     dx, al
        jmp     3b
4:      mov     esi, offset text_exit_status
        mov     dx, 0xf4
6:      lodsb
        test    al, al
        jz      7f
        out     dx, al
        jmp     6b
7:      mov     dx, 0x604                       # ACPI PM1a control of QEMU's q35 and i440fx: S5
        mov     ax, 0x2000
        out     dx, ax
8:      hlt
        jmp     8b

        # A CPU that the boot CPU started: 32-bit protected mode, flat segments.
ap_start32:
        mov     ax, 0x10
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     eax, CR4_PAE_OSFXSR_OSXMMEXCPT
        mov     cr4, eax
        mov     eax, offset boot_pml4
        mov     cr3, eax
        mov     ecx, MSR_EFER
        mov     eax, EFER_LME_NXE_SCE
        xor     edx, edx
        wrmsr
        mov     eax, CR0_PE_MP_ET_NE_WP_PG
        mov     cr0, eax
        ljmp    0x08, offset ap_start64

        .code64
ap_start64:
        xor     eax, eax
        mov     fs, ax
        mov     gs, ax
        movabs  rax, offset ap_start_high
        jmp     rax

start64:
        mov     ax, 0x10
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        xor     eax, eax
        mov     fs, ax
        mov     gs, ax
        movabs  rax, offset start_high
        jmp     rax

        .section .boot.data, "aw", @progbits
        .balign 8
boot_gdt:
        .quad   0
        .quad   0x00af9a000000ffff              # 0x08 kernel code, 64 bit
        .quad   0x00cf92000000ffff              # 0x10 kernel data
        .quad   0x00cf9a000000ffff              # 0x18 code, 32 bit: for CPUs on their way out of real mode
boot_gdt_end:
boot_gdt_pointer:
        .short  boot_gdt_end - boot_gdt - 1
        .quad   boot_gdt
text_not_multiboot2:
        .asciz "boot failed: started neither by PVH nor by a Multiboot2 loader\n"
text_no_long_mode:
        .asciz "boot failed: CPU feature missing: long mode (lm)\n"
text_no_nx:
        .asciz "boot failed: CPU feature missing: no-execute pages (nx)\n"
text_exit_status:
        .asciz "exit 125\n"

        .section .boot.bss, "aw", @nobits
        .balign 4096
        .globl boot_pml4
boot_pml4:      .skip 4096
boot_pdpt:      .skip 4096
boot_pdpt_high: .skip 4096
boot_pd:        .skip 4 * 4096
        .balign 16
                .skip 4096
boot_stack_end:

        .section .text
        .globl  start_high
start_high:
        lea     rsp, [rip + boot_kernel_stack_end]
        xor     ebp, ebp
        mov     eax, edi
        mov     edi, esi                        # protocol
        mov     esi, eax                        # information (physical)
        call    ostd_boot
9:      cli
        hlt
        jmp     9b

        # A started CPU in the kernel half, still on the first tables and without a stack: only the expected one goes on.
        .globl  ap_start_high
ap_start_high:
        mov     eax, 0
        cpuid
        mov     r8d, eax
        cmp     eax, 0xb
        jb      1f
        mov     eax, 0xb                        # x2APIC ID: 32 bits
        xor     ecx, ecx
        cpuid
        test    ebx, ebx
        jnz     2f
1:      mov     eax, 1
        cpuid
        mov     edx, ebx
        shr     edx, 24
2:      mov     eax, edx
        mov     ecx, -1                         # claimed
        lock cmpxchg dword ptr [rip + ap_expected], ecx
        jne     3f
        mov     rax, [rip + ap_root]
        mov     cr3, rax
        mov     rsp, [rip + ap_stack]
        mov     rdi, [rip + ap_area]
        xor     ebp, ebp
        call    ostd_ap_main
3:      cli
        hlt
        jmp     3b

        # Copied to a page below 1 MiB; CS is that page, DS follows. Everything else is at its linked physical address.
        .section .rodata
        .globl  ap_trampoline, ap_trampoline_end
        .balign 16
ap_trampoline:
        .code16
        cli
        cld
        mov     ax, cs
        mov     ds, ax
        lgdtd   [ap_trampoline_gdt - ap_trampoline]
        mov     eax, cr0
        or      eax, 1
        mov     cr0, eax
        .byte   0x66, 0xea                      # jmp 0x18:ap_start32
        .long   ap_start32
        .short  0x18
        .balign 4
ap_trampoline_gdt:
        .short  boot_gdt_end - boot_gdt - 1
        .long   boot_gdt
ap_trampoline_end:
        .code64

        .section .data
        .balign 8
        .globl  ap_expected, ap_root, ap_stack, ap_area
ap_expected:    .long 0xfffffffe                # nobody
                .long 0
ap_root:        .quad 0
ap_stack:       .quad 0
ap_area:        .quad 0

        .section .bss
        .balign 4096
        .globl  boot_kernel_stack, boot_kernel_stack_end
boot_kernel_stack:
        .skip   65536
boot_kernel_stack_end:
        .section .note.GNU-stack, "", @progbits
