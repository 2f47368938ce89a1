#include <fcntl.h>
#include <linux/elf.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "agent/proc/proc_file.hpp"
#include "agent/proc/process_facts.hpp"
#include "agent/tracee/ptrace_port.hpp"

namespace ckpt::tracee {
namespace {

std::string tid_text(int tid) { return "tid " + std::to_string(tid); }

// waitpid has no timeout: a timer signals this thread, which ends the call with
// EINTR. It fires again and again, so that one that comes before waitpid began
// is no loss.
class WaitAlarm {
 public:
  static constexpr int kSignal = 36;  // SIGRTMIN + 2 in glibc

  explicit WaitAlarm(std::int64_t deadline_ns) {
    static const bool installed = [] {
      struct sigaction action {};
      action.sa_handler = [](int) {};
      return ::sigaction(kSignal, &action, nullptr) == 0;
    }();
    struct sigevent event {};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = kSignal;
    event._sigev_un._tid = static_cast<pid_t>(::syscall(SYS_gettid));
    armed_ = installed && ::timer_create(CLOCK_MONOTONIC, &event, &timer_) == 0;
    if (!armed_) return;
    itimerspec when{};
    when.it_value.tv_sec = deadline_ns / 1'000'000'000;
    when.it_value.tv_nsec = deadline_ns % 1'000'000'000 + 1;
    if (when.it_value.tv_nsec >= 1'000'000'000) {
      when.it_value.tv_sec += 1;
      when.it_value.tv_nsec -= 1'000'000'000;
    }
    when.it_interval.tv_nsec = 10'000'000;
    ::timer_settime(timer_, TIMER_ABSTIME, &when, nullptr);
    sigset_t alarm;
    sigemptyset(&alarm);
    sigaddset(&alarm, kSignal);
    ::pthread_sigmask(SIG_UNBLOCK, &alarm, &mask_);
  }
  ~WaitAlarm() {
    if (!armed_) return;
    ::timer_delete(timer_);
    ::pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
  }
  WaitAlarm(const WaitAlarm&) = delete;
  WaitAlarm& operator=(const WaitAlarm&) = delete;

 private:
  timer_t timer_{};
  sigset_t mask_{};
  bool armed_ = false;
};

class LinuxPtrace final : public PtracePort {
 public:
  Status seize(int tid, unsigned long options) override {
    return call("PTRACE_SEIZE", PTRACE_SEIZE, tid, 0, options);
  }
  Status interrupt(int tid) override {
    return call("PTRACE_INTERRUPT", PTRACE_INTERRUPT, tid, 0, 0);
  }
  Status set_options(int tid, unsigned long options) override {
    return call("PTRACE_SETOPTIONS", PTRACE_SETOPTIONS, tid, 0, options);
  }
  Status resume(int tid, int signal) override {
    return call("PTRACE_CONT", PTRACE_CONT, tid, 0, static_cast<unsigned long>(signal));
  }
  Status resume_to_syscall(int tid, int signal) override {
    return call("PTRACE_SYSCALL", PTRACE_SYSCALL, tid, 0, static_cast<unsigned long>(signal));
  }
  Status detach(int tid) override { return call("PTRACE_DETACH", PTRACE_DETACH, tid, 0, 0); }

  Result<std::optional<WaitStatus>> wait(int tid, std::int64_t deadline_ns) override {
    int raw = 0;
    // Most stops are there already: no timer for these.
    int got = ::waitpid(tid, &raw, __WALL | WNOHANG);
    if (got == tid) return WaitStatus(raw);
    if (got < 0 && errno != EINTR) return fail_errno("waitpid", tid_text(tid));
    const WaitAlarm alarm(deadline_ns);
    for (;;) {
      got = ::waitpid(tid, &raw, __WALL);
      if (got == tid) return WaitStatus(raw);
      if (got < 0 && errno != EINTR) return fail_errno("waitpid", tid_text(tid));
      if (now_ns() >= deadline_ns) return std::optional<WaitStatus>();
    }
  }

  std::int64_t now_ns() override {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
  }

  Result<Registers> get_registers(int tid) override {
    Registers registers{};
    iovec piece{&registers, sizeof registers};
    auto got = call("PTRACE_GETREGSET NT_PRSTATUS", PTRACE_GETREGSET, tid, NT_PRSTATUS, &piece);
    if (!got) return tl::unexpected(got.error());
    if (piece.iov_len != sizeof registers)
      return fail("ptrace PTRACE_GETREGSET", tid_text(tid), "not a 64-bit thread", EINVAL);
    return registers;
  }
  Status set_registers(int tid, const Registers& registers) override {
    iovec piece{const_cast<Registers*>(&registers), sizeof registers};
    return call("PTRACE_SETREGSET NT_PRSTATUS", PTRACE_SETREGSET, tid, NT_PRSTATUS, &piece);
  }
  Result<std::vector<std::uint8_t>> get_xsave(int tid) override {
    std::vector<std::uint8_t> state(64 * 1024);
    iovec piece{state.data(), state.size()};
    auto got = call("PTRACE_GETREGSET NT_X86_XSTATE", PTRACE_GETREGSET, tid, NT_X86_XSTATE, &piece);
    if (!got) return tl::unexpected(got.error());
    state.resize(piece.iov_len);
    return state;
  }
  Result<std::uint64_t> get_signal_mask(int tid) override {
    std::uint64_t mask = 0;
    auto got = call("PTRACE_GETSIGMASK", PTRACE_GETSIGMASK, tid, sizeof mask, &mask);
    if (!got) return tl::unexpected(got.error());
    return mask;
  }
  Status set_signal_mask(int tid, std::uint64_t mask) override {
    return call("PTRACE_SETSIGMASK", PTRACE_SETSIGMASK, tid, sizeof mask, &mask);
  }
  Result<std::vector<std::vector<std::uint8_t>>> peek_signals(int tid, bool shared) override {
    std::vector<std::vector<std::uint8_t>> signals;
    for (;;) {
      siginfo_t batch[16];
      struct {
        std::uint64_t offset;
        std::uint32_t flags;
        std::int32_t count;
      } arguments{signals.size(), shared ? 1u : 0u, 16};  // 1: PTRACE_PEEKSIGINFO_SHARED
      const long count = ::ptrace(PTRACE_PEEKSIGINFO, tid, &arguments, batch);
      if (count < 0) return fail_errno("ptrace PTRACE_PEEKSIGINFO", tid_text(tid));
      for (long i = 0; i < count; ++i) {
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(&batch[i]);
        signals.emplace_back(bytes, bytes + sizeof(siginfo_t));
      }
      if (count < 16) return signals;
    }
  }
  Result<image::Rseq> get_rseq(int tid) override {
    struct {
      std::uint64_t address;
      std::uint32_t size, signature, flags, pad;
    } config{};
    constexpr int kGetRseqConfiguration = 0x420f;
    const long got =
        ::ptrace(static_cast<__ptrace_request>(kGetRseqConfiguration), tid, sizeof config, &config);
    if (got < 0) return fail_errno("ptrace PTRACE_GET_RSEQ_CONFIGURATION", tid_text(tid));
    if (config.address == 0) return image::Rseq{};
    return image::Rseq{config.address, config.size, config.signature, config.flags};
  }
  Result<image::RobustList> get_robust_list(int tid) override {
    void* head = nullptr;
    std::size_t length = 0;
    if (::syscall(SYS_get_robust_list, tid, &head, &length) != 0)
      return fail_errno("get_robust_list", tid_text(tid));
    return image::RobustList{reinterpret_cast<std::uint64_t>(head), length};
  }
  Result<unsigned long> event_message(int tid) override {
    unsigned long message = 0;
    auto got = call("PTRACE_GETEVENTMSG", PTRACE_GETEVENTMSG, tid, 0, &message);
    if (!got) return tl::unexpected(got.error());
    return message;
  }
  Status kill(int pid, int signal) override {
    if (::kill(pid, signal) != 0) return fail_errno("kill", "pid " + std::to_string(pid));
    return {};
  }

  Status read_memory(int pid, RemoteAddress from, void* to, std::size_t length) override {
    return transfer("process_vm_readv", &::process_vm_readv, pid, from, to, length);
  }
  Status write_memory(int pid, RemoteAddress to, const void* from, std::size_t length) override {
    return transfer("process_vm_writev", &::process_vm_writev, pid, to, const_cast<void*>(from),
                    length);
  }

  Result<std::vector<int>> tasks(int pid) override { return proc::list_tasks(pid); }
  char task_state(int pid, int tid) override {
    const auto stat = proc::read_stat(pid, tid);
    return stat ? stat->state : 'X';
  }
  std::uint64_t sleeping_stack(int pid, int tid) override {
    const auto text =
        proc::read_whole(proc::path_of(pid, "task/" + std::to_string(tid) + "/syscall"));
    return text ? proc::parse_syscall_stack(*text) : 0;
  }

 private:
  template <typename A, typename D>
  static Status call(const char* name, __ptrace_request request, int tid, A address, D data) {
    if (::ptrace(request, tid, address, data) < 0)
      return fail_errno(std::string("ptrace ") + name, tid_text(tid));
    return {};
  }

  template <typename Function>
  static Status transfer(const char* name, Function function, int pid, RemoteAddress there,
                         void* here, std::size_t length) {
    const iovec local{here, length};
    const iovec remote{reinterpret_cast<void*>(there.value()), length};
    const ssize_t done = function(pid, &local, 1, &remote, 1, 0);
    char subject[64];
    std::snprintf(subject, sizeof subject, "pid %d at %#llx", pid,
                  static_cast<unsigned long long>(there.value()));
    if (done < 0) return fail_errno(name, subject);
    if (static_cast<std::size_t>(done) != length) return fail(name, subject, "short", EFAULT);
    return {};
  }
};

}  // namespace

std::unique_ptr<PtracePort> make_linux_ptrace() { return std::make_unique<LinuxPtrace>(); }

}  // namespace ckpt::tracee
