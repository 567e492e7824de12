/*
 * What tests make go wrong in nginx, preloaded into it: calls that fail for want of memory or of
 * descriptors, and clocks that jump. nginx-tests/src/faults.rs writes the words that say so into a file
 * that this has mapped, and reads what was counted.
 */

#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* The words, in the order of faults.rs. */
enum {
    PROCESS,   /* in which calls are counted, and fail */
    KIND,      /* which calls */
    FIRST,     /* the number of the first call that fails */
    LAST,      /* and of the last */
    CALLS,     /* so many there were */
    FAILED,    /* so many of them failed */
    PIECES,    /* of memory that were taken, less those that were given back */
    WALL,      /* milliseconds that the clock of the day is ahead */
    MONOTONIC, /* and the one that never goes back */
    LOOKS,     /* whether timers are counted */
    TIMERS,    /* how many nginx had when it last waited */
    SLOW,      /* whether threads that read a file wait */
    WORDS
};

enum { MEMORY = 1, DESCRIPTORS = 2 };

static volatile int64_t *words;
static int64_t self;

static void note_self(void) {
    self = getpid();
}

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("NGINX_TESTS_FAULTS");
    int file = name ? syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) {
        return;
    }
    void *map = (void *) syscall(SYS_mmap, NULL, WORDS * sizeof(int64_t), PROT_READ | PROT_WRITE,
                                 MAP_SHARED, file, 0);
    close(file);
    note_self();
    pthread_atfork(NULL, NULL, note_self);
    if (map != MAP_FAILED) {
        words = map;
    }
}

static int is_watched(void) {
    return words && words[PROCESS] == self;
}

static int fails(int kind) {
    if (!is_watched() || !(words[KIND] & kind)) {
        return 0;
    }
    int64_t call = ++words[CALLS];
    if (call < words[FIRST] || call > words[LAST]) {
        return 0;
    }
    words[FAILED]++;
    return 1;
}

/* ---- memory ---- */

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static void *none(void) {
    errno = ENOMEM;
    return NULL;
}

static void *taken(void *piece) {
    if (piece && is_watched()) {
        words[PIECES]++;
    }
    return piece;
}

static void given_back(void *piece) {
    if (piece && is_watched()) {
        words[PIECES]--;
    }
}

void *malloc(size_t size) {
    return fails(MEMORY) ? none() : taken(__libc_malloc(size));
}

void *calloc(size_t count, size_t size) {
    return fails(MEMORY) ? none() : taken(__libc_calloc(count, size));
}

void *realloc(void *piece, size_t size) {
    if (fails(MEMORY)) {
        return none();
    }
    void *moved = __libc_realloc(piece, size);
    if (moved || size == 0) {
        given_back(piece);
        taken(moved);
    }
    return moved;
}

void *memalign(size_t alignment, size_t size) {
    return fails(MEMORY) ? none() : taken(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size) {
    return memalign(alignment, size);
}

int posix_memalign(void **piece, size_t alignment, size_t size) {
    if (fails(MEMORY)) {
        return ENOMEM;
    }
    *piece = taken(__libc_memalign(alignment, size));
    return *piece ? 0 : ENOMEM;
}

void free(void *piece) {
    given_back(piece);
    __libc_free(piece);
}

void *mmap(void *start, size_t size, int protection, int flags, int file, off_t offset) {
    if (fails(MEMORY)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    void *map = (void *) syscall(SYS_mmap, start, size, protection, flags, file, offset);
    taken(map == MAP_FAILED ? NULL : map);
    return map;
}

void *mmap64(void *start, size_t size, int protection, int flags, int file, off_t offset) {
    return mmap(start, size, protection, flags, file, offset);
}

int munmap(void *start, size_t size) {
    int status = syscall(SYS_munmap, start, size);
    given_back(status == 0 ? start : NULL);
    return status;
}

/* ---- descriptors ---- */

static int no_more_files(void) {
    errno = EMFILE;
    return -1;
}

int socket(int domain, int type, int protocol) {
    return fails(DESCRIPTORS) ? no_more_files() : syscall(SYS_socket, domain, type, protocol);
}

int accept4(int listener, struct sockaddr *address, socklen_t *length, int flags) {
    return fails(DESCRIPTORS) ? no_more_files()
                              : syscall(SYS_accept4, listener, address, length, flags);
}

int open(const char *name, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, int) : 0;
    va_end(rest);
    return fails(DESCRIPTORS) ? no_more_files() : syscall(SYS_openat, AT_FDCWD, name, flags, mode);
}

int open64(const char *name, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, int) : 0;
    va_end(rest);
    return open(name, flags, mode);
}

/* ---- threads, on a disk that is slow ---- */

static void wait_while_slow(void) {
    while (words && words[SLOW] && syscall(SYS_gettid) != self) {
        usleep(1000);
    }
}

ssize_t pread(int file, void *place, size_t size, off_t at) {
    wait_while_slow();
    return syscall(SYS_pread64, file, place, size, at);
}

ssize_t pread64(int file, void *place, size_t size, off64_t at) {
    wait_while_slow();
    return syscall(SYS_pread64, file, place, size, at);
}

/* ---- clocks ---- */

static int64_t ahead(int clock) {
    if (!words) {
        return 0;
    }
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        return words[WALL];
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME:
        return words[MONOTONIC];
    default:
        return 0;
    }
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int status = syscall(SYS_clock_gettime, clock, now);
    if (status == 0) {
        int64_t milliseconds = ahead(clock);
        now->tv_sec += milliseconds / 1000;
        now->tv_nsec += milliseconds % 1000 * 1000000;
        if (now->tv_nsec < 0) {
            now->tv_sec--;
            now->tv_nsec += 1000000000;
        } else if (now->tv_nsec >= 1000000000) {
            now->tv_sec++;
            now->tv_nsec -= 1000000000;
        }
    }
    return status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void) zone;
    int status = clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return status;
}

time_t time(time_t *place) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (place) {
        *place = now.tv_sec;
    }
    return now.tv_sec;
}

/* ---- timers ---- */

/* nginx's tree of timers, as all of its versions have it. */
struct node {
    uintptr_t key;
    struct node *left, *right, *parent;
};

struct tree {
    struct node *root, *nothing;
    void *insert;
};

extern struct tree ngx_event_timer_rbtree __attribute__((weak));

static int64_t count(const struct node *node, const struct node *nothing) {
    return node == nothing ? 0 : 1 + count(node->left, nothing) + count(node->right, nothing);
}

int epoll_wait(int epoll, struct epoll_event *events, int most, int timeout) {
    if (is_watched() && words[LOOKS] && &ngx_event_timer_rbtree) {
        words[TIMERS] = count(ngx_event_timer_rbtree.root, ngx_event_timer_rbtree.nothing);
    }
    return syscall(SYS_epoll_pwait, epoll, events, most, timeout, NULL, 8);
}
