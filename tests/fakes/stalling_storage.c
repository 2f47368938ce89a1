/* Storage that does not answer, for the coordinator alone (LD_PRELOAD).
 *
 * Below $STALL_BELOW, in `ckpt-coord serve`: opendir() hangs as long as the file
 * $STALL_FLAG exists; rename() to a generation as long as $STALL_FLAG.commit does.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int of_the_coordinator(void) {
  static int known = -1;
  if (known >= 0) return known;
  char line[256] = {0};
  const int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  const ssize_t got = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
  if (fd >= 0) close(fd);
  const size_t first = got > 0 ? strlen(line) + 1 : 0;
  known = got > 0 && strstr(line, "ckpt-coord") && (ssize_t)first < got &&
          strcmp(line + first, "serve") == 0;
  return known;
}

static void stall(const char* path, const char* suffix) {
  const char *below = getenv("STALL_BELOW"), *flag = getenv("STALL_FLAG");
  if (!of_the_coordinator() || !below || !flag || strncmp(path, below, strlen(below)) != 0) return;
  char name[4096];
  snprintf(name, sizeof name, "%s%s", flag, suffix);
  const struct timespec pause = {0, 20000000}; /* no event to wait for */
  while (access(name, F_OK) == 0) nanosleep(&pause, NULL);
}

DIR* opendir(const char* path) {
  DIR* (*real)(const char*) = (DIR * (*)(const char*)) dlsym(RTLD_NEXT, "opendir");
  stall(path, "");
  return real(path);
}

int rename(const char* from, const char* to) {
  int (*real)(const char*, const char*) = (int (*)(const char*, const char*))dlsym(RTLD_NEXT, "rename");
  const char* name = strrchr(to, '/');
  if (name && strncmp(name, "/gen-", 5) == 0) stall(to, ".commit");
  return real(from, to);
}
