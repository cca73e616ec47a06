/* Answers every byte on its input with: ns per clock_gettime (the least of 20 batches, in thousandths), and how far the
 * clock is from the middle of two raw system calls (median of the 200 tightest of 20000 tries, ns). */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TRIES 20000
#define KEPT 200
struct try { long long window, offset; };
static struct try tries[TRIES];

static long long raw(int clock)
{
    struct timespec t;
    syscall(SYS_clock_gettime, clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int by_window(const void *a, const void *b)
{
    const struct try *x = a, *y = b;
    return (x->window > y->window) - (x->window < y->window);
}

static int by_offset(const void *a, const void *b)
{
    const struct try *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

int main(void)
{
    char c;
    struct timespec t;
    while (read(0, &c, 1) == 1) {
        long long least = 1LL << 60;
        for (int batch = 0; batch < 20; batch++) {
            long long start = raw(CLOCK_MONOTONIC);
            for (int i = 0; i < 200000; i++)
                clock_gettime(CLOCK_REALTIME, &t);
            long long took = raw(CLOCK_MONOTONIC) - start;
            if (took < least)
                least = took;
        }
        for (int i = 0; i < TRIES; i++) {
            long long before = raw(CLOCK_REALTIME);
            clock_gettime(CLOCK_REALTIME, &t);
            long long after = raw(CLOCK_REALTIME);
            tries[i].window = after - before;
            tries[i].offset = t.tv_sec * 1000000000LL + t.tv_nsec - (before + (after - before) / 2);
        }
        qsort(tries, TRIES, sizeof *tries, by_window);
        qsort(tries, KEPT, sizeof *tries, by_offset);
        printf("%lld %lld\n", least / 200, tries[KEPT / 2].offset);
        fflush(stdout);
    }
    return 0;
}
