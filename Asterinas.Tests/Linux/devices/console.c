// /dev/console and /dev/tty without a terminal (man 4 console, tty).
#include "../common/scratch.h"

#include <termios.h>

CASE(dev_tty_without_a_controlling_terminal_fails_with_ENXIO)
{
    IN_CHILD({
        OK(setsid());
        FAILS(open("/dev/tty", O_RDWR), ENXIO);
        FAILS(open("/dev/tty", O_RDONLY | O_NONBLOCK), ENXIO);
    });
}

CASE(dev_console_is_a_terminal)
{
    int fd = OK(open("/dev/console", O_RDWR | O_NOCTTY | O_NONBLOCK));
    EQUAL(isatty(fd), 1);
    struct termios termios;
    OK(tcgetattr(fd, &termios));
    FAILS(lseek(fd, 0, SEEK_SET), ESPIPE);
    AS_NOBODY({ FAILS(open("/dev/console", O_RDWR | O_NOCTTY), EACCES); });
}
