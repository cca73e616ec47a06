/* Threads that sleep in calls which any stop would end with EINTR: epoll_wait, recv with a time-out, nanosleep, and
 * read on a pipe. Ends on end of input: prints how many of them were interrupted. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static atomic_int over, interrupted, woken;

static void count(int failed)
{
    atomic_fetch_add(&woken, 1);
    if (failed && errno == EINTR)
        atomic_fetch_add(&interrupted, 1);
}

static void *polls(void *arg)
{
    struct epoll_event e;
    int fd = epoll_create1(0);
    (void)arg;
    while (!over)
        count(epoll_wait(fd, &e, 1, 2) < 0);
    return NULL;
}

static void *receives(void *arg)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    struct timeval wait = {0, 2000};
    char c;
    (void)arg;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    while (!over)
        count(recv(fd, &c, 1, 0) < 0);
    return NULL;
}

static void *sleeps(void *arg)
{
    struct timespec wait = {0, 2000000};
    (void)arg;
    while (!over)
        count(nanosleep(&wait, NULL) < 0);
    return NULL;
}

int main(void)
{
    pthread_t t[6];
    void *(*what[6])(void *) = {polls, receives, sleeps, polls, receives, sleeps};
    char c;
    for (int i = 0; i < 6; i++)
        pthread_create(&t[i], NULL, what[i], NULL);
    puts("ready");
    fflush(stdout);
    while (read(0, &c, 1) == 1)
        ;
    over = 1;
    for (int i = 0; i < 6; i++)
        pthread_join(t[i], NULL);
    printf("%d %d\n", woken, interrupted);
    return 0;
}
