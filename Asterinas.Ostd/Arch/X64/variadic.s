# Entries of the variadic C functions. Each builds the va_list of the System V ABI (§3.5.7: gp_offset, fp_offset, overflow area, register save
# area) on its stack and calls the C# function that takes a va_list.

        .intel_syntax noprefix
        .section .text

        .macro variadic name, target, fixed
        .globl  \name
        .type   \name, @function
        .balign 16
\name:
        push    rbp
        mov     rbp, rsp
        sub     rsp, 208
        mov     [rbp - 176], rdi
        mov     [rbp - 168], rsi
        mov     [rbp - 160], rdx
        mov     [rbp - 152], rcx
        mov     [rbp - 144], r8
        mov     [rbp - 136], r9
        movups  [rbp - 128], xmm0
        movups  [rbp - 112], xmm1
        movups  [rbp - 96], xmm2
        movups  [rbp - 80], xmm3
        movups  [rbp - 64], xmm4
        movups  [rbp - 48], xmm5
        movups  [rbp - 32], xmm6
        movups  [rbp - 16], xmm7
        mov     dword ptr [rbp - 208], \fixed * 8
        mov     dword ptr [rbp - 204], 48
        lea     rax, [rbp + 16]
        mov     [rbp - 200], rax
        lea     rax, [rbp - 176]
        mov     [rbp - 192], rax
        .if \fixed == 2
        lea     rdx, [rbp - 208]
        .else
        lea     rcx, [rbp - 208]
        .endif
        call    \target
        leave
        ret
        .endm

        variadic snprintf, vsnprintf, 3
        variadic fprintf, vfprintf, 2
        variadic asprintf, vasprintf, 2
        variadic sscanf, vsscanf, 2
        variadic __isoc99_sscanf, vsscanf, 2
        variadic __isoc99_fscanf, vfscanf, 2
        variadic fscanf, vfscanf, 2

        # FILE* stderr: opaque to the runtime; everything that is written to it goes to the console.
        .section .data
        .globl  stderr, stdout, stdin, environ
        .balign 8
stderr: .quad   2
stdout: .quad   1
stdin:  .quad   0
environ:
        .quad   0
        .section .note.GNU-stack, "", @progbits
