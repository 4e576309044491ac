// A failing disk and a wrong clock for one process. The library is preloaded (LD_PRELOAD) into a node, and is called
// instead of the C library. Before every call it reads a small shared file, so a run can change the faults at any time.
// It counts in the same file how often they took effect. preload.ts writes and reads this file; both must use the same
// order of slots.
//
// The library replaces symbols of the C library: fdatasync and fsync; fwrite_unlocked (for the files of LevelDB),
// write, writev, pwrite (for those of Node); clock_gettime and gettimeofday; and the timeouts of epoll and of condition
// variables. These timeouts must be as wrong as the clocks, because a timer depends on both. Node and LevelDB make all
// these calls through the symbols of the C library.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

// Set by the run.
#define SYNC_DELAY_US 0
#define SYNC_ERRNO 1
#define WRITE_ERRNO 2
#define CLOCK_RATE_PPM 3   // 1000000 and 0: the correct speed
#define CLOCK_JUMP_US 4    // sum of all jumps so far
#define WALL_OFFSET_US 5   // additional error of the wall clock alone; may be negative
// Counted by this library.
#define SYNCS_DELAYED 8
#define SYNCS_FAILED 9
#define WRITES_REFUSED 10
#define CLOCK_READS 11     // reads that returned a wrong time
#define SLOTS 16

static volatile int64_t *slots;

// The time by which every clock of this process is ahead, and when it was last computed.
static pthread_spinlock_t clock_lock;
static int64_t ahead_ns, jumped_us, last_ns;

static int (*real_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
  pthread_spin_init(&clock_lock, PTHREAD_PROCESS_PRIVATE);
  real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
  const char *path = getenv("QUORATE_FAULTS");
  if (path == NULL) return;
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void *mapped = mmap(NULL, SLOTS * sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (mapped == MAP_FAILED) return;
  slots = mapped;
  jumped_us = slots[CLOCK_JUMP_US]; // Jumps before the start do not affect this process.
}

static int64_t slot(int at) { return slots == NULL ? 0 : slots[at]; }
static void count(int at) {
  if (slots != NULL) __sync_fetch_and_add(&slots[at], 1);
}

// ---------------------------------------------------------------------------------------------------------------------
// Disk

static int sync_with(const char *name, int fd) {
  int64_t delay_us = slot(SYNC_DELAY_US);
  if (delay_us > 0) {
    struct timespec left = {delay_us / 1000000, (delay_us % 1000000) * 1000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
    count(SYNCS_DELAYED);
  }
  int64_t error = slot(SYNC_ERRNO);
  if (error != 0) {
    count(SYNCS_FAILED);
    errno = (int)error;
    return -1;
  }
  int (*real)(int) = dlsym(RTLD_NEXT, name);
  return real(fd);
}

int fdatasync(int fd) { return sync_with("fdatasync", fd); }
int fsync(int fd) { return sync_with("fsync", fd); }

// Only the directory with the node's data (QUORATE_FAULTS_DIR) is full, not its log and not a cache of compiled code.
static int is_data(int fd) {
  const char *dir = getenv("QUORATE_FAULTS_DIR");
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (dir == NULL || length < 0) return 0;
  path[length] = 0;
  return strncmp(path, dir, strlen(dir)) == 0;
}

static int refused(int fd) {
  int64_t error = slot(WRITE_ERRNO);
  if (error == 0 || !is_data(fd)) return 0;
  count(WRITES_REFUSED);
  errno = (int)error;
  return 1;
}

#define FIND(real, name) if (real == NULL) real = dlsym(RTLD_NEXT, name)

#undef fwrite_unlocked
size_t fwrite_unlocked(const void *from, size_t size, size_t number, FILE *file) {
  static size_t (*real)(const void *, size_t, size_t, FILE *);
  FIND(real, "fwrite_unlocked");
  return refused(fileno(file)) ? 0 : real(from, size, number, file);
}

ssize_t write(int fd, const void *from, size_t size) {
  static ssize_t (*real)(int, const void *, size_t);
  FIND(real, "write");
  return refused(fd) ? -1 : real(fd, from, size);
}

ssize_t writev(int fd, const struct iovec *parts, int number) {
  static ssize_t (*real)(int, const struct iovec *, int);
  FIND(real, "writev");
  return refused(fd) ? -1 : real(fd, parts, number);
}

ssize_t pwrite(int fd, const void *from, size_t size, off_t at) {
  static ssize_t (*real)(int, const void *, size_t, off_t);
  FIND(real, "pwrite");
  return refused(fd) ? -1 : real(fd, from, size, at);
}

ssize_t pwrite64(int fd, const void *from, size_t size, off64_t at) {
  static ssize_t (*real)(int, const void *, size_t, off64_t);
  FIND(real, "pwrite64");
  return refused(fd) ? -1 : real(fd, from, size, at);
}

// ---------------------------------------------------------------------------------------------------------------------
// Clocks

static int64_t ns_of(const struct timespec *at) { return at->tv_sec * 1000000000LL + at->tv_nsec; }

static struct timespec timespec_of(int64_t ns) {
  struct timespec at = {ns / 1000000000LL, ns % 1000000000LL};
  return at;
}

static int64_t rate_ppm(void) {
  int64_t rate = slot(CLOCK_RATE_PPM);
  return rate == 0 ? 1000000 : rate;
}

// The time by which this process is ahead at the correct time `now`. The time that it shows never falls, since rates
// are positive and jumps go forward.
static int64_t ahead_at(int64_t now) {
  if (last_ns != 0 && now > last_ns) ahead_ns += (now - last_ns) / 1000 * (rate_ppm() - 1000000) / 1000;
  if (now > last_ns) last_ns = now;
  int64_t jumps = slots[CLOCK_JUMP_US];
  ahead_ns += (jumps - jumped_us) * 1000;
  jumped_us = jumps;
  return ahead_ns;
}

static int64_t ahead(int64_t *told) {
  struct timespec real;
  if (slots == NULL) {
    real_clock_gettime(CLOCK_MONOTONIC, &real);
    *told = ns_of(&real);
    return 0;
  }
  pthread_spin_lock(&clock_lock);
  real_clock_gettime(CLOCK_MONOTONIC, &real);
  int64_t by = ahead_at(ns_of(&real));
  *told = ns_of(&real) + by;
  pthread_spin_unlock(&clock_lock);
  if (by != 0) count(CLOCK_READS);
  return by;
}

int clock_gettime(clockid_t clock, struct timespec *at) {
  if (real_clock_gettime == NULL) real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
  int64_t told;
  switch (clock) {
  case CLOCK_MONOTONIC:
  case CLOCK_MONOTONIC_COARSE: // The same clock here: a coarse clock lags, so its time could fall at a rate below 1.
    ahead(&told);
    *at = timespec_of(told);
    return 0;
  case CLOCK_REALTIME:
  case CLOCK_REALTIME_COARSE: {
    int64_t by = ahead(&told) + slot(WALL_OFFSET_US) * 1000;
    if (real_clock_gettime(clock, at) != 0) return -1;
    *at = timespec_of(ns_of(at) + by);
    return 0;
  }
  default:
    return real_clock_gettime(clock, at);
  }
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
  (void)zone;
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return 0;
}

// Converts a timeout in milliseconds of the wrong clock to milliseconds of the correct clock.
static int wait_ms(int timeout) {
  if (timeout <= 0) return timeout;
  int64_t real = timeout * 1000000LL / rate_ppm();
  return real < 1 ? 1 : real > 0x7fffffff ? 0x7fffffff : (int)real;
}

int epoll_wait(int epoll, struct epoll_event *events, int max, int timeout) {
  static int (*real)(int, struct epoll_event *, int, int);
  FIND(real, "epoll_wait");
  return real(epoll, events, max, wait_ms(timeout));
}

int epoll_pwait(int epoll, struct epoll_event *events, int max, int timeout, const sigset_t *mask) {
  static int (*real)(int, struct epoll_event *, int, int, const sigset_t *);
  FIND(real, "epoll_pwait");
  return real(epoll, events, max, wait_ms(timeout), mask);
}

// A deadline is a time of a wrong clock; the kernel needs the time of the correct one. The wall clock counts from 1970,
// the monotonic clock from the last boot, so a large number of seconds is a time of the wall clock.
int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict deadline) {
  static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
  if (real == NULL) real = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
  if (real == NULL) real = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
  int64_t told;
  int64_t by = ahead(&told);
  if (deadline->tv_sec > 1000000000) by += slot(WALL_OFFSET_US) * 1000;
  struct timespec right = timespec_of(ns_of(deadline) - by);
  return real(condition, mutex, &right);
}
