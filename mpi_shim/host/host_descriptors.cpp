// Descriptors of the lower half get numbers from descriptor_base up.
//
// The program's descriptors must keep their numbers over a restart, and the
// lower half is there first by then; so the two never share a range. What makes
// descriptors in the lower half's libraries comes through here (a program's
// symbols are found before libc's); libc's own short-lived ones do not matter.
// Each number moved is marked in the control page, for the agent to see.
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mpi_shim/host/arena.hpp"

using ckpt::lower::control;

namespace {

void mark(int fd, bool in_use) {
  if (fd < 0 || fd >= ckpt::lower::kDescriptorsMarked) return;
  volatile uint64_t* word = &control().descriptors[fd / 64];
  const uint64_t bit = 1ull << (fd % 64);
  if (in_use) {
    __atomic_fetch_or(word, bit, __ATOMIC_RELAXED);
  } else {
    __atomic_fetch_and(word, ~bit, __ATOMIC_RELAXED);
  }
}

// Where no number is left above, it keeps the low one; it is then taken for the
// program's, and a checkpoint names it.
int move_up(int fd) {
  const int base = control().descriptor_base;
  if (fd < 0) return fd;
  if (fd < base) {
    const int flags = fcntl(fd, F_GETFD);
    const int moved = fcntl(fd, (flags & FD_CLOEXEC) ? F_DUPFD_CLOEXEC : F_DUPFD, base);
    if (moved < 0) return fd;
    syscall(SYS_close, fd);
    fd = moved;
  }
  mark(fd, true);
  return fd;
}

template <typename Function>
Function real(const char* name, Function) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

}  // namespace

#define REAL(name) static const auto name##_real = real(#name, &name)
#define HOST_SYMBOL extern "C" __attribute__((visibility("default")))

#define HOST_OPEN(name)                                    \
  HOST_SYMBOL int name(const char* path, int flags, ...) { \
    REAL(name);                                            \
    va_list more;                                          \
    va_start(more, flags);                                 \
    const mode_t mode = va_arg(more, mode_t);              \
    va_end(more);                                          \
    return move_up(name##_real(path, flags, mode));        \
  }
HOST_OPEN(open)
HOST_OPEN(open64)

#define HOST_OPENAT(name)                                          \
  HOST_SYMBOL int name(int at, const char* path, int flags, ...) { \
    REAL(name);                                                    \
    va_list more;                                                  \
    va_start(more, flags);                                         \
    const mode_t mode = va_arg(more, mode_t);                      \
    va_end(more);                                                  \
    return move_up(name##_real(at, path, flags, mode));            \
  }
HOST_OPENAT(openat)
HOST_OPENAT(openat64)

HOST_SYMBOL int socket(int domain, int type, int protocol) noexcept {
  REAL(socket);
  return move_up(socket_real(domain, type, protocol));
}

HOST_SYMBOL int socketpair(int domain, int type, int protocol, int pair[2]) noexcept {
  REAL(socketpair);
  const int result = socketpair_real(domain, type, protocol, pair);
  if (result == 0) {
    pair[0] = move_up(pair[0]);
    pair[1] = move_up(pair[1]);
  }
  return result;
}

HOST_SYMBOL int accept(int fd, struct sockaddr* address, socklen_t* length) {
  REAL(accept);
  return move_up(accept_real(fd, address, length));
}

HOST_SYMBOL int accept4(int fd, struct sockaddr* address, socklen_t* length, int flags) {
  REAL(accept4);
  return move_up(accept4_real(fd, address, length, flags));
}

HOST_SYMBOL int pipe(int ends[2]) noexcept {
  REAL(pipe);
  const int result = pipe_real(ends);
  if (result == 0) {
    ends[0] = move_up(ends[0]);
    ends[1] = move_up(ends[1]);
  }
  return result;
}

HOST_SYMBOL int pipe2(int ends[2], int flags) noexcept {
  REAL(pipe2);
  const int result = pipe2_real(ends, flags);
  if (result == 0) {
    ends[0] = move_up(ends[0]);
    ends[1] = move_up(ends[1]);
  }
  return result;
}

HOST_SYMBOL int dup(int fd) noexcept {
  REAL(dup);
  return move_up(dup_real(fd));
}

HOST_SYMBOL int epoll_create(int size) noexcept {
  REAL(epoll_create);
  return move_up(epoll_create_real(size));
}

HOST_SYMBOL int epoll_create1(int flags) noexcept {
  REAL(epoll_create1);
  return move_up(epoll_create1_real(flags));
}

HOST_SYMBOL int eventfd(unsigned int value, int flags) noexcept {
  REAL(eventfd);
  return move_up(eventfd_real(value, flags));
}

HOST_SYMBOL int timerfd_create(int clock, int flags) noexcept {
  using Function = int (*)(int, int);
  static const auto timerfd_create_real = real("timerfd_create", Function{});
  return move_up(timerfd_create_real(clock, flags));
}

HOST_SYMBOL int inotify_init1(int flags) noexcept {
  using Function = int (*)(int);
  static const auto inotify_init1_real = real("inotify_init1", Function{});
  return move_up(inotify_init1_real(flags));
}

HOST_SYMBOL int memfd_create(const char* name, unsigned int flags) noexcept {
  REAL(memfd_create);
  return move_up(memfd_create_real(name, flags));
}

HOST_SYMBOL int shm_open(const char* name, int flags, mode_t mode) {
  REAL(shm_open);
  return move_up(shm_open_real(name, flags, mode));
}

HOST_SYMBOL ssize_t recvmsg(int fd, struct msghdr* message, int flags) {
  REAL(recvmsg);
  const ssize_t got = recvmsg_real(fd, message, flags);
  if (got < 0) return got;
  for (cmsghdr* part = CMSG_FIRSTHDR(message); part != nullptr; part = CMSG_NXTHDR(message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int passed;
      memcpy(&passed, CMSG_DATA(part) + i * sizeof passed, sizeof passed);
      passed = move_up(passed);
      memcpy(CMSG_DATA(part) + i * sizeof passed, &passed, sizeof passed);
    }
  }
  return got;
}

HOST_SYMBOL int close(int fd) {
  REAL(close);
  mark(fd, false);
  return close_real(fd);
}
