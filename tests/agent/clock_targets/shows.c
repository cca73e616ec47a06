/* Answers every byte on its input with one line: what each way of asking for the wall clock says, in ns, between two
 * raw system calls. Commands: 't' the clocks; 'f' fork a child that answers 't' and exits; 'e' exec itself anew;
 * 'q' quit. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef __GLIBC__
#define TIME_ZONES 1
#else
#define TIME_ZONES 0 /* musl does not fill the time zone in */
#endif

static long long raw(int clock)
{
    struct timespec t;
    syscall(SYS_clock_gettime, clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long long asked(int clock)
{
    struct timespec t = {-1, -1};
    if (clock_gettime(clock, &t))
        return -1;
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void answer(void)
{
    struct timeval tv = {-1, -1};
    struct timezone tz = {77, 77};
    long long before = raw(CLOCK_REALTIME), real = asked(CLOCK_REALTIME), coarse = asked(CLOCK_REALTIME_COARSE);
    long long tai = asked(CLOCK_TAI), mono = asked(CLOCK_MONOTONIC) - raw(CLOCK_MONOTONIC);
    gettimeofday(&tv, &tz);
    time_t stored = -1, returned = time(&stored);
    long long after = raw(CLOCK_REALTIME);
    printf("%lld %lld %lld %lld %lld %lld %lld %lld %d\n", before, real, coarse, tai, mono,
           tv.tv_sec * 1000000000LL + tv.tv_usec * 1000LL, (long long)returned, after,
           returned == stored && (tz.tz_minuteswest != 77 || !TIME_ZONES) && asked(99) == -1);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    char c;
    (void)argc;
    while (read(0, &c, 1) == 1) {
        if (c == 't')
            answer();
        else if (c == 'f') {
            pid_t child = fork();
            if (child == 0) {
                answer();
                _exit(0);
            }
            int status;
            if (waitpid(child, &status, 0) != child || status)
                return 3;
        } else if (c == 'e') {
            execv("/proc/self/exe", argv);
            return 4;
        } else
            return 0;
    }
    return 0;
}
