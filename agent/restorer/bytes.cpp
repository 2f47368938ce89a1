// What the compiler calls though there is no libc. Weak: the lower half's
// loader, linked in, may bring its own.
#include <stddef.h>
#include <stdint.h>

extern "C" {

__attribute__((weak)) void* memcpy(void* __restrict to, const void* __restrict from, size_t size) {
  void* result = to;
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
  return result;
}

__attribute__((weak)) void* memmove(void* to, const void* from, size_t size) {
  auto* target = static_cast<volatile uint8_t*>(to);
  const auto* source = static_cast<const volatile uint8_t*>(from);
  if (target == source) return to;
  if (target < source || target >= source + size) return memcpy(to, from, size);
  while (size-- > 0) target[size] = source[size];
  return to;
}

__attribute__((weak)) void* memset(void* to, int value, size_t size) {
  void* result = to;
  asm volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
  return result;
}

__attribute__((weak)) int memcmp(const void* a, const void* b, size_t size) {
  const auto* x = static_cast<const volatile uint8_t*>(a);
  const auto* y = static_cast<const volatile uint8_t*>(b);
  for (size_t i = 0; i < size; ++i) {
    if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
  }
  return 0;
}

}  // extern "C"
