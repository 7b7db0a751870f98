// clone and clone3 as the kernel has them, without what the C library adds: for programs that test the calls themselves.
#pragma once

#include "test.h"
#include <linux/sched.h>
#include <sched.h>

#define CLONE_STACK_SIZE (64 * 1024)

// A stack for a task that shares memory: the address above it.
static inline void *clone_stack(void)
{
    char *stack = mmap(NULL, CLONE_STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED) test_fail(__FILE__, __LINE__, errno, "mmap of a stack");
    return stack + CLONE_STACK_SIZE;
}

// clone3 as a fork (no stack given, no CLONE_VM): returns twice, or -1.
static inline long clone3_fork(struct clone_args *arguments) { return syscall(SYS_clone3, arguments, sizeof *arguments); }

// clone3 with arguments->stack and stack_size set: the child calls function(argument) there and ends (the task, not the process) with its value.
static inline long clone3_call(struct clone_args *arguments, size_t size, int (*function)(void *), void *argument)
{
    long result;
    register int (*function_register)(void *) __asm__("r12") = function;
    register void *argument_register __asm__("r13") = argument;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "mov %%r13, %%rdi\n\t"
                     "and $-16, %%rsp\n\t"
                     "call *%%r12\n\t"
                     "mov %%eax, %%edi\n\t"
                     "mov %[exit], %%eax\n\t"
                     "syscall\n\t"
                     "hlt\n"
                     "1:"
                     : "=a"(result)
                     : "0"(SYS_clone3), "D"(arguments), "S"(size), "r"(function_register), "r"(argument_register), [exit] "i"(SYS_exit)
                     : "rcx", "r11", "memory");
    if (result < 0)
    {
        errno = -result;
        return -1;
    }
    return result;
}

static inline pid_t gettid_raw(void) { return syscall(SYS_gettid); }
