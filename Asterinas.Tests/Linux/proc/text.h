// What the programs about /proc and /sys share: fields of text files.
#pragma once

#include "../common/scratch.h"

// The whole of a small text file; fails when it cannot be read.
static inline char *text_of(const char *name)
{
    static char text[1 << 18];
    if (read_text(name, text, sizeof text) == -1) test_fail(__FILE__, __LINE__, errno, "%s", name);
    return text;
}

// The text after "Name:" and blanks in a file of such lines, to the end of the line. NULL when there is no such line.
static inline const char *field_of(const char *file, const char *name)
{
    static char value[512];
    char *text = text_of(file), *save;
    size_t length = strlen(name);
    for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
    {
        if (strncmp(line, name, length) != 0 || line[length] != ':') continue;
        char *at = line + length + 1;
        while (*at == ' ' || *at == '\t') at++;
        snprintf(value, sizeof value, "%s", at);
        return value;
    }
    return NULL;
}

// The same as a number; fails when the field is not there or no number.
static inline long long number_of(const char *file, const char *name)
{
    const char *value = field_of(file, name);
    char *end;
    if (value == NULL) test_fail(__FILE__, __LINE__, 0, "%s has no line %s", file, name);
    long long number = strtoll(value, &end, 10);
    if (end == value) test_fail(__FILE__, __LINE__, 0, "%s: %s is \"%s\"", file, name, value);
    return number;
}

// The number that a file holds, and nothing else.
static inline long long number_in(const char *file)
{
    char *text = text_of(file), *end;
    long long number = strtoll(text, &end, 10);
    if (end == text || (*end != '\n' && *end != 0)) test_fail(__FILE__, __LINE__, 0, "%s is \"%s\"", file, text);
    return number;
}

// Field `index` (from 1, as man 5 proc counts) of /proc/PID/stat; the second may hold blanks.
static inline long long stat_field(pid_t pid, int index)
{
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/stat", pid);
    char *text = text_of(name), *at = strrchr(text, ')') + 2;
    for (int i = 3; i < index; i++)
    {
        at = strchr(at, ' ');
        if (at == NULL) test_fail(__FILE__, __LINE__, 0, "%s has no field %d", name, index);
        at++;
    }
    return index == 3 ? *at : strtoll(at, NULL, 10);
}
