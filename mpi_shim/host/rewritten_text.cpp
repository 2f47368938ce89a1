#include "mpi_shim/host/rewritten_text.hpp"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/wait.h>
#include <sys/stat.h>

#include "mpi_shim/host/arena.hpp"
#include "mpi_shim/host/raw_syscalls.h"
#include "mpi_shim/host/text.hpp"

extern "C" int ckpt_spawn_wait(const char* path, char* const* argv, char* const* envp, int* status);

namespace ckpt::lower {
namespace {

constexpr int kPath = 600;

struct CachedName {
  char path[kPath];
};

// The key holds all that changes when a library is replaced.
CachedName cached_name(const struct stat& about, const char* suffix) {
  CachedName name;
  Text text(name.path, sizeof name.path);
  text.add(control().cache_dir).add("/").hex(about.st_dev).add("-").hex(about.st_ino).add("-");
  text.hex(static_cast<uint64_t>(about.st_size)).add("-").hex(about.st_mtim.tv_sec).add(".");
  text.hex(about.st_mtim.tv_nsec).add("-").hex(about.st_ctim.tv_sec).add(".");
  text.hex(about.st_ctim.tv_nsec).add(suffix);
  return name;
}

// The directory was looked at when the lower half began to load; this is the file
// that is mapped, whoever has been at its path since.
bool is_ours(int fd) {
  struct stat about;
  return raw::call(SYS_fstat, fd, raw::word(&about)) == 0 && S_ISREG(about.st_mode) &&
         about.st_uid == static_cast<uid_t>(raw::call(SYS_geteuid)) && !(about.st_mode & 0022);
}

int open_copy(const CachedName& name, uint64_t library_size, RewrittenTrailer* trailer) {
  const int fd = raw::open(name.path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return fd;
  const long got =
      is_ours(fd) ? raw::pread(fd, trailer, sizeof *trailer, page_up(library_size)) : -EPERM;
  if (got == sizeof *trailer && is_sound(*trailer, library_size, kSteerKinds)) return fd;
  raw::close(fd);
  return -EUCLEAN;
}

long path_of(int fd, char* path, int size) {
  char link[64];
  Text(link, sizeof link).add("/proc/self/fd/").decimal(fd);
  const long length =
      raw::call(SYS_readlinkat, AT_FDCWD, raw::word(link), raw::word(path), size - 1);
  if (raw::failed(length)) return length;
  path[length] = 0;
  return 0;
}

int refuse(const char* library, const char* reason, int code) {
  ckpt_lower_error& error = control().error;
  error.code = code;
  Text(error.text, sizeof error.text).add("rewrite ").add(library).add(": ").add(reason);
  if (!control().libraries_loaded) {
    if (control().return_to_upper != nullptr) control().return_to_upper(-ENOEXEC);
    return -ENOEXEC;
  }
  Text line(control().error.text, sizeof error.text);
  line.skip_to_end();
  const char prefix[] = "ckpt-coord: left out of the lower half: ";
  raw::write(2, prefix, sizeof prefix - 1);
  raw::write(2, error.text, line.length());
  raw::write(2, "\n", 1);
  return -ENOEXEC;
}

int run_rewrite(const char* library, const CachedName& copy) {
  char program[kPath];
  Text(program, sizeof program).add(control().parts_dir).add("/ckpt-rewrite");
  char* argv[] = {program,
                  const_cast<char*>("--library"),
                  const_cast<char*>(library),
                  const_cast<char*>("--copy"),
                  const_cast<char*>(copy.path),
                  nullptr};
  char* envp[] = {const_cast<char*>("PATH=/usr/bin:/bin"), nullptr};
  int status = 0;
  const int failed = ckpt_spawn_wait(program, argv, envp, &status);
  if (failed != 0) return refuse(library, "cannot run ckpt-rewrite", -failed);
  return status;
}

int refused_reason(const struct stat& about, const char* library) {
  const CachedName refused = cached_name(about, ".refused");
  char reason[300];
  const int fd = raw::open(refused.path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return refuse(library, "ckpt-rewrite failed and left no reason", -fd);
  const long got = raw::pread(fd, reason, sizeof reason - 1, 0);
  raw::close(fd);
  reason[got > 0 ? got : 0] = 0;
  return refuse(library, reason, 0);
}

}  // namespace

long open_cache() {
  const char* path = control().cache_dir;
  const long made = raw::call(SYS_mkdir, raw::word(path), 0700);
  if (raw::failed(made) && made != -EEXIST) return made;
  struct stat about;
  const long known =
      raw::call(SYS_newfstatat, AT_FDCWD, raw::word(path), raw::word(&about), AT_SYMLINK_NOFOLLOW);
  if (raw::failed(known)) return known;
  // Another user's directory could hold code of his.
  if (!S_ISDIR(about.st_mode) || (about.st_mode & 0022) ||
      about.st_uid != static_cast<uid_t>(raw::call(SYS_geteuid))) {
    return -EPERM;
  }
  return 0;
}

int open_rewritten(int fd, RewrittenTrailer* trailer) {
  struct stat about;
  const long known = raw::call(SYS_fstat, fd, raw::word(&about));
  if (raw::failed(known)) return static_cast<int>(known);
  const CachedName copy = cached_name(about, "");
  int text = open_copy(copy, about.st_size, trailer);
  if (text >= 0) return text;
  char library[kPath];
  const long named = path_of(fd, library, sizeof library);
  if (named != 0) return refuse("(unknown)", "cannot read its path from /proc/self/fd", -named);
  const int status = run_rewrite(library, copy);
  if (status < 0) return status;
  text = open_copy(copy, about.st_size, trailer);
  return text >= 0 ? text : refused_reason(about, library);
}

}  // namespace ckpt::lower
