/* Shared memory, open files, working directory. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "scenario.h"

struct shared {
  volatile int written[2], seen[2];
  char area[1 << 20];
};

static void share_memory(int unlink_it) {
  char name[64];
  int identity = (int)getpid();
  MPI_Bcast(&identity, 1, MPI_INT, 0, MPI_COMM_WORLD);
  snprintf(name, sizeof name, "/ckpt-scenario-%d-%d", identity, here.round);
  int fd = shm_open(name, O_RDWR | O_CREAT, 0600);
  CHECK(fd >= 0, "shm_open %s: %s", name, strerror(errno));
  CHECK(ftruncate(fd, sizeof(struct shared)) == 0, "ftruncate: %s", strerror(errno));
  struct shared* s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(s != MAP_FAILED, "mmap: %s", strerror(errno));
  close(fd);
  MPI_Barrier(MPI_COMM_WORLD);
  if (unlink_it && here.rank == 0) shm_unlink(name);
  if (here.rank == 1) fill(s->area, sizeof s->area, 9);
  MPI_Barrier(MPI_COMM_WORLD);
  hold();
  CHECK(filled(s->area, sizeof s->area, 9), "content");
  MPI_Barrier(MPI_COMM_WORLD);
  int other = 1 - here.rank; /* is it still one memory? */
  s->written[here.rank] = 1000 + here.rank;
  MPI_Barrier(MPI_COMM_WORLD);
  CHECK(s->written[other] == 1000 + other, "the memory is no longer shared");
  MPI_Barrier(MPI_COMM_WORLD);
  munmap(s, sizeof *s);
  if (!unlink_it && here.rank == 0) CHECK(shm_unlink(name) == 0, "shm_unlink: %s", strerror(errno));
}

void scenario_posix_shm(void) { share_memory(0); }
void scenario_posix_shm_unlinked(void) { share_memory(1); }

/* Lines 1, 2, 3 ... : what was written after the checkpoint must be gone after
 * a restart, so no number is missing or comes twice. */
void scenario_append_file(void) {
  char name[64], line[64];
  snprintf(name, sizeof name, "lines.%d.%d", here.round, here.rank);
  FILE* f = fopen(in_work_dir(name), "a");
  CHECK(f, "fopen %s: %s", in_work_dir(name), strerror(errno));
  int count = 0;
  mark_ready();
  do {
    fprintf(f, "line %d\n", ++count);
    if (count % 7 == 0) fflush(f);
    struct timespec pause = {0, 500000};
    nanosleep(&pause, NULL);
  } while (!go_given());
  for (int i = 0; i < 100; i++) fprintf(f, "line %d\n", ++count);
  CHECK(fclose(f) == 0, "fclose: %s", strerror(errno));
  f = fopen(in_work_dir(name), "r");
  CHECK(f, "fopen: %s", strerror(errno));
  int expected = 0, number;
  while (fgets(line, sizeof line, f)) {
    CHECK(sscanf(line, "line %d", &number) == 1, "bad line after %d: %s", expected, line);
    CHECK(number == ++expected, "line %d where %d belongs", number, expected);
  }
  CHECK(expected == count, "%d lines of %d", expected, count);
  fclose(f);
}

void scenario_open_files(void) {
  char name[64], text[64] = {0};
  snprintf(name, sizeof name, "data.%d.%d", here.round, here.rank);
  int fd = open(in_work_dir(name), O_RDWR | O_CREAT | O_TRUNC, 0644);
  CHECK(fd >= 0 && write(fd, "0123456789abcdef", 16) == 16, "write: %s", strerror(errno));
  int twin = dup(fd), high = fcntl(fd, F_DUPFD_CLOEXEC, 200);
  int separate = open(in_work_dir(name), O_RDONLY | O_CLOEXEC);
  CHECK(twin >= 0 && high >= 200 && separate >= 0, "dup: %s", strerror(errno));
  int zero = open("/dev/zero", O_RDONLY), sink = open("/dev/null", O_WRONLY);
  lseek(fd, 4, SEEK_SET);
  lseek(separate, 10, SEEK_SET);
  hold();
  CHECK(lseek(fd, 0, SEEK_CUR) == 4 && lseek(separate, 0, SEEK_CUR) == 10, "offsets");
  CHECK(read(twin, text, 3) == 3 && memcmp(text, "456", 3) == 0, "read: %s", text);
  CHECK(lseek(fd, 0, SEEK_CUR) == 7, "duplicates share an offset no longer");
  CHECK(read(high, text, 2) == 2 && memcmp(text, "78", 2) == 0, "descriptor %d", high);
  CHECK(read(separate, text, 8) == 6 && memcmp(text, "abcdef", 6) == 0, "separate: %s", text);
  CHECK((fcntl(high, F_GETFD) & FD_CLOEXEC) && !(fcntl(fd, F_GETFD) & FD_CLOEXEC), "FD_CLOEXEC");
  CHECK(read(zero, text, 4) == 4 && text[0] == 0 && write(sink, "x", 1) == 1, "devices");
  CHECK(write(fd, "XY", 2) == 2, "write afterwards: %s", strerror(errno));
  int all[] = {fd, twin, high, separate, zero, sink};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) close(all[i]);
  MPI_Barrier(MPI_COMM_WORLD);
}

void scenario_cwd_umask(void) {
  char before[4096], after[4096], start[4096];
  struct rlimit limit, now;
  CHECK(getcwd(start, sizeof start), "getcwd: %s", strerror(errno));
  const char* dir = in_work_dir("sub");
  CHECK(mkdir(dir, 0755) == 0 || errno == EEXIST, "mkdir %s: %s", dir, strerror(errno));
  CHECK(chdir(dir) == 0 && getcwd(before, sizeof before), "chdir: %s", strerror(errno));
  umask(027);
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_cur > 777 ? 777 : limit.rlim_cur;
  setrlimit(RLIMIT_NOFILE, &limit);
  hold();
  CHECK(getcwd(after, sizeof after) && strcmp(before, after) == 0, "cwd %s", after);
  mode_t mask = umask(022);
  CHECK(mask == 027, "umask %o", (unsigned)mask);
  getrlimit(RLIMIT_NOFILE, &now);
  CHECK(now.rlim_cur == limit.rlim_cur, "RLIMIT_NOFILE %lu", (unsigned long)now.rlim_cur);
  CHECK(chdir(start) == 0, "chdir back: %s", strerror(errno));
  MPI_Barrier(MPI_COMM_WORLD);
}
