// A directory of ours alone in a place where others may write (/tmp), and a lock in it.
//
// Purpose: the node's runtime directory, made by whoever comes first: the shim
//   (which links nothing of format/: hence a header alone), or the agent.
// Ownership: the lock is held as long as the open file description lives; a
//   process that inherits the descriptor holds it too.
// Threads: no state. Any number of processes may call at once.
// Errors: a directory or file that is not ours alone, or a symlink in a directory's
//   place, is refused with EPERM; a symlink in a file's place with ELOOP; a lock that
//   another has with EWOULDBLOCK.
// Source: mkdir(2), flock(2), open(2) O_NOFOLLOW.
#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "format/posix/result.hpp"
#include "format/posix/unique_fd.hpp"

namespace ckpt {

// Makes it (0700) where it is missing.
inline Status make_private_directory(const std::string& path) {
  // chmod: whoever calls may have any umask, and it must not be changed here.
  const bool made = ::mkdir(path.c_str(), 0700) == 0;
  if (!made && errno != EEXIST) return fail_errno("mkdir", path);
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return fail_errno("lstat", path);
  if (!S_ISDIR(status.st_mode) || status.st_uid != ::geteuid())
    return fail("use", path, "not a directory of ours", EPERM);
  if (made && (status.st_mode & 07777) != 0700 && ::chmod(path.c_str(), 0700) != 0)
    return fail_errno("chmod", path);
  if (!made && (status.st_mode & 077) != 0)
    return fail("use", path, "others may use it too", EPERM);
  return {};
}

enum class OthersMayRead { yes, no, end_it };  // end_it: makes it 0700

// The directory itself, not what a symbolic link of that name leads to. What
// others may write to is refused, never repaired: something may lie in it already.
inline Result<UniqueFd> open_private_directory(const std::string& path, OthersMayRead others) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!fd) {
    const int code = errno;
    if (code == ENOTDIR && ::lstat(path.c_str(), &status) == 0 && S_ISLNK(status.st_mode))
      return fail("use", path, "it is a symbolic link", EPERM);
    return fail_errno("open", path, code);
  }
  if (::fstat(fd.get(), &status) != 0) return fail_errno("stat", path);
  if (status.st_uid != ::geteuid()) return fail("use", path, "it belongs to another user", EPERM);
  if ((status.st_mode & 022) != 0)
    return fail("use", path, "others may write to it (chmod go-w, if you trust what is in it)",
                EPERM);
  if ((status.st_mode & 055) != 0) {
    if (others == OthersMayRead::no) return fail("use", path, "others may read it", EPERM);
    if (others == OthersMayRead::end_it && ::fchmod(fd.get(), 0700) != 0)
      return fail_errno("chmod", path);
  }
  return fd;
}

// Makes the file (0600) where it is missing, and locks it. When it comes back
// the file locked is the one at `path`: another holder may have removed it
// between open and lock. `lowest`: the descriptor's number is at least this.
// `shown`: gets the number before the lock is taken, for a fork's child to close.
inline Result<UniqueFd> lock_private_file(const std::string& path, int lowest = 0,
                                          volatile int* shown = nullptr) {
  constexpr int kTries = 8;
  for (int i = 0; i < kTries; ++i) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return fail_errno("open", path);
    if (fd.get() < lowest) {
      const int moved = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, lowest);
      // A program may have lowered its limit below that: then it stays where it is.
      if (moved < 0 && errno != EINVAL) return fail_errno("fcntl F_DUPFD", path);
      if (moved >= 0) fd.reset(moved);
    }
    if (shown != nullptr) *shown = fd.get();
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return fail_errno("lock", path);
    struct stat locked {
    }, named{};
    if (::fstat(fd.get(), &locked) != 0) return fail_errno("fstat", path);
    if (!S_ISREG(locked.st_mode) || locked.st_uid != ::geteuid())
      return fail("use", path, "not a file of ours", EPERM);
    if (::lstat(path.c_str(), &named) != 0 || named.st_ino != locked.st_ino ||
        named.st_dev != locked.st_dev)
      continue;
    if ((locked.st_mode & 07777) != 0600) ::fchmod(fd.get(), 0600);
    return fd;
  }
  return fail("lock", path, "it is removed again and again", EWOULDBLOCK);
}

}  // namespace ckpt
