#include "format/image/records/signals.hpp"

#include <cstring>

#include "format/image/hdf5/dataset.hpp"
#include "format/image/hdf5/table.hpp"
#include "format/image/schema.hpp"

namespace ckpt::image::records {
namespace {

constexpr std::int32_t kProcessQueue = -1;

struct PendingRow {
  std::int32_t thread = kProcessQueue;
  std::int32_t signal = 0;
  std::vector<std::uint8_t> siginfo;
};

constexpr auto action_columns = [](auto& visit, auto& row) {
  namespace name = schema::column::signal_actions;
  visit(name::handler, row.handler);
  visit(name::flags, row.flags);
  visit(name::restorer, row.restorer);
  visit(name::mask, row.mask);
};

constexpr auto pending_columns = [](auto& visit, auto& row) {
  namespace name = schema::column::pending_signals;
  visit(name::thread, row.thread);
  visit(name::signal, row.signal);
  visit.bytes(name::siginfo_size, name::siginfo, row.siginfo);
};

void add_queue(std::vector<PendingRow>& rows, std::int32_t thread,
               const std::vector<std::vector<std::uint8_t>>& queue) {
  for (const auto& siginfo : queue) {
    PendingRow row{thread, 0, siginfo};
    // si_signo is the first member of siginfo_t.
    if (siginfo.size() >= sizeof row.signal) {
      std::memcpy(&row.signal, siginfo.data(), sizeof row.signal);
    }
    rows.push_back(std::move(row));
  }
}

}  // namespace

Status write_signals(hid_t group, const Process& process) {
  std::vector<PendingRow> rows;
  add_queue(rows, kProcessQueue, process.pending_signals);
  for (std::size_t i = 0; i < process.threads.size(); ++i) {
    add_queue(rows, static_cast<std::int32_t>(i), process.threads[i].pending_signals);
  }
  CKPT_TRY(hdf5::write_table(group, schema::dataset::signal_actions, process.signal_actions,
                             action_columns));
  return hdf5::write_table(group, schema::dataset::pending_signals, rows, pending_columns);
}

Status read_signals(hid_t group, Process& process) {
  process.signal_actions = CKPT_TRY(
      hdf5::read_table<SignalAction>(group, schema::dataset::signal_actions, action_columns));
  auto rows = CKPT_TRY(
      hdf5::read_table<PendingRow>(group, schema::dataset::pending_signals, pending_columns));
  for (PendingRow& row : rows) {
    if (row.thread == kProcessQueue) {
      process.pending_signals.push_back(std::move(row.siginfo));
    } else if (row.thread >= 0 && static_cast<std::size_t>(row.thread) < process.threads.size()) {
      auto& thread = process.threads[static_cast<std::size_t>(row.thread)];
      thread.pending_signals.push_back(std::move(row.siginfo));
    } else {
      return fail("read", hdf5::path_of(group, schema::dataset::pending_signals),
                  "thread " + std::to_string(row.thread) + " is not in the table");
    }
  }
  return {};
}

}  // namespace ckpt::image::records
