/* hammer THREADS SIGNALS: threads that do nothing but read the clock, and check that every answer is the truth or the
 * truth plus one hour; with SIGNALS a thread also pelts the others with signals whose handler reads the clock.
 * Ends on end of input: prints how often each answer was given. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static atomic_int over;
static atomic_llong honest, bent, wrong;
static const long long HOUR = 3600000000000LL, SLACK = 2000000000LL;

static long long raw(void)
{
    struct timespec t;
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void judge(long long seen, long long base)
{
    long long error = seen - base;
    if (error > -SLACK && error < SLACK)
        atomic_fetch_add_explicit(&honest, 1, memory_order_relaxed);
    else if (error > HOUR - SLACK && error < HOUR + SLACK)
        atomic_fetch_add_explicit(&bent, 1, memory_order_relaxed);
    else {
        atomic_fetch_add(&wrong, 1);
        fprintf(stderr, "wrong by %lld\n", error);
    }
}

static void look(void)
{
    struct timespec t = {-1, -1};
    struct timeval tv = {-1, -1};
    long long base = raw();
    for (int i = 0; i < 50; i++)
        clock_gettime(CLOCK_REALTIME, &t);
    judge(t.tv_sec * 1000000000LL + t.tv_nsec, base);
    gettimeofday(&tv, NULL);
    judge(tv.tv_sec * 1000000000LL + tv.tv_usec * 1000LL, base);
    judge(time(NULL) * 1000000000LL, base);
}

static void handler(int sig)
{
    (void)sig;
    look();
}

static void *hammer(void *arg)
{
    (void)arg;
    while (!over)
        look();
    return NULL;
}

int main(int argc, char **argv)
{
    int threads = argc > 1 ? atoi(argv[1]) : 4, signals = argc > 2 ? atoi(argv[2]) : 0;
    pthread_t t[64];
    struct sigaction act = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &act, NULL);
    for (int i = 0; i < threads; i++)
        pthread_create(&t[i], NULL, hammer, NULL);
    puts("ready");
    fflush(stdout);
    char c;
    if (signals) {
        pthread_t self = pthread_self();
        (void)self;
        fd_set set;
        struct timeval none;
        do {
            for (int i = 0; i < threads; i++)
                pthread_kill(t[i], SIGUSR1);
            usleep(200);
            FD_ZERO(&set);
            FD_SET(0, &set);
            none = (struct timeval){0, 0};
        } while (select(1, &set, NULL, NULL, &none) == 0);
    } else
        while (read(0, &c, 1) == 1)
            ;
    over = 1;
    for (int i = 0; i < threads; i++)
        pthread_join(t[i], NULL);
    printf("%lld %lld %lld\n", (long long)honest, (long long)bent, (long long)wrong);
    return wrong != 0;
}
