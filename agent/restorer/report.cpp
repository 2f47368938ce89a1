#include "agent/restorer/report.hpp"

#include <signal.h>

#include "mpi_shim/host/raw_syscalls.h"
#include "mpi_shim/host/text.hpp"

namespace ckpt::restorer {
namespace {

const char* const kStageNames[] = {
#define CKPT_RESTORE_STAGE(name, text) #name,
#include "agent/restorer/stages.def"
#undef CKPT_RESTORE_STAGE
};

volatile int current_stage = 0;

lower::Text begin(const ckpt_restore_plan& plan, char* to, int size) {
  lower::Text line(to, size);
  line.add("ckpt-restore-rank: rank ").decimal(static_cast<uint64_t>(plan.rank));
  line.add(": stage ").add(kStageNames[current_stage]).add(": ");
  return line;
}

void add_cause(lower::Text& line, const char* operation, uint64_t subject, long result) {
  line.add(operation);
  if (subject < 65536) {
    line.add(" ").decimal(subject);
  } else {
    line.add(" 0x").hex(subject);
  }
  line.add(": errno ").decimal(static_cast<uint64_t>(-result)).add("\n");
}

}  // namespace

void enter_stage(ckpt_restore_plan& plan, ckpt_restore_stage stage) {
  current_stage = stage;
  if (plan.fault_stage != static_cast<int>(stage)) return;
  raw::call(SYS_kill, raw::call(SYS_getpid), SIGKILL);
}

void die(const ckpt_restore_plan& plan, const char* operation, uint64_t subject, long result) {
  char text[256];
  lower::Text line = begin(plan, text, sizeof text);
  add_cause(line, operation, subject, result);
  raw::write(plan.message_fd, text, static_cast<size_t>(line.length()));
  for (;;) raw::call(SYS_exit_group, CKPT_RESTORE_EXIT_STAGE);
}

void die_text(const ckpt_restore_plan& plan, const char* reason) {
  char text[640];
  lower::Text line = begin(plan, text, sizeof text);
  line.add(reason).add("\n");
  raw::write(plan.message_fd, text, static_cast<size_t>(line.length()));
  for (;;) raw::call(SYS_exit_group, CKPT_RESTORE_EXIT_STAGE);
}

void warn(const ckpt_restore_plan& plan, const char* operation, uint64_t subject, long result) {
  char text[256];
  lower::Text line = begin(plan, text, sizeof text);
  line.add("warning: ");
  add_cause(line, operation, subject, result);
  raw::write(plan.message_fd, text, static_cast<size_t>(line.length()));
}

void tell_progress(const ckpt_restore_plan& plan, ckpt_restart_phase phase, uint64_t bytes) {
  if (plan.progress_fd < 0) return;
  const ckpt_restart_record record = {phase, 0, bytes, plan.payload_pages * 4096};
  const uint64_t place = static_cast<uint64_t>(plan.rank) * sizeof record;
  raw::call(SYS_pwrite64, plan.progress_fd, raw::word(&record), sizeof record, raw::word(place));
}

}  // namespace ckpt::restorer
