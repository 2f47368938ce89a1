// System calls without a libc.
//
// Purpose: what the freestanding parts call. Each returns the kernel's value,
//   -errno on failure. No errno, no TLS, no cancellation.
// Source: System V ABI x86-64 A.2.1; syscalls(2).
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

namespace ckpt::raw {

inline long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0,
                 long f = 0) {
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  long result;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

template <typename T>
long word(T* value) {
  return reinterpret_cast<long>(value);
}
template <typename T>
long word(T value) {
  return static_cast<long>(value);
}

inline bool failed(long result) { return static_cast<unsigned long>(result) > -4096UL; }

inline long mmap(uint64_t address, size_t length, int prot, int flags, int fd, int64_t offset) {
  return call(SYS_mmap, word(address), word(length), prot, flags, fd, offset);
}
inline long munmap(uint64_t address, size_t length) {
  return call(SYS_munmap, word(address), word(length));
}
inline long mprotect(uint64_t address, size_t length, int prot) {
  return call(SYS_mprotect, word(address), word(length), prot);
}
inline int open(const char* path, int flags, int mode = 0) {
  return static_cast<int>(call(SYS_openat, -100 /* AT_FDCWD */, word(path), flags, mode));
}
inline long close(int fd) { return call(SYS_close, fd); }
inline long pread(int fd, void* to, size_t length, int64_t offset) {
  return call(SYS_pread64, fd, word(to), word(length), offset);
}
inline long write(int fd, const void* from, size_t length) {
  return call(SYS_write, fd, word(from), word(length));
}
inline long futex(const volatile uint32_t* at, int operation, uint32_t value) {
  return call(SYS_futex, word(const_cast<const uint32_t*>(at)), operation, value, 0, 0, 0);
}

}  // namespace ckpt::raw
