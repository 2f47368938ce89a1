/* Storage that does not answer, for the coordinator or the agent (LD_PRELOAD).
 *
 * Below $STALL_BELOW, in `ckpt-coord serve`: opendir() hangs as long as the file
 * $STALL_FLAG exists; rename() to a generation as long as $STALL_FLAG.commit does.
 * In ckpt-agent: open() of coordinator.json as long as $STALL_FLAG.read exists, of a
 * partial file as long as $STALL_FLAG.write does.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef int (*open_function)(const char*, int, ...);

static open_function real_open(void) {
  static open_function known;
  if (!known) known = (open_function)dlsym(RTLD_NEXT, "open64");
  return known;
}

/* 'c', 'a' or '-' */
static char who(void) {
  static char known;
  if (known) return known;
  char line[256] = {0};
  const int fd = real_open()("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  const ssize_t got = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
  if (fd >= 0) close(fd);
  const size_t first = got > 0 ? strlen(line) + 1 : 0;
  known = '-';
  if (got > 0 && strstr(line, "ckpt-agent")) known = 'a';
  if (got > 0 && strstr(line, "ckpt-coord") && (ssize_t)first < got &&
      strcmp(line + first, "serve") == 0)
    known = 'c';
  return known;
}

static void stall(char whose, const char* path, const char* suffix) {
  const char *below = getenv("STALL_BELOW"), *flag = getenv("STALL_FLAG");
  if (who() != whose || !below || !flag || strncmp(path, below, strlen(below)) != 0) return;
  char name[4096];
  snprintf(name, sizeof name, "%s%s", flag, suffix);
  const struct timespec pause = {0, 20000000}; /* no event to wait for */
  while (access(name, F_OK) == 0) nanosleep(&pause, NULL);
}

DIR* opendir(const char* path) {
  DIR* (*real)(const char*) = (DIR * (*)(const char*)) dlsym(RTLD_NEXT, "opendir");
  stall('c', path, "");
  return real(path);
}

int rename(const char* from, const char* to) {
  int (*real)(const char*, const char*) =
      (int (*)(const char*, const char*))dlsym(RTLD_NEXT, "rename");
  const char* name = strrchr(to, '/');
  if (name && strncmp(name, "/gen-", 5) == 0) stall('c', to, ".commit");
  return real(from, to);
}

static int stalling_open(const char* path, int flags, mode_t mode) {
  const size_t length = strlen(path);
  if (length > 8 && strcmp(path + length - 8, ".partial") == 0) stall('a', path, ".write");
  if (length > 17 && strcmp(path + length - 17, "/coordinator.json") == 0)
    stall('a', path, ".read");
  return real_open()(path, flags, mode);
}

#define CKPT_OPEN(name)                                             \
  int name(const char* path, int flags, ...) {                      \
    va_list more;                                                   \
    va_start(more, flags);                                          \
    const mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0; \
    va_end(more);                                                   \
    return stalling_open(path, flags, mode);                        \
  }
CKPT_OPEN(open)
CKPT_OPEN(open64)
