// FakePtrace: a kernel of a few lines, for tests of stopping and injecting.
//
// Threads are numbers with a script: what the next waits report. PTRACE_INTERRUPT
// adds a stop behind what is scripted, PTRACE_SYSCALL the entry and exit stops of
// a call, which `system_call` answers. Everything asked for is noted in `calls`.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "agent/tracee/ptrace_port.hpp"

namespace ckpt::tracee {

class FakePtrace final : public PtracePort {
 public:
  struct Thread {
    std::deque<WaitStatus> reports;  // scripted
    Registers registers{};
    std::uint64_t mask = 0;
    int seize_error = 0;
    char state = 'S';
    bool seized = false, deaf = false;  // deaf: an interrupt stops it never
    bool at_entry = false;
    std::uint64_t sleeping_stack = 0;
  };

  std::map<int, Thread> threads;
  std::vector<std::vector<int>> task_lists;  // one a call of tasks(); the last one repeats
  std::vector<std::string> calls;
  std::function<std::int64_t(int tid, const Registers&)> system_call = [](int, const Registers&) {
    return 0;
  };

  bool called(const std::string& call) const {
    for (const std::string& one : calls)
      if (one == call) return true;
    return false;
  }

  Status seize(int tid, unsigned long) override {
    note("seize", tid);
    if (!threads.contains(tid)) return fail_errno("seize", "", ESRCH);
    if (threads[tid].seize_error != 0) return fail_errno("seize", "", threads[tid].seize_error);
    threads[tid].seized = true;
    return {};
  }
  Status interrupt(int tid) override {
    note("interrupt", tid);
    if (!threads[tid].deaf)
      threads[tid].reports.push_back(WaitStatus::event_stop(PTRACE_EVENT_STOP));
    return {};
  }
  Status set_options(int, unsigned long) override { return {}; }
  Status resume(int tid, int signal) override {
    note("resume " + std::to_string(signal), tid);
    return {};
  }
  Status resume_to_syscall(int tid, int) override {
    Thread& thread = threads[tid];
    if (!thread.reports.empty()) return {};  // something else comes first
    thread.at_entry = !thread.at_entry;
    if (thread.at_entry)
      number_[tid] = thread.registers.rax;
    else
      thread.registers.rax = static_cast<std::uint64_t>(system_call(tid, thread.registers));
    thread.reports.push_back(WaitStatus::syscall_stop());
    return {};
  }
  Status detach(int tid) override {
    note("detach", tid);
    threads[tid].seized = false;
    return {};
  }
  Result<std::optional<WaitStatus>> wait(int tid, std::int64_t deadline_ns) override {
    Thread& thread = threads[tid];
    if (thread.reports.empty()) {
      clock_ = deadline_ns;
      return std::optional<WaitStatus>();
    }
    const WaitStatus status = thread.reports.front();
    thread.reports.pop_front();
    return status;
  }
  std::int64_t now_ns() override { return clock_; }

  Result<Registers> get_registers(int tid) override { return threads[tid].registers; }
  Status set_registers(int tid, const Registers& registers) override {
    note("set_registers", tid);
    threads[tid].registers = registers;
    return {};
  }
  Result<std::vector<std::uint8_t>> get_xsave(int) override {
    return std::vector<std::uint8_t>(576);
  }
  Result<std::uint64_t> get_signal_mask(int tid) override { return threads[tid].mask; }
  Status set_signal_mask(int tid, std::uint64_t mask) override {
    threads[tid].mask = mask;
    return {};
  }
  Result<std::vector<std::vector<std::uint8_t>>> peek_signals(int, bool) override {
    return std::vector<std::vector<std::uint8_t>>();
  }
  Result<image::Rseq> get_rseq(int) override { return image::Rseq{}; }
  Result<image::RobustList> get_robust_list(int) override { return image::RobustList{}; }
  Result<unsigned long> event_message(int) override { return 0ul; }
  Status kill(int pid, int) override {
    note("kill", pid);
    return {};
  }
  Status read_memory(int, RemoteAddress, void*, std::size_t) override {
    return fail_errno("read_memory", "", EFAULT);
  }
  Status write_memory(int, RemoteAddress, const void*, std::size_t) override { return {}; }
  Result<std::vector<int>> tasks(int) override {
    if (task_lists.empty()) return fail_errno("tasks", "", ENOENT);
    const std::vector<int> list = task_lists.front();
    if (task_lists.size() > 1) task_lists.erase(task_lists.begin());
    return list;
  }
  char task_state(int, int tid) override {
    return threads.contains(tid) ? threads[tid].state : 'X';
  }
  std::uint64_t sleeping_stack(int, int tid) override {
    return threads.contains(tid) ? threads[tid].sleeping_stack : 0;
  }

 private:
  void note(const std::string& call, int tid) { calls.push_back(call + " " + std::to_string(tid)); }

  std::int64_t clock_ = 0;
  std::map<int, std::uint64_t> number_;
};

}  // namespace ckpt::tracee
