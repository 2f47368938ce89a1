// Loads the lower half: maps ckpt-mpi-host and its ld.so, builds what execve
// would have left on the stack, and runs it until its main() has called
// MPI_Init and goes back to the upper half's stack.
#include <asm/prctl.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "mpi_shim/host/arena.hpp"
#include "mpi_shim/host/elf_image.hpp"
#include "mpi_shim/host/lower_half.h"
#include "mpi_shim/host/raw_syscalls.h"
#include "mpi_shim/host/rewritten_text.hpp"
#include "mpi_shim/host/steering.hpp"
#include "mpi_shim/host/text.hpp"

extern "C" int64_t ckpt_enter_lower(uint64_t entry, uint64_t stack, uint64_t* saved_stack);
extern "C" [[noreturn]] void ckpt_leave_lower(int64_t result, uint64_t saved_stack);

namespace ckpt::lower {
namespace {

constexpr uint64_t kStackSize = 16ull << 20;
constexpr uint64_t kStringRoom = 4ull << 20;
constexpr int kMaxAuxv = 64;
constexpr uint64_t kHwcap2FsGsBase = 2;
constexpr char kTunable[] = "GLIBC_TUNABLES=";
constexpr char kNoRseq[] = "glibc.pthread.rseq=0";

bool starts_with(const char* text, const char* prefix) {
  while (*prefix != 0) {
    if (*text++ != *prefix++) return false;
  }
  return true;
}

// The environment of the lower half: what mpirun gave this rank, less what
// concerns the upper half alone. Strings are copied: ld.so edits them in place.
bool dropped(const char* variable) {
  return starts_with(variable, "LD_PRELOAD=") || starts_with(variable, "UCX_MEM_EVENTS=");
}

// The strings at the top of the stack, above argc, argv, envp and auxv.
class InitialStack {
 public:
  explicit InitialStack(uint64_t high) : strings_(high - kStringRoom), strings_end_(high) {}

  char* string(const char* text, const char* more = "") {
    uint64_t length = 1;
    for (const char* at = text; *at != 0; ++at) ++length;
    for (const char* at = more; *at != 0; ++at) ++length;
    if (strings_ + length > strings_end_) {
      full_ = true;
      return nullptr;
    }
    char* to = reinterpret_cast<char*>(strings_);
    Text(to, static_cast<int>(length)).add(text).add(more);
    strings_ += length;
    return to;
  }
  bool full() const { return full_; }

 private:
  uint64_t strings_, strings_end_;
  bool full_ = false;
};

struct Auxv {
  Elf64_auxv_t entry[kMaxAuxv];
  int count = 0;

  void add(uint64_t type, uint64_t value) {
    if (count < kMaxAuxv) entry[count++] = {type, {value}};
  }
  uint64_t get(uint64_t type) const {
    for (int i = 0; i < count; ++i) {
      if (entry[i].a_type == type) return entry[i].a_un.a_val;
    }
    return 0;
  }
};

long read_auxv(Auxv* auxv) {
  const int fd = raw::open("/proc/self/auxv", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fd;
  const long got = raw::call(SYS_read, fd, raw::word(auxv->entry), sizeof auxv->entry);
  raw::close(fd);
  if (raw::failed(got)) return got;
  auxv->count = static_cast<int>(got / sizeof(Elf64_auxv_t));
  return 0;
}

void make_auxv(const Auxv& own, const ElfImage& host, const ElfImage& linker, uint64_t vdso,
               const char* path, Auxv* to) {
  to->add(AT_PHDR, host.program_headers);
  to->add(AT_PHENT, host.program_header_size);
  to->add(AT_PHNUM, host.program_header_count);
  to->add(AT_BASE, linker.bias);
  to->add(AT_ENTRY, host.entry);
  to->add(AT_EXECFN, reinterpret_cast<uint64_t>(path));
  if (vdso != 0) to->add(AT_SYSINFO_EHDR, vdso);
  const uint64_t kept[] = {AT_PAGESZ, AT_RANDOM, AT_HWCAP, AT_HWCAP2, AT_CLKTCK,   AT_UID,
                           AT_EUID,   AT_GID,    AT_EGID,  AT_SECURE, AT_PLATFORM, AT_MINSIGSTKSZ};
  for (uint64_t type : kept) {
    for (int i = 0; i < own.count; ++i) {
      if (own.entry[i].a_type == type) to->add(type, own.entry[i].a_un.a_val);
    }
  }
  to->add(AT_NULL, 0);
}

// AT_RANDOM and AT_PLATFORM point into the program's stack, which a restart
// has unmapped by now: the lower half gets copies.
void move_pointees(InitialStack* strings, uint64_t random_copy, Auxv* auxv) {
  for (int i = 0; i < auxv->count; ++i) {
    Elf64_auxv_t& entry = auxv->entry[i];
    if (entry.a_type == AT_RANDOM) {
      entry.a_un.a_val = random_copy;
    } else if (entry.a_type == AT_PLATFORM) {
      entry.a_un.a_val = reinterpret_cast<uint64_t>(strings->string("x86_64"));
    }
  }
}

// GLIBC_TUNABLES without rseq: a thread has one rseq, and it is the program's.
char* tunables(InitialStack* strings, char* const* envp) {
  for (char* const* at = envp; *at != nullptr; ++at) {
    if (starts_with(*at, kTunable)) {
      char* joined = strings->string(*at, ":");
      char* rest = joined == nullptr ? nullptr : strings->string(kNoRseq);
      // The two strings lie side by side: the zero byte between them goes.
      if (rest != nullptr) {
        for (char* from = rest; (from[-1] = *from) != 0; ++from) {
        }
      }
      return joined;
    }
  }
  return strings->string(kTunable, kNoRseq);
}

// argc, argv, envp and auxv as _start finds them. Returns the stack pointer.
uint64_t build_stack(const ckpt_lower_request& request, const Auxv& own, const ElfImage& host,
                     const ElfImage& linker, uint64_t vdso, const char* path, uint64_t low,
                     uint64_t high) {
  InitialStack strings(high);
  const uint64_t random_copy = high - kStringRoom - 16;
  while (raw::call(SYS_getrandom, raw::word(random_copy), 16, 0) == -EINTR) {
  }
  Auxv auxv;
  make_auxv(own, host, linker, vdso, strings.string(path), &auxv);
  move_pointees(&strings, random_copy, &auxv);

  uint64_t argc = 0, envc = 0;
  while (request.argv[argc] != nullptr) ++argc;
  while (request.envp[envc] != nullptr) ++envc;
  const uint64_t words = 1 + argc + 1 + envc + 3 + auxv.count * 2;
  uint64_t sp = (random_copy - words * 8) & ~15ull;
  if (sp < low + kStackSize / 4) return 0;
  uint64_t* word = reinterpret_cast<uint64_t*>(sp);
  *word++ = argc;
  for (uint64_t i = 0; i < argc; ++i) {
    *word++ = reinterpret_cast<uint64_t>(strings.string(request.argv[i]));
  }
  *word++ = 0;
  for (uint64_t i = 0; i < envc; ++i) {
    if (dropped(request.envp[i]) || starts_with(request.envp[i], kTunable)) continue;
    *word++ = reinterpret_cast<uint64_t>(strings.string(request.envp[i]));
  }
  *word++ = reinterpret_cast<uint64_t>(tunables(&strings, request.envp));
  // libucm patches libc's memory functions, past the steering.
  *word++ = reinterpret_cast<uint64_t>(strings.string("UCX_MEM_EVENTS=n"));
  *word++ = 0;
  for (int i = 0; i < auxv.count; ++i) {
    *word++ = auxv.entry[i].a_type;
    *word++ = auxv.entry[i].a_un.a_val;
  }
  return strings.full() ? 0 : sp;
}

void return_to_upper(int64_t result) { ckpt_leave_lower(result, control().upper_stack); }

// No pointers: nothing relocates this where ckpt-restorer runs it.
constexpr struct {
  int code;
  char text[40];
} kCauses[] = {{EPERM, "not allowed, or not this user's alone"},
               {ENOENT, "no such file or directory"},
               {EACCES, "permission denied"},
               {ENOTDIR, "not a directory"},
               {ENOSPC, "no space left"},
               {EROFS, "a read-only file system"},
               {ENOMEM, "not enough memory"}};

// A refused library has left its reason in the control page already.
int give_up(ckpt_lower_error* error, const char* operation, const char* subject, long code) {
  if (control().error.text[0] != 0) return static_cast<int>(code);
  error->code = static_cast<int>(-code);
  Text text(error->text, sizeof error->text);
  text.add(operation).add(" ").add(subject).add(": ");
  for (const auto& cause : kCauses)
    if (cause.code == -code) text.add(cause.text).add(", ");
  text.add("errno ").decimal(-code);
  return static_cast<int>(code);
}

// What the guest ld.so sets for the thread that loads it, and is the program's.
class ThreadRegistrations {
 public:
  ThreadRegistrations() {
    robust_known_ =
        !raw::failed(raw::call(SYS_get_robust_list, 0, raw::word(&head_), raw::word(&length_)));
    tid_known_ = !raw::failed(raw::call(SYS_prctl, 40 /* PR_GET_TID_ADDRESS */, raw::word(&tid_)));
  }
  void put_back() const {
    if (robust_known_ && head_ != 0)
      raw::call(SYS_set_robust_list, raw::word(head_), raw::word(length_));
    if (tid_known_) raw::call(SYS_set_tid_address, raw::word(tid_));
  }

 private:
  uint64_t head_ = 0, length_ = 0, tid_ = 0;
  bool robust_known_ = false, tid_known_ = false;
};

long prepare_control(const ckpt_lower_request& request) {
  const long opened = arena_open();
  if (opened != 0) return opened;
  Control& page = control();
  Text(page.parts_dir, sizeof page.parts_dir).add(request.parts_dir);
  Text(page.cache_dir, sizeof page.cache_dir).add(request.cache_dir);
  page.return_to_upper = nullptr;
  page.libraries_loaded = 0;
  page.table = nullptr;
  page.thread_multiple = request.thread_multiple;
  struct rlimit files = {1024, 1024};
  raw::call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, raw::word(&files));
  page.descriptor_base = ckpt_descriptor_base(files.rlim_cur);
  page.error.code = 0;
  page.error.text[0] = 0;
  return 0;
}

int load(const ckpt_lower_request& request, ckpt_lower_error* error) {
  Auxv own;
  const long known = read_auxv(&own);
  if (known != 0) return give_up(error, "read", "/proc/self/auxv", known);
  if (!(own.get(AT_HWCAP2) & kHwcap2FsGsBase)) {
    return give_up(error, "find", "the FSGSBASE instructions (kernel 5.9 or later)", -ENOSYS);
  }
  const long cache = open_cache();
  if (cache != 0)
    return give_up(error, "open the cache of rewritten libraries", request.cache_dir, cache);
  const long stubs = make_stubs();
  if (stubs != 0) return give_up(error, "map", "the steering stubs", stubs);

  const long stack = arena_mmap(kStackSize + kStringRoom, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (raw::failed(stack)) return give_up(error, "map", "the lower half's stack", stack);
  char path[600];
  Text(path, sizeof path).add(request.parts_dir).add("/ckpt-mpi-host");
  ElfImage host, linker;
  const long mapped = map_elf(path, &host);
  if (mapped != 0) return give_up(error, "load", path, mapped);
  const long linked = map_elf(host.interpreter, &linker);
  if (linked != 0) return give_up(error, "load", host.interpreter, linked);

  const uint64_t vdso = request.vdso != 0 ? request.vdso : own.get(AT_SYSINFO_EHDR);
  const uint64_t top = stack + kStackSize + kStringRoom;
  const uint64_t sp = build_stack(request, own, host, linker, vdso, path, stack, top);
  if (sp == 0) return give_up(error, "copy", "the environment", -E2BIG);
  control().return_to_upper = return_to_upper;
  const int64_t result = ckpt_enter_lower(linker.entry, sp, &control().upper_stack);
  control().return_to_upper = nullptr;
  return static_cast<int>(result);
}

// How many executable mappings lie outside the arena. The lower half must not
// add to them: what escapes the steering would be taken for the program's.
// Lines of /proc/self/maps: "7f0000000000-7f0000001000 r-xp ...".
int code_mappings_outside() {
  const int fd = raw::open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  char buffer[kPage];
  uint64_t start = 0;
  int count = 0, field = 0, column = 0;
  for (;;) {
    const long got = raw::call(SYS_read, fd, raw::word(buffer), sizeof buffer);
    if (got <= 0) break;
    for (long i = 0; i < got; ++i) {
      const char byte = buffer[i];
      if (byte == '\n') {
        start = 0;
        field = column = 0;
      } else if (byte == ' ' || (byte == '-' && field == 0)) {
        ++field;
        column = 0;
      } else if (field == 0) {
        start = start * 16 + static_cast<uint64_t>(byte <= '9' ? byte - '0' : byte - 'a' + 10);
      } else if (field == 2 && column++ == 2 && byte == 'x' && !ckpt_in_arena(start)) {
        ++count;
      }
    }
  }
  raw::close(fd);
  return count;
}

uint64_t take_donor(ckpt_donor_pool& pool) {
  const uint32_t made = pool.made;
  for (uint32_t i = 0; i < made && i < CKPT_DONORS_MAX; ++i) {
    uint64_t gs = pool.free_gs[i];
    if (gs != 0 && __atomic_compare_exchange_n(&pool.free_gs[i], &gs, 0, false, __ATOMIC_ACQ_REL,
                                               __ATOMIC_RELAXED)) {
      return gs;
    }
  }
  return 0;
}

constexpr int kFutexWait = 0, kFutexWake = 1;

}  // namespace
}  // namespace ckpt::lower

using namespace ckpt::lower;

extern "C" int ckpt_lower_load(const ckpt_lower_request* request, ckpt_lower_table** table,
                               ckpt_lower_error* error) {
  error->code = 0;
  error->text[0] = 0;
  const long prepared = prepare_control(*request);
  if (prepared != 0) {
    error->code = static_cast<int>(-prepared);
    Text(error->text, sizeof error->text).add("map the arena: errno ").decimal(-prepared);
    return static_cast<int>(prepared);
  }
  const ThreadRegistrations registrations;
  // Threads of the lower half inherit this mask: a signal must never be
  // handled in one of them (the handler would find a foreign FS).
  uint64_t everything = ~0ull, mask = 0;
  ckpt::raw::call(SYS_rt_sigprocmask, 0 /* SIG_BLOCK */, ckpt::raw::word(&everything),
                  ckpt::raw::word(&mask), 8);
  const int code_before = code_mappings_outside();
  int result = load(*request, error);
  ckpt::raw::call(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, ckpt::raw::word(&mask), 0, 8);
  registrations.put_back();
  if (result == 0 && code_mappings_outside() > code_before) {
    result = give_up(error, "load", "the lower half: it mapped code outside the arena", -EFAULT);
  }
  if (result == 0) {
    *table = control().table;
    return 0;
  }
  if (error->text[0] == 0) {
    error->code = control().error.code;
    Text(error->text, sizeof error->text).add(control().error.text);
  }
  return result;
}

extern "C" uint64_t ckpt_lower_attach_thread(ckpt_lower_table* table, int as_main) {
  uint64_t gs = as_main ? table->main_thread_gs : 0;
  ckpt_donor_pool& pool = *table->donors;
  while (gs == 0) {
    const uint32_t made = pool.made;
    gs = take_donor(pool);
    if (gs != 0) break;
    if (made >= CKPT_DONORS_MAX) return 0;
    __atomic_store_n(&pool.wanted, made + 1, __ATOMIC_SEQ_CST);
    ckpt::raw::futex(&pool.wanted, kFutexWake, 1);
    ckpt::raw::futex(&pool.made, kFutexWait, made);
  }
  asm volatile("wrgsbase %0" : : "r"(gs) : "memory");
  return gs;
}

extern "C" void ckpt_lower_detach_thread(ckpt_lower_table* table, uint64_t gs) {
  if (gs == 0 || gs == table->main_thread_gs) return;
  ckpt_donor_pool& pool = *table->donors;
  for (uint32_t i = 0; i < CKPT_DONORS_MAX; ++i) {
    uint64_t empty = 0;
    if (__atomic_compare_exchange_n(&pool.free_gs[i], &empty, gs, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_RELAXED)) {
      return;
    }
  }
}
