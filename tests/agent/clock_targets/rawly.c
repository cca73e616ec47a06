/* A program without a C library that asks the kernel itself: nothing in the vDSO can reach it. Prints the seconds of
 * CLOCK_REALTIME, as eight bytes, for every byte on its input. */
static long call(long n, long a, long b, long c)
{
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return r;
}

void _start(void)
{
    long t[2];
    char c;
    while (call(0, 0, (long)&c, 1) == 1) {
        call(228, 0, (long)t, 0);
        call(1, 1, (long)t, 8);
    }
    call(60, 0, 0, 0);
}
