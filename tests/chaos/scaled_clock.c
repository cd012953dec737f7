/* A clock that runs SCALED_SPEED times as fast, for one process: LD_PRELOAD this.
 *
 * All that Python, its sockets and SQLite ask of a clock, or wait by, goes through these five
 * functions. SCALED_SINCE is the instant, in nanoseconds, at which real and scaled time agree.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

#define SECOND 1000000000LL
typedef long long ns;

static ns speed(void) {
    static ns known;
    return known ? known : (known = atoll(getenv("SCALED_SPEED")));
}

static ns since(void) {
    static ns known;
    return known ? known : (known = atoll(getenv("SCALED_SINCE")));
}

static ns number(const struct timespec *t) { return t->tv_sec * SECOND + t->tv_nsec; }

static struct timespec spec(ns n) {
    struct timespec t = {n / SECOND, n % SECOND};
    return t;
}

static ns real_now(clockid_t clock) {
    static int (*real)(clockid_t, struct timespec *);
    struct timespec t;
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    real(clock, &t);
    return number(&t);
}

static ns scaled(clockid_t clock, ns at) {
    if (clock == CLOCK_REALTIME) return since() + (at - since()) * speed();
    return clock == CLOCK_MONOTONIC ? at * speed() : at;
}

int clock_gettime(clockid_t clock, struct timespec *t) {
    *t = spec(scaled(clock, real_now(clock)));
    return 0;
}

int gettimeofday(struct timeval *t, void *zone) {
    ns now = scaled(CLOCK_REALTIME, real_now(CLOCK_REALTIME));
    t->tv_sec = now / SECOND;
    t->tv_usec = now % SECOND / 1000;
    return 0;
}

/* Waiting until a scaled instant: as long as it takes in real time. */
static struct timespec real_deadline(clockid_t clock, const struct timespec *until) {
    ns now = real_now(clock), left = (number(until) - scaled(clock, now)) / speed();
    return spec(now + (left > 0 ? left : 0));
}

int sem_clockwait(sem_t *sem, clockid_t clock, const struct timespec *until) {
    static int (*real)(sem_t *, clockid_t, const struct timespec *);
    struct timespec t = real_deadline(clock, until);
    if (!real) real = dlsym(RTLD_NEXT, "sem_clockwait");
    return real(sem, clock, &t);
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *t, struct timespec *left) {
    static int (*real)(clockid_t, int, const struct timespec *, struct timespec *);
    struct timespec wait = flags & TIMER_ABSTIME ? real_deadline(clock, t) : spec(number(t) / speed());
    if (!real) real = dlsym(RTLD_NEXT, "clock_nanosleep");
    return real(clock, flags, &wait, left);
}

int poll(struct pollfd *fds, nfds_t count, int milliseconds) {
    static int (*real)(struct pollfd *, nfds_t, const struct timespec *, const void *);
    struct timespec wait = spec(milliseconds * (SECOND / 1000) / speed());
    if (!real) real = dlsym(RTLD_NEXT, "ppoll");
    return real(fds, count, milliseconds < 0 ? NULL : &wait, NULL);
}
