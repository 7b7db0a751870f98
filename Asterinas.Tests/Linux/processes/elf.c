// What execve makes of an ELF file: segments, entry, interpreter, and the files it refuses. man 5 elf, man 2 execve.
#include "../common/elf.h"

static char *no_strings[] = {NULL};
static char *some_strings[] = {"program", NULL};

static int execve_errno(const char *name) { return execve(name, some_strings, no_strings) == -1 ? errno : 0; }

static void runs_to(const char *name, int status)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
    {
        execve(name, some_strings, no_strings);
        test_fail(__FILE__, __LINE__, errno, "execve %s", name);
    }
    REAP_EXIT(child, status);
}

static void dies_of(const char *name, int number)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
    {
        execve(name, some_strings, no_strings);
        test_fail(__FILE__, __LINE__, errno, "execve %s", name);
    }
    REAP_SIGNAL(child, number);
}

ELF_SNIPPET(exits_33, "mov $33, %edi\n" ELF_EXIT);
ELF_SNIPPET(exits_44, "mov $44, %edi\n" ELF_EXIT);

CASE(fixed_executable_runs)
{
    test_directory();
    elf_write("program", ELF_MAKE(ET_EXEC, exits_33));
    runs_to("./program", 33);
}

CASE(position_independent_executable_runs)
{
    test_directory();
    elf_write("program", ELF_MAKE(ET_DYN, exits_33));
    runs_to("./program", 33);
}

// The page of the code, in 64 KiB units, 40 bits: for a place in the user half, not near zero.
ELF_SNIPPET(place_is_good, "lea 0(%rip), %rdi\nmov %rdi, %rax\nmov $1, %edi\nshr $47, %rax\njnz 9f\n"
                           "lea 0(%rip), %rax\nmov $2, %edi\nshr $28, %rax\njz 9f\nxor %edi, %edi\n9:\n" ELF_EXIT);

CASE(position_independent_executable_is_put_high_in_the_user_half)
{
    test_directory();
    elf_write("program", ELF_MAKE(ET_DYN, place_is_good));
    runs_to("./program", 0);
}

// The file's bytes up to p_filesz, zeros behind them to the end of p_memsz, beyond the page as well.
ELF_SNIPPET(sums_bss, "mov $0x10002ff0, %esi\nmov $16, %ecx\nmov $1, %edi\n1: cmpb $0x77, (%rsi)\njne 9f\ninc %rsi\nloop 1b\n"
                      "mov $0x4010, %ecx\nmov $2, %edi\n2: cmpb $0, (%rsi)\njne 9f\ninc %rsi\nloop 2b\n"
                      "mov $3, %edi\nmovb $1, 0x10003000\nmovb $1, 0x1000700f\nxor %edi, %edi\n9:\n" ELF_EXIT);

CASE(bss_is_zero_to_its_end)
{
    test_directory();
    struct elf_image *image = ELF_MAKE(ET_EXEC, sums_bss);
    // A data segment at 0x10002ff0: sixteen bytes of the file (the last of its page) and 0x4010 of zeros; what follows in the file is not seen.
    image->header.e_phnum = 3;
    image->segments[2] = (Elf64_Phdr){PT_LOAD, PF_R | PF_W, 0xff0, ELF_FIXED_BASE + 0x2ff0, ELF_FIXED_BASE + 0x2ff0, 16, 16 + 0x4010, 0x1000};
    memset((char *)image + 0xff0, 0x77, 16);
    static char bytes[0x3000];
    memcpy(bytes, image, 0x1000);
    memset(bytes + 0x1000, 0x77, 0x2000);
    write_file("program", bytes, sizeof bytes, 0755);
    runs_to("./program", 0);
}

ELF_SNIPPET(sums_short_bss, "mov $0x10002008, %esi\nmov $0xff8, %ecx\nmov $2, %edi\n2: cmpb $0, (%rsi)\njne 9f\ninc %rsi\nloop 2b\n"
                            "mov $3, %edi\nmov $0x10002000, %esi\nmov $8, %ecx\n1: cmpb $0x77, (%rsi)\njne 9f\ninc %rsi\nloop 1b\n"
                            "xor %edi, %edi\n9:\n" ELF_EXIT);

CASE(bss_within_the_page_of_the_data_is_zeroed_to_the_end_of_the_page)
{
    test_directory();
    struct elf_image *image = ELF_MAKE(ET_EXEC, sums_short_bss);
    image->header.e_phnum = 3;
    image->segments[2] = (Elf64_Phdr){PT_LOAD, PF_R | PF_W, 0x1000, ELF_FIXED_BASE + 0x2000, ELF_FIXED_BASE + 0x2000, 8, 100, 0x1000};
    static char bytes[0x3000];
    memcpy(bytes, image, 0x1000);
    memset(bytes + 0x1000, 0x77, 0x2000);
    write_file("program", bytes, sizeof bytes, 0755);
    runs_to("./program", 0);
}

ELF_SNIPPET(writes_its_code, "movb $1, 8f(%rip)\nmov $1, %edi\n" ELF_EXIT "8: .byte 0\n");
ELF_SNIPPET(executes_its_stack, "movw $0x0b0f, -64(%rsp)\nlea -64(%rsp), %rax\njmp *%rax\n");     // ud2

CASE(segment_without_w_cannot_be_written)
{
    test_directory();
    elf_write("program", ELF_MAKE(ET_DYN, writes_its_code));
    dies_of("./program", SIGSEGV);
    struct elf_image *image = ELF_MAKE(ET_DYN, writes_its_code);
    image->segments[0].p_flags = PF_R | PF_W | PF_X;
    elf_write("writable", image);
    runs_to("./writable", 1);
}

CASE(writes_to_a_private_segment_do_not_reach_the_file)
{
    test_directory();
    struct elf_image *image = ELF_MAKE(ET_DYN, writes_its_code);
    image->segments[0].p_flags = PF_R | PF_W | PF_X;
    elf_write("program", image);
    runs_to("./program", 1);
    static char bytes[0x2000];
    int fd = OK(open("program", O_RDONLY | O_CLOEXEC));
    EQUAL(read(fd, bytes, sizeof bytes), 0x1000);
    CHECK(memcmp(bytes, image, 0x1000) == 0);
}

CASE(segment_without_x_cannot_be_executed)
{
    test_directory();
    struct elf_image *image = ELF_MAKE(ET_DYN, exits_33);
    image->segments[0].p_flags = PF_R | PF_W;
    elf_write("program", image);
    dies_of("./program", SIGSEGV);
}

CASE(stack_is_executable_only_when_PT_GNU_STACK_says_so)
{
    test_directory();
    struct elf_image *image = ELF_MAKE(ET_DYN, executes_its_stack);
    elf_write("program", image);
    dies_of("./program", SIGSEGV);
    image->segments[1].p_flags |= PF_X;
    elf_write("executable", image);
    dies_of("./executable", SIGILL);
}

CASE(entry_outside_every_segment_dies_of_SIGSEGV)
{
    test_directory();
    struct elf_image *image = ELF_MAKE(ET_EXEC, exits_33);
    image->header.e_entry = 0x30000000;
    elf_write("program", image);
    dies_of("./program", SIGSEGV);
}

CASE(wrong_header_fields_are_ENOEXEC)
{
    test_directory();
    struct elf_image good = *ELF_MAKE(ET_EXEC, exits_33), bad;
#define REFUSED(change)                                                                                                \
    bad = good;                                                                                                        \
    bad.header.change;                                                                                                 \
    elf_write("program", &bad);                                                                                        \
    CHECK_THAT(execve_errno("./program") == ENOEXEC, #change)
    REFUSED(e_ident[0] = 'E');
    REFUSED(e_type = ET_REL);
    REFUSED(e_type = ET_CORE);
    REFUSED(e_machine = EM_AARCH64);
    REFUSED(e_machine = 0);
    REFUSED(e_phentsize = sizeof(Elf64_Phdr) - 8);
    REFUSED(e_phnum = 0);
    REFUSED(e_phnum = 65535);
}

CASE(program_headers_beyond_the_file_are_refused)
{
    test_directory();
    struct elf_image *image = ELF_MAKE(ET_EXEC, exits_33);
    image->header.e_phoff = 0x100000;
    elf_write("program", image);
    int error = execve_errno("./program");
    CHECK(error == ENOEXEC || error == EIO);
    image->header.e_phoff = -64;
    elf_write("negative", image);
    error = execve_errno("./negative");
    CHECK(error == ENOEXEC || error == EIO || error == EINVAL);
}

CASE(segments_that_cannot_be_mapped_kill_the_new_program)
{
    // Beyond the point of no return there is nobody to get an errno: SIGSEGV or SIGKILL, never the old program again.
    test_directory();
    struct
    {
        unsigned long address, file_size, memory_size;
    } table[] = {
        {0xffff800000000000, 0x1000, 0x1000}, {0x7ffffffff000, 0x1000, 0x10000}, {ELF_FIXED_BASE, 0x2000, 0x1000}, {ELF_FIXED_BASE, 0x1000, 0x800000000000},
        {ELF_FIXED_BASE, 0x1000, -1UL},       {0x123, 0x1000, 0x1000},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    {
        struct elf_image *image = ELF_MAKE(ET_EXEC, exits_33);
        image->segments[0].p_vaddr = table[i].address;
        image->segments[0].p_filesz = table[i].file_size;
        image->segments[0].p_memsz = table[i].memory_size;
        elf_write("program", image);
        pid_t child = CHILD({
            execve("./program", some_strings, no_strings);
            _exit(55);
        });
        int status;
        EQUAL(waitpid(child, &status, 0), child);
        CHECK_THAT(WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGKILL), "row %zu: %#x", i, status);
    }
}

static void add_interpreter(struct elf_image *image, const char *name)
{
    image->header.e_phnum = 3;
    image->segments[2] = image->segments[0];
    image->segments[0] = (Elf64_Phdr){PT_INTERP, PF_R, 0xe00, 0xe00, 0xe00, strlen(name) + 1, strlen(name) + 1, 1};
    strcpy((char *)image + 0xe00, name);
}

CASE(interpreter_runs_instead_of_the_program)
{
    test_directory();
    elf_write("interpreter", ELF_MAKE(ET_DYN, exits_44));
    struct elf_image *image = ELF_MAKE(ET_DYN, exits_33);
    add_interpreter(image, "./interpreter");
    elf_write("program", image);
    runs_to("./program", 44);
    image = ELF_MAKE(ET_EXEC, exits_33);
    add_interpreter(image, "./interpreter");
    elf_write("fixed", image);
    runs_to("./fixed", 44);
}

// Finds AT_ENTRY (9) behind argv and environ, checks that AT_BASE (7) is where it lies itself, and jumps to the program.
ELF_SNIPPET(jumps_to_entry, "mov %rsp, %rsi\n1: add $8, %rsi\ncmpq $0, (%rsi)\njne 1b\n2: add $8, %rsi\ncmpq $0, (%rsi)\njne 2b\nadd $8, %rsi\n"
                            "xor %ebx, %ebx\nxor %ecx, %ecx\n"
                            "3: mov (%rsi), %rax\ntest %rax, %rax\njz 5f\ncmp $9, %rax\ncmove 8(%rsi), %rbx\ncmp $7, %rax\ncmove 8(%rsi), %rcx\nadd $16, %rsi\njmp 3b\n"
                            "5: mov $1, %edi\nlea 0(%rip), %rax\nand $-4096, %rax\ncmp %rax, %rcx\njne 9f\njmp *%rbx\n9:\n" ELF_EXIT);

CASE(interpreter_finds_its_base_and_the_programs_entry)
{
    test_directory();
    elf_write("interpreter", ELF_MAKE(ET_DYN, jumps_to_entry));
    struct elf_image *image = ELF_MAKE(ET_DYN, exits_33);
    add_interpreter(image, "./interpreter");
    elf_write("program", image);
    runs_to("./program", 33);
    image = ELF_MAKE(ET_EXEC, exits_33);
    add_interpreter(image, "./interpreter");
    elf_write("fixed", image);
    runs_to("./fixed", 33);
}

CASE(unusable_interpreters)
{
    test_directory();
    struct elf_image program = *ELF_MAKE(ET_DYN, exits_33);
    add_interpreter(&program, "./interpreter");
    elf_write("program", &program);
    EQUAL(execve_errno("./program"), ENOENT);
    struct elf_image *interpreter = ELF_MAKE(ET_DYN, exits_44);
    write_file("interpreter", interpreter, sizeof *interpreter, 0644);
    EQUAL(execve_errno("./program"), EACCES);
    OK(unlink("interpreter"));
    OK(mkdir("interpreter", 0755));
    EQUAL(execve_errno("./program"), EACCES);
    OK(rmdir("interpreter"));
    write_file("interpreter", "#!/bin/sh\n#####################################################################", 70, 0755);
    EQUAL(execve_errno("./program"), ELIBBAD);
    interpreter->header.e_machine = EM_AARCH64;
    elf_write("interpreter", interpreter);
    EQUAL(execve_errno("./program"), ELIBBAD);
}

CASE(interpreter_that_is_too_short_is_refused)
{
    test_directory();
    struct elf_image program = *ELF_MAKE(ET_DYN, exits_33);
    add_interpreter(&program, "./interpreter");
    elf_write("program", &program);
    write_file("interpreter", "abc", 3, 0755);
    int error = execve_errno("./program");
    CHECK(error == EIO || error == ELIBBAD || error == ENOEXEC);
}

CASE(interpreter_names_must_be_strings)
{
    test_directory();
    struct elf_image *image = ELF_MAKE(ET_DYN, exits_33);
    add_interpreter(image, "./interpreter");
    image->segments[0].p_filesz--;                  // without its NUL
    elf_write("program", image);
    EQUAL(execve_errno("./program"), ENOEXEC);
    image->segments[0].p_filesz = 1;
    elf_write("empty", image);
    EQUAL(execve_errno("./empty"), ENOEXEC);
    image->segments[0].p_filesz = PATH_MAX + 1;
    elf_write("long", image);
    EQUAL(execve_errno("./long"), ENOEXEC);
}

CASE(alignment_of_a_segment_is_kept)
{
    // p_align of 2 MiB on the only segment: the load address is a multiple of it (binutils' default on this machine once).
    test_directory();
    ELF_SNIPPET(is_aligned, "lea 0(%rip), %rax\nand $0x1ff000, %eax\nmov $1, %edi\njnz 9f\nxor %edi, %edi\n9:\n" ELF_EXIT);
    struct elf_image *image = ELF_MAKE(ET_DYN, is_aligned);
    image->segments[0].p_align = 0x200000;
    elf_write("program", image);
    for (int i = 0; i < 5; i++) runs_to("./program", 0);
}

CASE(heap_begins_behind_the_program)
{
    // brk(0) is above the last segment, and grows. (Position-independent ones without interpreter may have it elsewhere.)
    test_directory();
    ELF_SNIPPET(grows_heap, "mov $12, %eax\nxor %edi, %edi\nsyscall\nmov %rax, %rbx\nmov $1, %edi\nlea 0(%rip), %rax\ncmp %rax, %rbx\njb 9f\n"
                            "lea 0x2000(%rbx), %rdi\nmov $12, %eax\nsyscall\nmov $2, %edi\nlea 0x2000(%rbx), %rcx\ncmp %rcx, %rax\njne 9f\n"
                            "movb $1, (%rbx)\nmovb $1, 0x1fff(%rbx)\nxor %edi, %edi\n9:\n" ELF_EXIT);
    elf_write("program", ELF_MAKE(ET_EXEC, grows_heap));
    runs_to("./program", 0);
}

CASE(many_segments_are_mapped)
{
    test_directory();
    ELF_SNIPPET(reads_segments, "mov $1, %edi\ncmpb $0x7f, 0x10010000\njne 9f\ncmpb $0x7f, 0x10020000\njne 9f\ncmpb $0x7f, 0x10030000\njne 9f\n"
                                "cmpb $0x7f, 0x10040000\njne 9f\ncmpb $0, 0x10050000\njne 9f\nxor %edi, %edi\n9:\n" ELF_EXIT);
    struct elf_image *image = ELF_MAKE(ET_EXEC, reads_segments);
    image->header.e_phnum = 7;
    for (int i = 0; i < 4; i++)
    {
        image->segments[2 + i] = image->segments[0];
        image->segments[2 + i].p_flags = PF_R;
        image->segments[2 + i].p_vaddr += 0x10000 * (i + 1);
    }
    image->segments[6] = image->segments[0];        // nothing but bss
    image->segments[6].p_vaddr += 0x50000;
    image->segments[6].p_filesz = 0;
    image->segments[6].p_flags = PF_R | PF_W;
    elf_write("program", image);
    runs_to("./program", 0);
}
