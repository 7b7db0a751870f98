# The memory functions of C (C11 §7.24.2, §7.24.6) and the routines that touch user memory.
# System V calling convention, no-GC code. They use XMM registers: what interrupts the kernel saves them, and a system call has saved the program's.

        .intel_syntax noprefix

        .macro function name
        .globl  \name
        .type   \name, @function
        .balign 16
\name:
        .endm

        # From this size on REP MOVSB and REP STOSB win, on CPUs that have them fast (ERMS, Intel's optimisation manual §3.7.6).
        .equ    REP_BYTES, 1024

        .section .data
x64_has_erms:
        .byte   0

        .section .rodata.faults, "a", @progbits
        .balign 8
        .globl  x64_fault_table, x64_fault_table_end
x64_fault_table:

        .section .text

# void x64_set_erms(int has)
function x64_set_erms
        mov     [rip + x64_has_erms], dil
        ret

# Both ends are read before anything is written, so up to 64 bytes may overlap in any way; above, the copy runs forwards, which is right for a destination below the
# source, too.
function memcpy
        mov     rax, rdi
        cmp     rdx, 16
        jb      2f
        cmp     rdx, 32
        ja      1f
        movups  xmm0, [rsi]
        movups  xmm1, [rsi + rdx - 16]
        movups  [rdi], xmm0
        movups  [rdi + rdx - 16], xmm1
        ret
1:      cmp     rdx, 64
        ja      5f
        movups  xmm0, [rsi]
        movups  xmm1, [rsi + 16]
        movups  xmm2, [rsi + rdx - 32]
        movups  xmm3, [rsi + rdx - 16]
        movups  [rdi], xmm0
        movups  [rdi + 16], xmm1
        movups  [rdi + rdx - 32], xmm2
        movups  [rdi + rdx - 16], xmm3
        ret
2:      cmp     edx, 8
        jb      3f
        mov     r8, [rsi]
        mov     r9, [rsi + rdx - 8]
        mov     [rdi], r8
        mov     [rdi + rdx - 8], r9
        ret
3:      cmp     edx, 4
        jb      4f
        mov     r8d, [rsi]
        mov     r9d, [rsi + rdx - 4]
        mov     [rdi], r8d
        mov     [rdi + rdx - 4], r9d
        ret
4:      test    edx, edx
        jz      6f
        mov     ecx, edx
        shr     ecx, 1
        movzx   r8d, byte ptr [rsi]
        movzx   r9d, byte ptr [rsi + rcx]
        movzx   r10d, byte ptr [rsi + rdx - 1]
        mov     [rdi], r8b
        mov     [rdi + rcx], r9b
        mov     [rdi + rdx - 1], r10b
6:      ret
5:      cmp     rdx, REP_BYTES
        jb      7f
        cmp     byte ptr [rip + x64_has_erms], 0
        jne     9f
7:      movups  xmm4, [rsi + rdx - 64]
        movups  xmm5, [rsi + rdx - 48]
        movups  xmm6, [rsi + rdx - 32]
        movups  xmm7, [rsi + rdx - 16]
        lea     rcx, [rdi + rdx - 64]           # where the last 64 bytes go
8:      movups  xmm0, [rsi]
        movups  xmm1, [rsi + 16]
        movups  xmm2, [rsi + 32]
        movups  xmm3, [rsi + 48]
        add     rsi, 64
        movups  [rdi], xmm0
        movups  [rdi + 16], xmm1
        movups  [rdi + 32], xmm2
        movups  [rdi + 48], xmm3
        add     rdi, 64
        cmp     rdi, rcx
        jb      8b
        movups  [rcx], xmm4
        movups  [rcx + 16], xmm5
        movups  [rcx + 32], xmm6
        movups  [rcx + 48], xmm7
        ret
9:      mov     rcx, rdx
        rep movsb
        ret

function memmove
        mov     rax, rdi
        sub     rax, rsi
        cmp     rax, rdx                        # unsigned: below means that the destination lies inside [source, source + n)
        jae     memcpy
        cmp     rdx, 64
        jbe     memcpy
        # Backwards. The first 64 bytes are read before anything is written.
        mov     rax, rdi
        movups  xmm4, [rsi]
        movups  xmm5, [rsi + 16]
        movups  xmm6, [rsi + 32]
        movups  xmm7, [rsi + 48]
        lea     rcx, [rdi + 64]
        lea     rsi, [rsi + rdx]
        lea     rdi, [rdi + rdx]
1:      movups  xmm0, [rsi - 16]
        movups  xmm1, [rsi - 32]
        movups  xmm2, [rsi - 48]
        movups  xmm3, [rsi - 64]
        sub     rsi, 64
        movups  [rdi - 16], xmm0
        movups  [rdi - 32], xmm1
        movups  [rdi - 48], xmm2
        movups  [rdi - 64], xmm3
        sub     rdi, 64
        cmp     rdi, rcx
        ja      1b
        movups  [rax], xmm4
        movups  [rax + 16], xmm5
        movups  [rax + 32], xmm6
        movups  [rax + 48], xmm7
        ret

function memset
        mov     rax, rdi
        movzx   esi, sil
        mov     r8, 0x0101010101010101
        imul    r8, rsi
        cmp     rdx, 16
        jb      2f
        movq    xmm0, r8
        punpcklqdq xmm0, xmm0
        movups  [rdi], xmm0
        movups  [rdi + rdx - 16], xmm0
        cmp     rdx, 32
        jbe     6f
        cmp     rdx, REP_BYTES
        jae     5f
7:      lea     rcx, [rdi + rdx - 16]           # the last 16 bytes are done
        add     rdi, 16
        and     rdi, -16                        # and everything up to here
8:      lea     r9, [rdi + 64]
        cmp     r9, rcx
        ja      9f
        movaps  [rdi], xmm0
        movaps  [rdi + 16], xmm0
        movaps  [rdi + 32], xmm0
        movaps  [rdi + 48], xmm0
        mov     rdi, r9
        jmp     8b
9:      cmp     rdi, rcx
        jae     6f
        movaps  [rdi], xmm0
        add     rdi, 16
        jmp     9b
2:      cmp     edx, 8
        jb      3f
        mov     [rdi], r8
        mov     [rdi + rdx - 8], r8
        ret
3:      cmp     edx, 4
        jb      4f
        mov     [rdi], r8d
        mov     [rdi + rdx - 4], r8d
        ret
4:      test    edx, edx
        jz      6f
        mov     [rdi], r8b
        mov     [rdi + rdx - 1], r8b
        shr     edx, 1
        mov     [rdi + rdx], r8b
6:      ret
5:      cmp     byte ptr [rip + x64_has_erms], 0
        je      7b
        mov     r9, rax
        mov     eax, esi
        mov     rcx, rdx
        rep stosb
        mov     rax, r9
        ret

function memcmp
        xor     eax, eax
        # Eight at a time up to the first difference.
1:      cmp     rdx, 8
        jb      2f
        mov     rcx, [rdi]
        mov     r8, [rsi]
        cmp     rcx, r8
        jne     4f
        add     rdi, 8
        add     rsi, 8
        sub     rdx, 8
        jmp     1b
2:      test    rdx, rdx
        jz      3f
        movzx   eax, byte ptr [rdi]
        movzx   ecx, byte ptr [rsi]
        sub     eax, ecx
        jnz     3f
        inc     rdi
        inc     rsi
        dec     rdx
        jmp     2b
3:      ret
4:      bswap   rcx                             # the first byte in memory decides
        bswap   r8
        cmp     rcx, r8
        sbb     eax, eax
        or      eax, 1
        ret

# void x64_zero_page(void* page), void x64_copy_page(void* to, void* from): 4 KiB, aligned
function x64_zero_page
        cmp     byte ptr [rip + x64_has_erms], 0
        je      1f
        xor     eax, eax
        mov     ecx, 4096
        rep stosb
        ret
1:      pxor    xmm0, xmm0
        lea     rcx, [rdi + 4096]
2:      .irp    at, 0, 16, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240
        movaps  [rdi + \at], xmm0
        .endr
        add     rdi, 256
        cmp     rdi, rcx
        jne     2b
        ret
function x64_copy_page
        mov     edx, 4096
        jmp     memcpy

# ---- User memory ----------------------------------------------------------------------------------------------------
# A page fault on a user address at an instruction of a guarded range continues at the range's fixup (x64_fault_table, read by the page-fault handler).
# Everything between STAC and CLAC may access user pages; interrupts in between clear AC for themselves.

        .macro guard start, end, fixup
        .section .rodata.faults, "a", @progbits
        .quad   \start, \end, \fixup
        .section .text
        .endm

# nuint x64_copy_user(void* to, void* from, nuint n): returns the bytes NOT copied. One side is a user address.
# The pointers and RCX change only after a piece was moved, so after a fault the rest is copied byte by byte up to the one that faults.
function x64_copy_user
        mov     rcx, rdx
        stac
copy_user:
        cmp     rdx, 16
        jb      4f
        cmp     rdx, 32
        ja      2f
        movups  xmm0, [rsi]
        movups  xmm1, [rsi + rdx - 16]
        movups  [rdi], xmm0
        movups  [rdi + rdx - 16], xmm1
1:      clac
        xor     eax, eax
        ret
2:      cmp     rdx, REP_BYTES
        jb      3f
        cmp     byte ptr [rip + x64_has_erms], 0
        jne     copy_user_bytes
3:      cmp     rcx, 128
        jb      7f
        .irp    at, 0, 64
        movups  xmm0, [rsi + \at]
        movups  xmm1, [rsi + \at + 16]
        movups  xmm2, [rsi + \at + 32]
        movups  xmm3, [rsi + \at + 48]
        movups  [rdi + \at], xmm0
        movups  [rdi + \at + 16], xmm1
        movups  [rdi + \at + 32], xmm2
        movups  [rdi + \at + 48], xmm3
        .endr
        sub     rsi, -128                       # a sign-extended byte; 128 is none
        sub     rdi, -128
        add     rcx, -128
        jmp     3b
7:      cmp     rcx, 16
        jb      8f
        movups  xmm0, [rsi]
        movups  [rdi], xmm0
        add     rsi, 16
        add     rdi, 16
        sub     rcx, 16
        jmp     7b
8:      test    rcx, rcx
        jz      1b
        movups  xmm0, [rsi + rcx - 16]          # 32 bytes and more came before: together with some of those
        movups  [rdi + rcx - 16], xmm0
        jmp     1b
4:      cmp     edx, 8
        jb      5f
        mov     r8, [rsi]
        mov     r9, [rsi + rdx - 8]
        mov     [rdi], r8
        mov     [rdi + rdx - 8], r9
        jmp     1b
5:      cmp     edx, 4
        jb      6f
        mov     r8d, [rsi]
        mov     r9d, [rsi + rdx - 4]
        mov     [rdi], r8d
        mov     [rdi + rdx - 4], r9d
        jmp     1b
6:      test    edx, edx
        jz      1b
copy_user_end:
copy_user_bytes:
        rep movsb
copy_user_done:
        clac
        mov     rax, rcx
        ret
        guard   copy_user, copy_user_end, copy_user_bytes
        guard   copy_user_bytes, copy_user_done, copy_user_done

# nuint x64_zero_user(void* to, nuint n): returns the bytes NOT cleared.
function x64_zero_user
        mov     rcx, rsi
        xor     eax, eax
        pxor    xmm0, xmm0
        stac
        cmp     rsi, REP_BYTES
        jb      1f
        cmp     byte ptr [rip + x64_has_erms], 0
        jne     zero_user_bytes
1:
zero_user:
2:      cmp     rcx, 64
        jb      3f
        movups  [rdi], xmm0
        movups  [rdi + 16], xmm0
        movups  [rdi + 32], xmm0
        movups  [rdi + 48], xmm0
        add     rdi, 64
        sub     rcx, 64
        jmp     2b
3:      cmp     rcx, 16
        jb      zero_user_bytes
        movups  [rdi], xmm0
        add     rdi, 16
        sub     rcx, 16
        jmp     3b
zero_user_end:
zero_user_bytes:
        rep stosb
zero_user_done:
        clac
        mov     rax, rcx
        ret
        guard   zero_user, zero_user_end, zero_user_bytes
        guard   zero_user_bytes, zero_user_done, zero_user_done

# nuint x64_copy_user_string(byte* to, byte* from, nuint n): copies bytes up to a zero, which is copied, too, and at most n. Returns how many; the top bit is set when the
# next byte faulted. Whole words, aligned in user memory: no word lies in two pages, so one that holds the end never faults for what lies behind.
function x64_copy_user_string
        mov     rcx, rdx                        # room
        mov     r8, rdi
        mov     r10, 0x0101010101010101
        mov     r11, 0x8080808080808080
        stac
string_bytes:
        # Byte by byte up to an aligned word, and where less than a word is left.
1:      test    rcx, rcx
        jz      string_end
        test    esi, 7
        jnz     2f
        cmp     rcx, 8
        jae     3f
2:      movzx   eax, byte ptr [rsi]
        mov     [rdi], al
        inc     rdi
        inc     rsi
        dec     rcx
        test    eax, eax
        jnz     1b
        jmp     string_end
3:      mov     rax, [rsi]
        mov     rdx, rax                        # (word - 0x01…) & ~word & 0x80…: not zero when a byte of it is zero
        sub     rdx, r10
        mov     r9, rax
        not     r9
        and     rdx, r9
        test    rdx, r11
        jnz     2b
        mov     [rdi], rax
        add     rdi, 8
        add     rsi, 8
        sub     rcx, 8
        jmp     1b
string_end:
        clac
        mov     rax, rdi
        sub     rax, r8
        ret
string_fixup:
        clac
        mov     rax, rdi
        sub     rax, r8
        bts     rax, 63
        ret
        guard   string_bytes, string_end, string_fixup

# int x64_cmpxchg_user(uint* address, uint expected, uint value, uint* found): 0 done (found tells), 1 fault
function x64_cmpxchg_user
        mov     eax, esi
        stac
cmpxchg_user:
        lock cmpxchg [rdi], edx
cmpxchg_user_end:
        clac
        mov     [rcx], eax
        xor     eax, eax
        ret
        guard   cmpxchg_user, cmpxchg_user_end, user_word_fault

# int x64_load_user(uint* address, uint* found): 0 done, 1 fault
function x64_load_user
        stac
load_user:
        mov     eax, [rdi]
load_user_end:
        clac
        mov     [rsi], eax
        xor     eax, eax
        ret
        guard   load_user, load_user_end, user_word_fault

# int x64_update_user(uint* address, int operation, uint operand, uint* found): 0 done, found is the word before; 1 fault.
# Operations: 0 set, 1 add, 2 or, 3 and, 4 xor.
function x64_update_user
        mov     r8, rcx
        stac
update_user:
        cmp     esi, 1
        jb      1f
        je      2f
        mov     eax, [rdi]
3:      mov     ecx, eax
        cmp     esi, 3
        jb      4f
        je      5f
        xor     ecx, edx
        jmp     6f
4:      or      ecx, edx
        jmp     6f
5:      and     ecx, edx
6:      lock cmpxchg [rdi], ecx
        jnz     3b
        jmp     update_user_end
1:      mov     eax, edx
        xchg    [rdi], eax
        jmp     update_user_end
2:      mov     eax, edx
        lock xadd [rdi], eax
update_user_end:
        clac
        mov     [r8], eax
        xor     eax, eax
        ret
user_word_fault:
        clac
        mov     eax, 1
        ret
        guard   update_user, update_user_end, user_word_fault

        .section .rodata.faults, "a", @progbits
x64_fault_table_end:

        .section .note.GNU-stack, "", @progbits
