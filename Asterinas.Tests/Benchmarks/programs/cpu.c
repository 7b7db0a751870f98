// Work without the kernel, in the manner of Dhrystone: records, strings, calls, branches. The ratio of two kernels must be 1.
#include "bench.h"

enum kind { FIRST, SECOND, THIRD };

struct record
{
    struct record *next;
    enum kind kind;
    int number;
    char text[32];
};

static struct record records[2];
static int numbers[50], table[50][50];
static char letter;

__attribute__((noinline)) static enum kind next_kind(enum kind kind, int number)
{
    switch (kind)
    {
        case FIRST: return number > 100 ? FIRST : THIRD;
        case SECOND: return FIRST;
        default: return SECOND;
    }
}

__attribute__((noinline)) static void change(struct record *record)
{
    struct record *next = record->next;
    *next = *record;
    next->number = record->number + 5;
    next->kind = next_kind(record->kind, next->number);
    next->next = record;
    if (next->kind == FIRST) next->number += 10;
    else next->number -= 3;
}

__attribute__((noinline)) static bool compare(const char *a, const char *b)
{
    int at = 2;
    while (at <= 2)
    {
        if (a[at] == b[at + 1]) letter = 'A';
        else at++;
        at += letter == 'A';
    }
    return strcmp(a, b) > 0;
}

__attribute__((noinline)) static void fill(int at, int value)
{
    int place = at + 5;
    numbers[place] = value;
    numbers[place + 1] = numbers[place];
    numbers[place + 30 < 50 ? place + 30 : 49] = place;
    for (int i = place; i <= place + 1; i++) table[place][i] = place;
    table[place][place - 1]++;
    table[(place + 20) % 50][place] = numbers[place];
}

JOB(cpu_work, 300000)
{
    char first[32], second[32];
    memset(records, 0, sizeof records);
    memset(numbers, 0, sizeof numbers);
    memset(table, 0, sizeof table);
    records[0].next = &records[1];
    strcpy(records[0].text, "A TEXT THAT IS COPIED");
    strcpy(first, "THE FIRST TEXT OF TWO");
    uint64_t sum = 0;
    start();
    for (long i = 0; i < n; i++)
    {
        letter = (char)('B' + i % 5);
        strcpy(second, i % 2 == 0 ? "THE SECOND TEXT OF TWO" : "THE FIRST TEXT OF TWO");
        bool greater = compare(first, second);
        int a = 2, b = (int)(i % 7) + 3, c = 0;
        while (a < b)
        {
            c = 5 * a - b;
            a++;
        }
        fill((int)(i % 10), c);
        records[0].number = c;
        records[0].kind = (enum kind)(i % 3);
        change(&records[0]);
        for (char at = 'A'; at <= letter; at++) c += next_kind(at == 'C' ? SECOND : THIRD, c);
        b = b * a;
        a = b / (c == 0 ? 1 : c);
        sum += (uint64_t)(greater + a + b + c + records[1].number);
    }
    stop();
    return hash(hash(sum, numbers, sizeof numbers), table, sizeof table);
}
