# Single instructions that C# cannot express.
# System V calling convention. Everything here is no-GC code: it neither allocates nor calls managed code.

        .intel_syntax noprefix
        .section .text

        .macro function name
        .globl  \name
        .type   \name, @function
        .balign 16
\name:
        .endm

function ostd_in8
        mov     edx, edi
        xor     eax, eax
        in      al, dx
        ret
function ostd_in16
        mov     edx, edi
        xor     eax, eax
        in      ax, dx
        ret
function ostd_in32
        mov     edx, edi
        in      eax, dx
        ret
function ostd_out8
        mov     edx, edi
        mov     eax, esi
        out     dx, al
        ret
function ostd_out16
        mov     edx, edi
        mov     eax, esi
        out     dx, ax
        ret
function ostd_out32
        mov     edx, edi
        mov     eax, esi
        out     dx, eax
        ret

# void ostd_flush_cache(byte* address, nuint bytes): writes the cache lines of a range back to memory and forgets them.
function ostd_flush_cache
        lea     rsi, [rdi + rsi]
        and     rdi, -64
1:      cmp     rdi, rsi
        jae     2f
        clflush [rdi]
        add     rdi, 64
        jmp     1b
2:      mfence
        ret

function x64_read_msr
        mov     ecx, edi
        rdmsr
        shl     rdx, 32
        or      rax, rdx
        ret
function x64_write_msr
        mov     ecx, edi
        mov     rax, rsi
        mov     rdx, rsi
        shr     rdx, 32
        wrmsr
        ret

# void x64_cpuid(uint leaf, uint subleaf, uint* four)
        .globl  ostd_cpuid
        .set    ostd_cpuid, x64_cpuid
function x64_cpuid
        push    rbx
        mov     r8, rdx
        mov     eax, edi
        mov     ecx, esi
        cpuid
        mov     [r8], eax
        mov     [r8 + 4], ebx
        mov     [r8 + 8], ecx
        mov     [r8 + 12], edx
        pop     rbx
        ret

function x64_read_tsc
        lfence
        rdtsc
        shl     rdx, 32
        or      rax, rdx
        ret
# ulong x64_rdrand(): one hardware random number, or 0 after ten failures (SDM vol. 1 §7.3.17.1)
function x64_rdrand
        mov     ecx, 10
1:      rdrand  rax
        jc      2f
        dec     ecx
        jnz     1b
        xor     eax, eax
2:      ret

function x64_read_cr2
        mov     rax, cr2
        ret
function x64_read_cr3
        mov     rax, cr3
        ret
function x64_write_cr3
        mov     cr3, rdi
        ret
function x64_read_cr4
        mov     rax, cr4
        ret
function x64_write_cr4
        mov     cr4, rdi
        ret
function x64_write_cr0
        mov     cr0, rdi
        ret
function x64_write_xcr0
        mov     rax, rdi
        mov     rdx, rdi
        shr     rdx, 32
        xor     ecx, ecx
        xsetbv
        ret
function x64_invlpg
        invlpg  [rdi]
        ret
function x64_pause
        pause
        ret
function x64_cli
        cli
        ret
function x64_sti
        sti
        ret
# ulong x64_read_flags()
function x64_read_flags
        pushfq
        pop     rax
        ret
# STI delays interrupts by one instruction, so none can slip in before HLT (SDM vol. 2, STI).
function x64_sti_hlt
        sti
        hlt
        ret
function x64_cli_hlt
        cli
        hlt
        jmp     x64_cli_hlt
function x64_lidt
        lidt    [rdi]
        ret
function x64_read_gs_base
        rdgsbase rax
        ret
function x64_write_gs_base
        wrgsbase rdi
        ret
function x64_read_fs_base
        rdfsbase rax
        ret
function x64_write_fs_base
        wrfsbase rdi
        ret
# PerCpu* x64_per_cpu(): the first word of the per-CPU area is its own address.
function x64_per_cpu
        mov     rax, gs:[0]
        ret
# void x64_load_gdt(void* pointer, ushort tss): reloads CS, SS and the task register.
function x64_load_gdt
        lgdt    [rdi]
        pop     rax
        push    0x08
        push    rax
        mov     eax, 0x10
        mov     ss, eax
        mov     ds, eax
        mov     es, eax
        ltr     si
        retfq

# void x64_xsave(void* area, ulong mask), void x64_xrstor(void* area, ulong mask)
function x64_xsave
        mov     rax, rsi
        mov     rdx, rsi
        shr     rdx, 32
        xsave64 [rdi]
        ret
function x64_xrstor
        mov     rax, rsi
        mov     rdx, rsi
        shr     rdx, 32
        xrstor64 [rdi]
        ret
# nint x64_return_address(): frame pointer of the caller, for stack traces.
function x64_frame_pointer
        mov     rax, rbp
        ret

# nint x64_call(void* function, nint a, nint b, nint c): calls a C function through a pointer.
function x64_call
        mov     rax, rdi
        mov     rdi, rsi
        mov     rsi, rdx
        mov     rdx, rcx
        jmp     rax

        .section .note.GNU-stack, "", @progbits
