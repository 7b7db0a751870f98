# The vDSO (man 7 vdso): a shared object that the kernel maps into every program, so that reading a clock needs no system call. The page before it holds
# what turns the time-stamp counter into time (VdsoData in Vdso.cs writes it):
#
#   0   u32   sequence: odd while the kernel writes
#   8   u64   counter at monotonic time 0
#   16  u64   multiplier: nanoseconds = ticks * multiplier >> 32
#   24  s64   wall clock minus monotonic clock, in nanoseconds
#   32  s32   tz_minuteswest, tz_dsttime behind it

    .set SEQUENCE, 0
    .set BASE, 8
    .set MULTIPLIER, 16
    .set OFFSET, 24
    .set ZONE, 32

    .set SYS_clock_gettime, 228
    .set SYS_clock_getres, 229
    .set SYS_getcpu, 309

    .text

# Monotonic nanoseconds in rax, the wall clock's offset in r10. Changes rdx, r8, r9.
    .type   now, @function
now:
    lea     vdso_data(%rip), %r8
1:  mov     SEQUENCE(%r8), %r9d
    test    $1, %r9d
    jnz     2f
    lfence
    rdtsc
    shl     $32, %rdx
    or      %rdx, %rax
    sub     BASE(%r8), %rax
    mov     OFFSET(%r8), %r10
    mulq    MULTIPLIER(%r8)
    shrd    $32, %rdx, %rax
    cmp     SEQUENCE(%r8), %r9d
    jne     2f
    ret
2:  pause
    jmp     1b
    .size   now, . - now

# int clock_gettime(clockid_t clock, struct timespec *time)
    .globl  __vdso_clock_gettime
    .type   __vdso_clock_gettime, @function
__vdso_clock_gettime:
    cmp     $11, %edi
    ja      3f
    mov     $0x8d3, %ecx                # clocks that are the monotonic or the wall clock: 0, 1, 4, 6, 7, 11
    or      $0x20, %ecx                 # and 5
    bt      %edi, %ecx
    jnc     3f
    call    now
    mov     $0x821, %ecx                # of these the wall clock: 0, 5, 11
    bt      %edi, %ecx
    jnc     1f
    add     %r10, %rax
1:  mov     $1000000000, %ecx
    xor     %edx, %edx
    div     %rcx
    mov     %rax, (%rsi)
    mov     %rdx, 8(%rsi)
    xor     %eax, %eax
    ret
3:  mov     $SYS_clock_gettime, %eax
    syscall
    ret
    .size   __vdso_clock_gettime, . - __vdso_clock_gettime

# int gettimeofday(struct timeval *time, struct timezone *zone)
    .globl  __vdso_gettimeofday
    .type   __vdso_gettimeofday, @function
__vdso_gettimeofday:
    test    %rdi, %rdi
    jz      1f
    call    now
    add     %r10, %rax
    mov     $1000000000, %ecx
    xor     %edx, %edx
    div     %rcx
    mov     %rax, (%rdi)
    mov     %rdx, %rax
    mov     $1000, %ecx
    xor     %edx, %edx
    div     %rcx
    mov     %rax, 8(%rdi)
1:  test    %rsi, %rsi
    jz      2f
    mov     vdso_data + ZONE(%rip), %rax
    mov     %rax, (%rsi)
2:  xor     %eax, %eax
    ret
    .size   __vdso_gettimeofday, . - __vdso_gettimeofday

# time_t time(time_t *time)
    .globl  __vdso_time
    .type   __vdso_time, @function
__vdso_time:
    call    now
    add     %r10, %rax
    mov     $1000000000, %ecx
    xor     %edx, %edx
    div     %rcx
    test    %rdi, %rdi
    jz      1f
    mov     %rax, (%rdi)
1:  ret
    .size   __vdso_time, . - __vdso_time

# int clock_getres(clockid_t clock, struct timespec *resolution)
    .globl  __vdso_clock_getres
    .type   __vdso_clock_getres, @function
__vdso_clock_getres:
    mov     $SYS_clock_getres, %eax
    syscall
    ret
    .size   __vdso_clock_getres, . - __vdso_clock_getres

# long getcpu(unsigned *cpu, unsigned *node, void *unused)
    .globl  __vdso_getcpu
    .type   __vdso_getcpu, @function
__vdso_getcpu:
    mov     $SYS_getcpu, %eax
    syscall
    ret
    .size   __vdso_getcpu, . - __vdso_getcpu

    .weak   clock_gettime, gettimeofday, time, clock_getres, getcpu
    .set    clock_gettime, __vdso_clock_gettime
    .set    gettimeofday, __vdso_gettimeofday
    .set    time, __vdso_time
    .set    clock_getres, __vdso_clock_getres
    .set    getcpu, __vdso_getcpu

    .section .note.GNU-stack, "", @progbits
