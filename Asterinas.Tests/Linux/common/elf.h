// Small ELF64 executables made by a case, to see what execve makes of each header field.
#pragma once

#include "test.h"
#include <elf.h>

// One executable: header, program headers, code at ELF_CODE, all in one segment unless the case changes it before elf_write.
#define ELF_CODE 0x400
#define ELF_FIXED_BASE 0x10000000UL

struct elf_image
{
    Elf64_Ehdr header;
    Elf64_Phdr segments[8];
    char padding[ELF_CODE - sizeof(Elf64_Ehdr) - 8 * sizeof(Elf64_Phdr)];
    char code[0x1000 - ELF_CODE];
};

_Static_assert(sizeof(struct elf_image) == 0x1000, "one page");

static inline struct elf_image *elf_make(int type, const void *code, size_t size)
{
    static struct elf_image image;
    memset(&image, 0, sizeof image);
    unsigned long base = type == ET_EXEC ? ELF_FIXED_BASE : 0;
    image.header = (Elf64_Ehdr){
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = type,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_entry = base + ELF_CODE,
        .e_phoff = offsetof(struct elf_image, segments),
        .e_ehsize = sizeof(Elf64_Ehdr),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 2,
        .e_shentsize = sizeof(Elf64_Shdr),
    };
    image.segments[0] = (Elf64_Phdr){PT_LOAD, PF_R | PF_X, 0, base, base, sizeof image, sizeof image, 0x1000};
    image.segments[1] = (Elf64_Phdr){PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 0, 0, 16};
    CHECK(size <= sizeof image.code);
    memcpy(image.code, code, size);
    return &image;
}

static inline void elf_write(const char *name, const struct elf_image *image) { write_file(name, image, sizeof *image, 0755); }

// Position-independent code between two labels: ELF_SNIPPET(name, "instructions") declares `name` and `name_end`.
#define ELF_SNIPPET(name, instructions)                                                                                \
    __asm__(".pushsection .rodata\n" #name ":\n" instructions "\n" #name "_end:\n.popsection");                        \
    extern const char name[] __attribute__((visibility("hidden"))), name##_end[] __attribute__((visibility("hidden")))

#define ELF_MAKE(type, snippet) elf_make(type, snippet, snippet##_end - snippet)

// Instructions that end the process with the status in %edi.
#define ELF_EXIT "mov $231, %eax\nsyscall\nhlt\n"
