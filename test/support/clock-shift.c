/* A library to preload: the wall clock of a process, off by as many seconds as the file TEST_CLOCK_SHIFT says (a long,
 * which may change while the process runs). The monotonic clock stays as it is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile long *shift(void) {
  static const volatile long none = 0;
  static const volatile long *shared = NULL;
  if (shared == NULL) {
    const char *path = getenv("TEST_CLOCK_SHIFT");
    int descriptor = path == NULL ? -1 : open(path, O_RDONLY);
    void *map = mmap(NULL, sizeof(long), PROT_READ, MAP_SHARED, descriptor, 0);
    shared = map == MAP_FAILED ? &none : map;
    if (descriptor >= 0) close(descriptor);
  }
  return shared;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  static int (*real)(clockid_t, struct timespec *) = NULL;
  if (real == NULL) real = dlsym(RTLD_NEXT, "clock_gettime");
  int status = real(clock, time);
  if (status == 0 && clock == CLOCK_REALTIME) time->tv_sec += *shift();
  return status;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  static int (*real)(struct timeval *restrict, void *restrict) = NULL;
  if (real == NULL) real = dlsym(RTLD_NEXT, "gettimeofday");
  int status = real(time, zone);
  if (status == 0) time->tv_sec += *shift();
  return status;
}
