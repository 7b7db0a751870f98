# Entries from interrupts, exceptions and system calls; the way into user mode; the thread switch.
#
# Offsets into the per-CPU area (Runtime/PerCpu.cs), the thread (Runtime/Thread.cs) and the user frame (Runtime/UserFrame.cs) stand
# below; Boot checks each against the C# struct and refuses to start when one differs.
#
# Stacks: every vector runs on an IST stack, because the runtime archive uses the red zone below the interrupted RSP. An IST stack is
# 16 KiB, aligned to its size, and its lowest word is the address of the per-CPU area: exceptions find their CPU there and never trust GS,
# whose base a user program may set (FSGSBASE).

        .intel_syntax noprefix

        .set CPU_CURRENT, 8
        .set CPU_USER_FRAME, 16
        .set CPU_SCRATCH, 24
        .set CPU_KERNEL_RSP, 32
        .set CPU_EVENTS, 40
        .set CPU_FPU_OWNER, 48
        .set CPU_KERNEL_FS, 56

        .set THREAD_RSP, 0
        .set THREAD_FS, 8

        .set U_RAX, 0
        .set U_RBX, 8
        .set U_RCX, 16
        .set U_RDX, 24
        .set U_RSI, 32
        .set U_RDI, 40
        .set U_RBP, 48
        .set U_RSP, 56
        .set U_R8, 64
        .set U_R9, 72
        .set U_R10, 80
        .set U_R11, 88
        .set U_R12, 96
        .set U_R13, 104
        .set U_R14, 112
        .set U_R15, 120
        .set U_RIP, 128
        .set U_RFLAGS, 136
        .set U_FS, 144
        .set U_GS, 152
        .set U_MODE, 184                        # 1: RCX and R11 need not be restored (the last exit was a system call)
        .set U_MXCSR, 192
        .set U_XCR0, 200
        .set U_XMM, 256
        .set U_XSAVE, 512

        .set USER_CS, 0x2b
        .set USER_SS, 0x23
        .set IST_MASK, -16384

        .section .text

# ---- vectors --------------------------------------------------------------------------------------------------------

        .altmacro
        .macro stub vector
        .balign 16
        .if (\vector == 8) || (\vector >= 10 && \vector <= 14) || (\vector == 17) || (\vector == 21) || (\vector == 29) || (\vector == 30)
        .else
        push    0
        .endif
        push    \vector
        .if \vector < 32
        jmp     exception_entry
        .else
        jmp     interrupt_entry
        .endif
        .endm

        .globl  x64_vector_stubs
        .balign 16
x64_vector_stubs:
        .set i, 0
        .rept 256
        stub    %i
        .set i, i + 1
        .endr

# Trap frame, from the stack pointer up: xmm0-15 (256), r15 … rax (120), vector, error, rip, cs, rflags, rsp, ss.
        .macro save_all
        push    rax
        push    rbx
        push    rcx
        push    rdx
        push    rsi
        push    rdi
        push    rbp
        push    r8
        push    r9
        push    r10
        push    r11
        push    r12
        push    r13
        push    r14
        push    r15
        sub     rsp, 256
        .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        movups  [rsp + 16 * \n], xmm\n
        .endr
        cld
        clac
        .endm

        .macro restore_all
        .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        movups  xmm\n, [rsp + 16 * \n]
        .endr
        add     rsp, 256
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     r11
        pop     r10
        pop     r9
        pop     r8
        pop     rbp
        pop     rdi
        pop     rsi
        pop     rdx
        pop     rcx
        pop     rbx
        pop     rax
        add     rsp, 16
        .endm

        .set TRAP_CS, 256 + 120 + 16 + 8

        .balign 16
interrupt_entry:
        save_all
        test    byte ptr [rsp + TRAP_CS], 3
        jnz     from_user
        # From the kernel GS is the kernel's: interrupts are off wherever it is not.
        mov     rdi, rsp
        mov     rbp, rsp
        call    ostd_kernel_trap
        restore_all
        iretq

        .balign 16
exception_entry:
        save_all
        test    byte ptr [rsp + TRAP_CS], 3
        jnz     from_user
        # From the kernel GS cannot be trusted (NMI, #DB, #MC between SWAPGS and IRET): the IST stack knows the CPU.
        rdgsbase rbx
        mov     rax, rsp
        and     rax, IST_MASK
        mov     rax, [rax]
        wrgsbase rax
        mov     rdi, rsp
        mov     rbp, rsp
        call    ostd_kernel_trap
        wrgsbase rbx
        restore_all
        iretq

# From user mode: SWAPGS brings the kernel's GS base back. C# copies the trap frame into the user frame when the thread must see the event.
        .balign 16
from_user:
        swapgs
        lfence                                  # no speculation past SWAPGS with the user's GS
        rdfsbase r12
        mov     rdi, gs:[CPU_USER_FRAME]
        mov     [rdi + U_FS], r12
        swapgs
        rdgsbase rax
        swapgs
        mov     [rdi + U_GS], rax
        stmxcsr [rdi + U_MXCSR]
        mov     rdi, rsp
        mov     rbp, rsp
        call    ostd_user_trap                  # 0: straight back to user mode; else the reason for UserMode.Execute, plus one
        test    eax, eax
        jz      1f
        dec     eax
        mov     rsp, gs:[CPU_KERNEL_RSP]
        jmp     leave_user
1:      swapgs
        restore_all
        iretq

# ---- system call ----------------------------------------------------------------------------------------------------

        .globl  x64_syscall_entry
        .balign 16
x64_syscall_entry:                              # RCX = user RIP, R11 = user RFLAGS, interrupts off (SFMASK)
        swapgs
        mov     gs:[CPU_SCRATCH], rsp
        mov     rsp, gs:[CPU_USER_FRAME]
        mov     [rsp + U_RAX], rax
        mov     [rsp + U_RBX], rbx
        mov     [rsp + U_RDX], rdx
        mov     [rsp + U_RSI], rsi
        mov     [rsp + U_RDI], rdi
        mov     [rsp + U_RBP], rbp
        mov     [rsp + U_R8], r8
        mov     [rsp + U_R9], r9
        mov     [rsp + U_R10], r10
        mov     [rsp + U_R12], r12
        mov     [rsp + U_R13], r13
        mov     [rsp + U_R14], r14
        mov     [rsp + U_R15], r15
        mov     [rsp + U_RCX], rcx
        mov     [rsp + U_R11], r11
        mov     [rsp + U_RIP], rcx
        mov     [rsp + U_RFLAGS], r11
        mov     rax, gs:[CPU_SCRATCH]
        mov     [rsp + U_RSP], rax
        rdfsbase rax
        mov     [rsp + U_FS], rax
        swapgs
        rdgsbase rax
        swapgs
        mov     [rsp + U_GS], rax
        mov     qword ptr [rsp + U_MODE], 1
        stmxcsr [rsp + U_MXCSR]
        .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        movups  [rsp + U_XMM + 16 * \n], xmm\n
        .endr
        mov     rsp, gs:[CPU_KERNEL_RSP]
        xor     eax, eax

# Back in the kernel, on the stack of ostd_user_enter, with the reason in EAX.
leave_user:
        cld
        clac
        mov     rcx, gs:[CPU_KERNEL_FS]
        wrfsbase rcx
        mov     qword ptr gs:[CPU_USER_FRAME], 0
        ldmxcsr [rsp]                           # 0x1F80, pushed by ostd_user_enter
        sti
        add     rsp, 16
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     rbp
        pop     rbx
        ret

# int x64_user_enter(UserFrame* frame): the caller has validated the frame and switched interrupts off.
        .globl  x64_user_enter
        .type   x64_user_enter, @function
        .balign 16
x64_user_enter:
        push    rbx
        push    rbp
        push    r12
        push    r13
        push    r14
        push    r15
        sub     rsp, 16
        mov     dword ptr [rsp], 0x1F80
        mov     gs:[CPU_USER_FRAME], rdi
        mov     gs:[CPU_KERNEL_RSP], rsp
        rdfsbase rax
        mov     gs:[CPU_KERNEL_FS], rax
        cmp     gs:[CPU_FPU_OWNER], rdi
        je      1f
        mov     eax, [rdi + U_XCR0]
        mov     edx, [rdi + U_XCR0 + 4]
        xrstor64 [rdi + U_XSAVE]
        mov     gs:[CPU_FPU_OWNER], rdi
1:
        .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        movups  xmm\n, [rdi + U_XMM + 16 * \n]
        .endr
        ldmxcsr [rdi + U_MXCSR]
        mov     rax, [rdi + U_FS]
        wrfsbase rax
        mov     rax, [rdi + U_GS]
        mov     rbx, [rdi + U_RBX]
        mov     rdx, [rdi + U_RDX]
        mov     rsi, [rdi + U_RSI]
        mov     rbp, [rdi + U_RBP]
        mov     r8, [rdi + U_R8]
        mov     r9, [rdi + U_R9]
        mov     r10, [rdi + U_R10]
        mov     r12, [rdi + U_R12]
        mov     r13, [rdi + U_R13]
        mov     r14, [rdi + U_R14]
        mov     r15, [rdi + U_R15]
        cmp     qword ptr [rdi + U_MODE], 1
        jne     2f
        mov     rcx, [rdi + U_RIP]
        mov     r11, [rdi + U_RFLAGS]
        mov     rsp, [rdi + U_RSP]
        swapgs
        wrgsbase rax
        mov     rax, [rdi + U_RAX]
        mov     rdi, [rdi + U_RDI]
        sysretq
2:      # The general way. The IRET frame is built on this stack; nothing interrupts before IRETQ has switched stacks.
        push    USER_SS
        push    [rdi + U_RSP]
        push    [rdi + U_RFLAGS]
        push    USER_CS
        push    [rdi + U_RIP]
        mov     rcx, [rdi + U_RCX]
        mov     r11, [rdi + U_R11]
        swapgs
        wrgsbase rax
        mov     rax, [rdi + U_RAX]
        mov     rdi, [rdi + U_RDI]
        iretq

# ---- threads --------------------------------------------------------------------------------------------------------

# void x64_switch(Thread* previous, Thread* next): saves what the ABI preserves; XMM is caller-saved, MXCSR and the x87 control word are
# the same in all kernel threads. Between the two labels stack, FS and the current thread do not match: no activation starts there.
        .globl  x64_switch, x64_switch_end
        .type   x64_switch, @function
        .balign 16
x64_switch:
        push    rbx
        push    rbp
        push    r12
        push    r13
        push    r14
        push    r15
        mov     [rdi + THREAD_RSP], rsp
        mov     rsp, [rsi + THREAD_RSP]
        mov     rax, [rsi + THREAD_FS]
        wrfsbase rax
        mov     gs:[CPU_CURRENT], rsi
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     rbp
        pop     rbx
        ret
x64_switch_end:

# Where an interrupted thread goes when the runtime wants it: RSP = copy of its trap frame on its own stack, below the red zone, interrupts on. The
# runtime's handler may rewrite the frame, and it may block until a collection is over.
        .globl  x64_activation_entry
        .type   x64_activation_entry, @function
        .balign 16
x64_activation_entry:
        mov     rdi, rsp
        mov     rbp, rsp
        call    ostd_activation
        mov     rsp, rbp
        restore_all
        iretq

# A new thread's first return address. RBX = thread (set up in its first stack frame).
        .globl  x64_thread_start
        .type   x64_thread_start, @function
        .balign 16
x64_thread_start:
        xor     ebp, ebp
        mov     rdi, rbx
        call    x64_thread_main
        ud2

# void x64_call_on_stack(void* stack, void* function, void* argument): runs function(argument) on another stack and comes back.
        .globl  x64_call_on_stack
        .type   x64_call_on_stack, @function
        .balign 16
x64_call_on_stack:
        push    rbp
        mov     rbp, rsp
        mov     rsp, rdi
        mov     rdi, rdx
        call    rsi
        mov     rsp, rbp
        pop     rbp
        ret

        .section .note.GNU-stack, "", @progbits
