// Threads of the lower half take no signals: a handler of the program would
// find another libc's FS there. They inherit the creator's mask.
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>

extern "C" __attribute__((visibility("default"))) int pthread_create(
    pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*), void* argument) {
  using Function = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const auto real = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "pthread_create"));
  sigset_t everything, before;
  sigfillset(&everything);
  pthread_sigmask(SIG_BLOCK, &everything, &before);
  const int result = real(thread, attributes, start, argument);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return result;
}
