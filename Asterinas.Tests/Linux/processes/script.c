// Scripts, man 2 execve "Interpreter scripts": what the line "#! interpreter argument" becomes.
#include "../common/test.h"

static char *no_strings[] = {NULL};

// The entry writes its arguments to descriptor 3, each followed by a newline.
ENTRY(prints)
{
    for (int i = 0; i < argc; i++)
    {
        size_t length = strlen(argv[i]);
        if (write(3, argv[i], length) != (ssize_t)length || write(3, "\n", 1) != 1) return 1;
    }
    return 0;
}

static char output[8192];

// Runs the script with two arguments; the interpreter (this program) finds its entry by the environment. Returns execve's errno, or 0 with `output` set.
static int run(const char *script)
{
    int ends[2];
    OK(pipe2(ends, O_CLOEXEC));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
    {
        char *arguments[] = {"name", "one", "two words", NULL}, *environment[] = {"TEST_ENTRY=prints", NULL};
        OK(dup2(ends[1], 3));
        execve(script, arguments, environment);
        _exit(errno);
    }
    OK(close(ends[1]));
    size_t length = 0;
    ssize_t n;
    while ((n = OK(read(ends[0], output + length, sizeof output - 1 - length))) > 0) length += n;
    output[length] = 0;
    OK(close(ends[0]));
    int status;
    EQUAL(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

// The program under a short name, because the first line of a script is limited.
static void link_interpreter(void)
{
    test_directory();
    OK(symlink(test_program, "interpreter"));
}

static void write_script(const char *text) { write_file("script", text, strlen(text), 0755); }

static void prints_exactly(const char *expected) { CHECK_THAT(strcmp(output, expected) == 0, "it printed '%s', not '%s'", output, expected); }

CASE(script_is_run_by_its_interpreter)
{
    link_interpreter();
    write_script("#!./interpreter\nanything\n");
    EQUAL(run("./script"), 0);
    prints_exactly("./interpreter\n./script\none\ntwo words\n");        // argv[0] of the caller is lost, the path takes its place
}

CASE(rest_of_the_line_is_one_argument)
{
    link_interpreter();
    write_script("#!./interpreter first second  third\n");
    EQUAL(run("./script"), 0);
    prints_exactly("./interpreter\nfirst second  third\n./script\none\ntwo words\n");
}

CASE(blanks_and_tabs_around_the_parts_are_dropped)
{
    link_interpreter();
    write_script("#! \t ./interpreter \t argument \t \n");
    EQUAL(run("./script"), 0);
    prints_exactly("./interpreter\nargument\n./script\none\ntwo words\n");
    write_script("#!  ./interpreter  \n");
    EQUAL(run("./script"), 0);
    prints_exactly("./interpreter\n./script\none\ntwo words\n");
}

CASE(line_may_end_with_the_file)
{
    link_interpreter();
    write_script("#!./interpreter");
    EQUAL(run("./script"), 0);
    prints_exactly("./interpreter\n./script\none\ntwo words\n");
    write_script("#!./interpreter x");
    EQUAL(run("./script"), 0);
    prints_exactly("./interpreter\nx\n./script\none\ntwo words\n");
}

CASE(carriage_return_is_part_of_the_name)
{
    link_interpreter();
    write_script("#!./interpreter\r\n");
    EQUAL(run("./script"), ENOENT);
}

CASE(line_without_a_name_is_ENOEXEC)
{
    link_interpreter();
    write_script("#!\n./interpreter");
    EQUAL(run("./script"), ENOEXEC);
    write_script("#! \t \n");
    EQUAL(run("./script"), ENOEXEC);
    write_script("#!");
    CHECK(run("./script") != 0);        // Linux: EACCES, the empty name is the directory
    write_script("# !./interpreter\n");
    EQUAL(run("./script"), ENOEXEC);
}

CASE(name_longer_than_the_line_limit_is_ENOEXEC_and_a_long_argument_is_cut)
{
    // man 2 execve: the line may be 255 bytes after "#!" since Linux 5.1.
    link_interpreter();
    char text[600] = "#!";
    memset(text + 2, '/', 300);
    strcpy(text + 302, "bin/interpreter\n");
    write_script(text);
    EQUAL(run("./script"), ENOEXEC);
    strcpy(text, "#!./interpreter ");
    size_t start = strlen(text);
    memset(text + start, 'a', 400);
    strcpy(text + start + 400, "\n");
    write_script(text);
    EQUAL(run("./script"), 0);
    char expected[700];
    // 256 bytes are looked at, the last is the end.
    snprintf(expected, sizeof expected, "./interpreter\n%.*s\n./script\none\ntwo words\n", (int)(255 - start), text + start);
    CHECK_THAT(strncmp(output, expected, 250) == 0, "%s", output);
    char *end = strchr(output + strlen("./interpreter\n"), '\n');
    CHECK(end != NULL && strcmp(end, "\n./script\none\ntwo words\n") == 0);
}

CASE(missing_and_unusable_interpreters)
{
    link_interpreter();
    write_script("#!./nothing\n");
    EQUAL(run("./script"), ENOENT);
    write_text("plain", "x");
    write_script("#!./plain\n");
    EQUAL(run("./script"), EACCES);
    write_script("#!.\n");
    EQUAL(run("./script"), EACCES);
    write_script("#!./plain/x\n");
    EQUAL(run("./script"), ENOTDIR);
}

CASE(script_without_x_is_EACCES)
{
    link_interpreter();
    write_file("script", "#!./interpreter\n", 16, 0644);
    EQUAL(run("./script"), EACCES);
}

CASE(interpreter_may_be_a_script_itself)
{
    link_interpreter();
    write_file("second", "#!./interpreter b\n", 18, 0755);
    write_file("script", "#!./second a\n", 13, 0755);
    EQUAL(run("./script"), 0);
    prints_exactly("./interpreter\nb\n./second\na\n./script\none\ntwo words\n");
}

CASE(too_many_levels_are_ELOOP)
{
    link_interpreter();
    write_file("s1", "#!./interpreter\n", 16, 0755);
    write_file("s2", "#!./s1\n", 7, 0755);
    write_file("s3", "#!./s2\n", 7, 0755);
    write_file("s4", "#!./s3\n", 7, 0755);
    write_file("s5", "#!./s4\n", 7, 0755);
    write_file("s6", "#!./s5\n", 7, 0755);
    EQUAL(run("./s5"), 0);
    prints_exactly("./interpreter\n./s1\n./s2\n./s3\n./s4\n./s5\none\ntwo words\n");
    EQUAL(run("./s6"), ELOOP);
    write_file("self", "#!./self\n", 9, 0755);
    EQUAL(run("./self"), ELOOP);
}

CASE(script_by_descriptor_is_named_below_dev_fd)
{
    link_interpreter();
    write_script("#!./interpreter\n");
    int ends[2];
    OK(pipe(ends));
    pid_t child = CHILD({
        char *arguments[] = {"name", NULL}, *environment[] = {"TEST_ENTRY=prints", NULL};
        int fd = OK(open("script", O_RDONLY));
        OK(dup2(fd, 9));
        OK(dup2(ends[1], 3));
        syscall(SYS_execveat, 9, "", arguments, environment, AT_EMPTY_PATH);
        _exit(errno);
    });
    REAP_EXIT(child, 0);
    OK(close(ends[1]));
    ssize_t length = OK(read(ends[0], output, sizeof output - 1));
    output[length] = 0;
    prints_exactly("./interpreter\n/dev/fd/9\n");
}

CASE(script_by_a_close_on_exec_descriptor_is_ENOENT)
{
    // man 2 execveat, BUGS: the interpreter could not open it.
    link_interpreter();
    write_script("#!./interpreter\n");
    int fd = OK(open("script", O_RDONLY | O_CLOEXEC));
    char *arguments[] = {"name", NULL};
    FAILS(syscall(SYS_execveat, fd, "", arguments, no_strings, AT_EMPTY_PATH), ENOENT);
}

CASE(set_user_id_bit_of_a_script_is_ignored)
{
    link_interpreter();
    OK(unlink("interpreter"));
    static char bytes[1 << 16];
    int from = OK(open(test_program, O_RDONLY | O_CLOEXEC)), to = OK(open("interpreter", O_WRONLY | O_CREAT | O_CLOEXEC, 0755));
    ssize_t length;
    while ((length = OK(read(from, bytes, sizeof bytes))) > 0) EQUAL(write(to, bytes, length), length);
    OK(close(to));
    write_script("#!./interpreter\n");
    OK(chown("script", 500, 500));
    OK(chmod("script", 06755));
    IN_CHILD({
        OK(setresgid(600, 600, 600));
        OK(setresuid(600, 600, 600));
        REAP_EXIT(CHILD({
                      char *arguments[] = {"name", NULL};
                      char *environment[] = {"TEST_ENTRY=is_600", NULL};
                      execve("./script", arguments, environment);
                  }),
                  7);
    });
}

ENTRY(is_600) { return getuid() == 600 && geteuid() == 600 && getgid() == 600 && getegid() == 600 ? 7 : 8; }

CASE(interpreter_name_may_lead_through_symbolic_links)
{
    link_interpreter();
    OK(symlink("interpreter", "link"));
    write_script("#!link\n");
    EQUAL(run("./script"), 0);
    prints_exactly("link\n./script\none\ntwo words\n");
}
