// What a new program finds on its stack and in its registers: the auxiliary vector (man 3 getauxval), alignment, zeroed registers.
#include "../common/elf.h"
#include <link.h>
#include <sys/prctl.h>

// The vector of this program, as the kernel wrote it: behind the environment's NULL.
static const ElfW(auxv_t) * auxiliary_vector(void)
{
    char **place = __environ;
    while (*place != NULL) place++;
    return (const ElfW(auxv_t) *)(place + 1);
}

static unsigned long auxiliary_value(unsigned long type)
{
    for (const ElfW(auxv_t) *entry = auxiliary_vector(); entry->a_type != AT_NULL; entry++)
    {
        if (entry->a_type == type) return entry->a_un.a_val;
    }
    test_fail(__FILE__, __LINE__, 0, "no entry %lu", type);
}

CASE(page_size_and_clock_tick)
{
    EQUAL(getauxval(AT_PAGESZ), 4096);
    EQUAL(getauxval(AT_CLKTCK), 100);
}

CASE(vector_ends_with_AT_NULL_and_names_nothing_twice)
{
    bool seen[256] = {false};
    int count = 0;
    for (const ElfW(auxv_t) *entry = auxiliary_vector(); entry->a_type != AT_NULL; entry++)
    {
        CHECK(entry->a_type < 256 && ++count < 64);
        CHECK_THAT(!seen[entry->a_type], "type %lu twice", entry->a_type);
        seen[entry->a_type] = true;
    }
    int needed[] = {AT_PHDR, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_BASE, AT_FLAGS, AT_ENTRY, AT_UID, AT_EUID, AT_GID, AT_EGID, AT_PLATFORM, AT_HWCAP, AT_CLKTCK,
                    AT_SECURE, AT_RANDOM, AT_HWCAP2, AT_EXECFN, AT_SYSINFO_EHDR, AT_MINSIGSTKSZ};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) CHECK_THAT(seen[needed[i]], "type %d is missing", needed[i]);
}

CASE(program_headers_are_this_programs)
{
    extern const ElfW(Ehdr) __ehdr_start;
    EQUAL(getauxval(AT_PHDR), (unsigned long)&__ehdr_start + __ehdr_start.e_phoff);
    EQUAL(getauxval(AT_PHENT), sizeof(ElfW(Phdr)));
    EQUAL(getauxval(AT_PHNUM), __ehdr_start.e_phnum);
}

CASE(entry_is_this_programs)
{
    extern char _start[];
    EQUAL(getauxval(AT_ENTRY), (unsigned long)_start);
    EQUAL(getauxval(AT_FLAGS), 0);
}

CASE(base_is_zero_without_an_interpreter) { EQUAL(getauxval(AT_BASE), 0); }

CASE(platform_is_x86_64)
{
    const char *platform = (const char *)getauxval(AT_PLATFORM);
    CHECK(platform != NULL && strcmp(platform, "x86_64") == 0);
}

CASE(hardware_capabilities_are_cpuids)
{
    unsigned eax = 1, ebx, ecx, edx;
    __asm__("cpuid" : "+a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx));
    // The kernel may hide features, but an x86-64 has these: FPU, TSC, CMOV, FXSR, SSE, SSE2.
    unsigned long needed = 1 << 0 | 1 << 4 | 1 << 15 | 1 << 24 | 1 << 25 | 1 << 26;
    // glibc's getauxval answers something else here.
    EQUAL(auxiliary_value(AT_HWCAP) & needed, needed);
    EQUAL(auxiliary_value(AT_HWCAP) & ~(unsigned long)edx & needed, 0);
}

CASE(signal_frame_size_holds_the_xsave_state)
{
    unsigned eax = 0xd, ebx, ecx = 0, edx;
    __asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    CHECK_THAT(getauxval(AT_MINSIGSTKSZ) >= ebx, "%lu < %u", getauxval(AT_MINSIGSTKSZ), ebx);
    CHECK(getauxval(AT_MINSIGSTKSZ) < 65536);
}

CASE(vdso_is_an_elf_image)
{
    const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)getauxval(AT_SYSINFO_EHDR);
    CHECK(header != NULL);
    EQUAL((unsigned long)header % 4096, 0);
    CHECK(memcmp(header->e_ident, ELFMAG, SELFMAG) == 0);
    EQUAL(header->e_type, ET_DYN);
    EQUAL(header->e_machine, EM_X86_64);
}

ENTRY(prints_random)
{
    const void *random = (const void *)getauxval(AT_RANDOM);
    return random != NULL && write(3, random, 16) == 16 ? 0 : 1;
}

CASE(sixteen_random_bytes_differ_from_start_to_start)
{
    char bytes[5][16];
    for (int i = 0; i < 5; i++)
    {
        int ends[2];
        OK(pipe(ends));
        pid_t child = CHILD({
            OK(dup2(ends[1], 3));
            char *arguments[] = {"x", "--entry", "prints_random", NULL};
            execve(test_program, arguments, environ);
        });
        OK(close(ends[1]));
        EQUAL(read(ends[0], bytes[i], 16), 16);
        OK(close(ends[0]));
        REAP_EXIT(child, 0);
        for (int j = 0; j < i; j++) CHECK(memcmp(bytes[i], bytes[j], 16) != 0);
    }
}

ENTRY(prints_places)
{
    // Of the stack, of the vDSO, of a mapping: what address-space randomisation moves.
    unsigned long places[3] = {(unsigned long)argv, getauxval(AT_SYSINFO_EHDR), (unsigned long)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)};
    return write(3, places, sizeof places) == sizeof places ? 0 : 1;
}

static void read_places(unsigned long *places)
{
    int ends[2];
    OK(pipe(ends));
    pid_t child = CHILD({
        OK(dup2(ends[1], 3));
        char *arguments[] = {"x", "--entry", "prints_places", NULL};
        execve(test_program, arguments, environ);
    });
    OK(close(ends[1]));
    EQUAL(read(ends[0], places, 3 * sizeof *places), 3 * sizeof *places);
    OK(close(ends[0]));
    REAP_EXIT(child, 0);
}

CASE(addresses_are_randomised)
{
    bool differs[3] = {false, false, false};
    unsigned long first[3], places[3];
    read_places(first);
    for (int i = 0; i < 8; i++)
    {
        read_places(places);
        for (int j = 0; j < 3; j++) differs[j] |= places[j] != first[j];
    }
    CHECK(differs[0]);
    CHECK(differs[1]);
    CHECK(differs[2]);
}

ENTRY(has_ids)
{
    EQUAL(getauxval(AT_UID), atoi(argv[3]));
    EQUAL(getauxval(AT_EUID), atoi(argv[4]));
    EQUAL(getauxval(AT_GID), atoi(argv[5]));
    EQUAL(getauxval(AT_EGID), atoi(argv[6]));
    EQUAL(getauxval(AT_SECURE), atoi(argv[7]));
    return 0;
}

static void copy_program(const char *name)
{
    static char bytes[1 << 16];
    int from = OK(open(test_program, O_RDONLY | O_CLOEXEC)), to = OK(open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755));
    ssize_t length;
    while ((length = OK(read(from, bytes, sizeof bytes))) > 0) EQUAL(write(to, bytes, length), length);
    OK(close(to));
    OK(close(from));
}

CASE(ids_are_the_callers_and_secure_is_zero)
{
    test_directory();
    copy_program("program");
    IN_CHILD({
        OK(setresgid(200, 200, 200));
        OK(setresuid(100, 100, 100));
        char *arguments[] = {"x", "--entry", "has_ids", "100", "100", "200", "200", "0", NULL};
        execve("./program", arguments, environ);
        CHECK(!"execve");
    });
}

CASE(secure_is_one_when_a_set_user_id_program_changes_ids)
{
    test_directory();
    copy_program("program");
    OK(chown("program", 300, 400));
    OK(chmod("program", 04755));
    IN_CHILD({
        OK(setresgid(200, 200, 200));
        OK(setresuid(100, 100, 100));
        char *arguments[] = {"x", "--entry", "has_ids", "100", "300", "200", "200", "1", NULL};
        execve("./program", arguments, environ);
        CHECK(!"execve");
    });
    OK(chmod("program", 02755));
    IN_CHILD({
        OK(setresgid(200, 200, 200));
        OK(setresuid(100, 100, 100));
        char *arguments[] = {"x", "--entry", "has_ids", "100", "100", "200", "400", "1", NULL};
        execve("./program", arguments, environ);
        CHECK(!"execve");
    });
}

ENTRY(has_execfn) { return strcmp((const char *)getauxval(AT_EXECFN), argv[3]) == 0 ? 0 : 1; }

CASE(file_name_is_the_one_given_to_execve)
{
    test_directory();
    copy_program("program");
    OK(symlink("program", "link"));
    IN_CHILD({
        char *arguments[] = {"other", "--entry", "has_execfn", ".//./link", NULL};
        execve(".//./link", arguments, environ);
        CHECK(!"execve");
    });
}

// At the entry: rsp is a multiple of 16 (System V ABI), argc is there, all other registers are zero; mxcsr and the x87 control word have their defaults.
ELF_SNIPPET(checks_registers, "mov %rax, %r15\n"        // r15 was zero, or the or below tells
                              "or %rbx, %r15\nor %rcx, %r15\nor %rdx, %r15\nor %rsi, %r15\nor %rdi, %r15\nor %rbp, %r15\n"
                              "or %r8, %r15\nor %r9, %r15\nor %r10, %r15\nor %r11, %r15\nor %r12, %r15\nor %r13, %r15\nor %r14, %r15\n"
                              "mov $1, %edi\ntest %r15, %r15\njnz 9f\n"
                              "mov $2, %edi\ntest $15, %spl\njnz 9f\n"
                              "mov $3, %edi\ncmpq $2, (%rsp)\njnz 9f\n"
                              "mov $4, %edi\nstmxcsr -8(%rsp)\ncmpl $0x1f80, -8(%rsp)\njnz 9f\n"
                              "mov $5, %edi\nfnstcw -8(%rsp)\ncmpw $0x37f, -8(%rsp)\njnz 9f\n"
                              "mov $6, %edi\nptest %xmm0, %xmm0\njnz 9f\nptest %xmm15, %xmm15\njnz 9f\n"
                              "mov $7, %edi\npushf\npop %rax\ntest $0x44400, %eax\njnz 9f\n"         // AC, NT, DF
                              "mov $8, %edi\nmov %fs, %eax\nmov %gs, %ebx\nor %ebx, %eax\njnz 9f\n"
                              "xor %edi, %edi\n9:\n" ELF_EXIT);

CASE(new_program_starts_with_clean_registers_and_aligned_stack)
{
    test_directory();
    elf_write("program", ELF_MAKE(ET_EXEC, checks_registers));
    IN_CHILD({
        __asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n\tpcmpeqd %%xmm15, %%xmm15\n\tldmxcsr %0\n\tfldcw %1" : : "m"((int){0x9fc0}), "m"((short){0x27f}) : "xmm0", "xmm15");
        char *arguments[] = {"one", "two", NULL};
        execve("./program", arguments, environ);
        CHECK(!"execve");
    });
}
