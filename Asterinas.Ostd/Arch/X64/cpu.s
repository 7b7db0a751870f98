# Single instructions that C# cannot express, memory primitives, and the copy routines that survive faults on user addresses.
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

# ---- C memory functions ---------------------------------------------------------------------------------------------

# REP MOVSB and REP STOSB are fast on every CPU since Ivy Bridge (ERMS) and need no vector registers.
function memcpy
        mov     rax, rdi
        mov     rcx, rdx
        cmp     rdx, 64
        jae     1f
        test    rdx, rdx
        jz      2f
        cmp     rdx, 16
        jae     3f
4:      mov     r8b, [rsi]
        mov     [rdi], r8b
        inc     rsi
        inc     rdi
        dec     rdx
        jnz     4b
2:      ret
3:      mov     r8, [rsi]
        mov     r9, [rsi + 8]
        mov     [rdi], r8
        mov     [rdi + 8], r9
        add     rsi, 16
        add     rdi, 16
        sub     rdx, 16
        cmp     rdx, 16
        jae     3b
        test    rdx, rdx
        jnz     4b
        ret
1:      rep movsb
        ret

function memmove
        mov     rax, rdi
        sub     rax, rsi
        cmp     rax, rdx                        # unsigned: below means that dst lies inside [src, src + n)
        jae     memcpy
        mov     rax, rdi
        mov     rcx, rdx
        lea     rdi, [rdi + rdx - 1]
        lea     rsi, [rsi + rdx - 1]
        std
        # Backwards by eights first: byte-wise REP with DF set is slow.
        cmp     rcx, 8
        jb      1f
        sub     rdi, 7
        sub     rsi, 7
        mov     rdx, rcx
        shr     rcx, 3
        rep movsq
        add     rdi, 7
        add     rsi, 7
        mov     rcx, rdx
        and     ecx, 7
1:      rep movsb
        cld
        ret

function memset
        mov     r8, rdi
        mov     eax, esi
        mov     rcx, rdx
        rep stosb
        mov     rax, r8
        ret

function memcmp
        xor     eax, eax
        test    rdx, rdx
        jz      2f
1:      movzx   eax, byte ptr [rdi]
        movzx   ecx, byte ptr [rsi]
        sub     eax, ecx
        jnz     2f
        inc     rdi
        inc     rsi
        dec     rdx
        jnz     1b
2:      ret

# ---- User memory: a fault between the labels continues at the fixup (x64_fault_fixup in no-GC C#) --------------------

# nuint x64_copy_user(void* dst, void* src, nuint n): returns the bytes NOT copied. One side is a user address.
function x64_copy_user
        mov     rcx, rdx
        stac
        .globl  x64_copy_user_fault, x64_copy_user_fixup
x64_copy_user_fault:
        rep movsb
x64_copy_user_fixup:
        clac
        mov     rax, rcx
        ret

# nuint x64_zero_user(void* dst, nuint n): returns the bytes NOT cleared.
function x64_zero_user
        mov     rcx, rsi
        xor     eax, eax
        stac
        .globl  x64_zero_user_fault, x64_zero_user_fixup
x64_zero_user_fault:
        rep stosb
x64_zero_user_fixup:
        clac
        mov     rax, rcx
        ret

# int x64_cmpxchg_user(uint* address, uint expected, uint value, uint* found): 0 done (found tells), 1 fault
function x64_cmpxchg_user
        mov     eax, esi
        mov     r8, rcx
        xor     ecx, ecx
        stac
        .globl  x64_cmpxchg_user_fault, x64_cmpxchg_user_fixup
x64_cmpxchg_user_fault:
        lock cmpxchg [rdi], edx
        clac
        mov     [r8], eax
        xor     eax, eax
        ret
x64_cmpxchg_user_fixup:
        clac
        mov     eax, 1
        ret

        .section .note.GNU-stack, "", @progbits
