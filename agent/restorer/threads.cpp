#include "agent/restorer/threads.hpp"

#include <asm/prctl.h>
#include <errno.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <sched.h>
#include <signal.h>

#include "agent/restorer/report.hpp"
#include "mpi_shim/host/raw_syscalls.h"

extern "C" {
long ckpt_restorer_clone(unsigned long flags, void* stack_top, void (*run)(void*), void* argument);
[[noreturn]] void ckpt_restorer_sigreturn(void* frame);
}

namespace ckpt::restorer {
namespace {

// Order of struct user_regs_struct.
enum Register {
  kR15,
  kR14,
  kR13,
  kR12,
  kRbp,
  kRbx,
  kR11,
  kR10,
  kR9,
  kR8,
  kRax,
  kRcx,
  kRdx,
  kRsi,
  kRdi,
  kOrigRax,
  kRip,
  kCs,
  kEflags,
  kRsp,
  kSs,
  kFsBase,
  kGsBase,
  kDs,
  kEs,
  kFs,
  kGs
};

constexpr uint64_t kUcFpXstate = 1, kUcSigcontextSs = 2, kUcStrictRestoreSs = 4;
constexpr uint32_t kFpMagic1 = 0x46505853u, kFpMagic2 = 0x46505845u;

// The kernel's struct rt_sigframe (arch/x86 asm/sigframe.h).
struct Frame {
  uint64_t return_address;
  uint64_t flags, link;
  uint64_t alt_stack;
  int32_t alt_stack_flags, reserved0;
  uint64_t alt_stack_size;
  uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip;
  uint64_t eflags;
  uint16_t cs, gs, fs, ss;
  uint64_t error, trap, old_mask, cr2;
  uint64_t fp_state;
  uint64_t reserved1[8];
  uint64_t signal_mask;
  uint8_t siginfo[128];
};
static_assert(sizeof(Frame) == 8 + 40 + 256 + 8 + 128, "rt_sigframe layout");

// The bytes 464..511 of the legacy area, software's own (struct _fpx_sw_bytes).
struct SoftwareBytes {
  uint32_t magic1, extended_size;
  uint64_t features;
  uint32_t xstate_size;
  uint32_t padding[7];
};
static_assert(sizeof(SoftwareBytes) == 48, "software bytes of the fxsave area");

void fill_registers(const ckpt_plan_thread& thread, Frame& frame) {
  const uint64_t* from = thread.registers;
  frame.r8 = from[kR8];
  frame.r9 = from[kR9];
  frame.r10 = from[kR10];
  frame.r11 = from[kR11];
  frame.r12 = from[kR12];
  frame.r13 = from[kR13];
  frame.r14 = from[kR14];
  frame.r15 = from[kR15];
  frame.rdi = from[kRdi];
  frame.rsi = from[kRsi];
  frame.rbp = from[kRbp];
  frame.rbx = from[kRbx];
  frame.rdx = from[kRdx];
  frame.rax = from[kRax];
  frame.rcx = from[kRcx];
  frame.rsp = from[kRsp];
  frame.rip = from[kRip];
  frame.eflags = from[kEflags];
  frame.cs = static_cast<uint16_t>(from[kCs]);
  frame.ss = static_cast<uint16_t>(from[kSs]);
}

void seal_xsave(const ckpt_plan_thread& thread) {
  auto* software = reinterpret_cast<SoftwareBytes*>(thread.xsave + 464);
  *software = {};
  software->magic1 = kFpMagic1;
  software->extended_size = static_cast<uint32_t>(thread.xsave_size + sizeof kFpMagic2);
  software->features = thread.xsave_features;
  software->xstate_size = static_cast<uint32_t>(thread.xsave_size);
  *reinterpret_cast<uint32_t*>(thread.xsave + thread.xsave_size) = kFpMagic2;
}

// A thread stopped inside a restartable sequence goes on at its abort handler.
void abort_restartable_sequence(ckpt_plan_thread& thread) {
  struct Sequence {
    uint32_t version, flags;
    uint64_t start, length, abort;
  };
  auto* pointer = reinterpret_cast<uint64_t*>(thread.rseq_address + 8);
  if (*pointer == 0) return;
  const auto* sequence = reinterpret_cast<const Sequence*>(*pointer);
  const uint64_t rip = thread.registers[kRip];
  if (rip - sequence->start < sequence->length) thread.registers[kRip] = sequence->abort;
  *pointer = 0;
}

void wait_while(volatile uint32_t& word, uint32_t value) {
  while (__atomic_load_n(&word, __ATOMIC_ACQUIRE) == value) {
    raw::futex(&word, FUTEX_WAIT_PRIVATE, value);
  }
}

[[noreturn]] void run_thread(void* argument) {
  auto& thread = *static_cast<ckpt_plan_thread*>(argument);
  ckpt_restore_plan& plan = *thread.plan;
  adopt_thread(plan, thread);
  __atomic_fetch_add(&plan.threads_ready, 1, __ATOMIC_RELEASE);
  raw::futex(&plan.threads_ready, FUTEX_WAKE_PRIVATE, 1);
  wait_while(plan.go, 0);
  continue_thread(plan, thread);
}

}  // namespace

void start_threads(ckpt_restore_plan& plan) {
  constexpr unsigned long kFlags =
      CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
  for (uint32_t i = 1; i < plan.thread_count; ++i) {
    ckpt_plan_thread& thread = plan.threads[i];
    const long tid =
        ckpt_restorer_clone(kFlags, reinterpret_cast<void*>(thread.stack_top), run_thread, &thread);
    must(plan, "clone thread", i, tid);
    thread.new_tid = static_cast<int32_t>(tid);
  }
  const uint32_t others = plan.thread_count - 1;
  for (;;) {
    const uint32_t ready = __atomic_load_n(&plan.threads_ready, __ATOMIC_ACQUIRE);
    if (ready == others) return;
    wait_while(plan.threads_ready, ready);
  }
}

void adopt_thread(const ckpt_restore_plan& plan, ckpt_plan_thread& thread) {
  const uint64_t subject = static_cast<uint64_t>(thread.old_tid);
  const long tid = raw::call(SYS_set_tid_address, raw::word(thread.tid_address));
  // glibc keeps the thread's id where the kernel clears it at the end.
  if (thread.tid_address != 0) {
    *reinterpret_cast<volatile int32_t*>(thread.tid_address) = static_cast<int32_t>(tid);
  }
  if (thread.robust_length != 0) {
    must(plan, "set_robust_list tid", subject,
         raw::call(SYS_set_robust_list, raw::word(thread.robust_head),
                   raw::word(thread.robust_length)));
  }
  if (thread.rseq_address != 0) {
    abort_restartable_sequence(thread);
    must(plan, "rseq tid", subject,
         raw::call(SYS_rseq, raw::word(thread.rseq_address), thread.rseq_length, 0,
                   static_cast<long>(thread.rseq_signature)));
  }
  raw::call(SYS_prctl, PR_SET_NAME, raw::word(thread.name));
  must(plan, "arch_prctl FS tid", subject,
       raw::call(SYS_arch_prctl, ARCH_SET_FS, raw::word(thread.registers[kFsBase])));
  must(plan, "arch_prctl GS tid", subject, raw::call(SYS_arch_prctl, ARCH_SET_GS, 0));
  for (uint32_t i = 0; i < thread.pending_count; ++i) {
    const uint8_t* info = thread.pending + uint64_t{i} * 128;
    const int signal = *reinterpret_cast<const int*>(info);
    must(plan, "rt_tgsigqueueinfo signal", static_cast<uint64_t>(signal),
         raw::call(SYS_rt_tgsigqueueinfo, raw::call(SYS_getpid), tid, signal, raw::word(info)));
  }
}

void continue_thread(const ckpt_restore_plan& plan, const ckpt_plan_thread& thread) {
  // On this stack, in the arena: nothing of the program's stacks is touched,
  // not even below their red zones.
  alignas(64) Frame frame{};
  frame.flags = kUcSigcontextSs | kUcStrictRestoreSs;
  frame.alt_stack = thread.alt_stack;
  frame.alt_stack_size = thread.alt_stack_size;
  frame.alt_stack_flags = thread.alt_stack_flags;
  fill_registers(thread, frame);
  if (thread.xsave_size != 0) {
    seal_xsave(thread);
    frame.flags |= kUcFpXstate;
    frame.fp_state = reinterpret_cast<uint64_t>(thread.xsave);
  }
  frame.signal_mask = thread.signal_mask;
  ckpt_restorer_sigreturn(&frame);
  die(plan, "rt_sigreturn tid", static_cast<uint64_t>(thread.old_tid), -EFAULT);
}

void let_all_go(ckpt_restore_plan& plan) {
  __atomic_store_n(&plan.go, 1u, __ATOMIC_RELEASE);
  raw::futex(&plan.go, FUTEX_WAKE_PRIVATE, 0x7fffffff);
}

}  // namespace ckpt::restorer
