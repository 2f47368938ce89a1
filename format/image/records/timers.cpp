#include "format/image/records/timers.hpp"

#include <algorithm>

#include "format/image/hdf5/dataset.hpp"
#include "format/image/hdf5/table.hpp"
#include "format/image/schema.hpp"

namespace ckpt::image::records {
namespace {

constexpr auto interval_columns = [](auto& visit, auto& row) {
  namespace name = schema::column::interval_timers;
  visit(name::interval_us, row.interval_us);
  visit(name::value_us, row.value_us);
};

constexpr auto posix_columns = [](auto& visit, auto& row) {
  namespace name = schema::column::posix_timers;
  visit(name::id, row.id);
  visit(name::clock, row.clock);
  visit(name::notify, row.notify);
  visit(name::signal, row.signal);
  visit(name::notify_tid, row.notify_tid);
  visit(name::overrun, row.overrun);
  visit(name::value_pointer, row.value_pointer);
  visit(name::value_ns, row.value_ns);
  visit(name::interval_ns, row.interval_ns);
};

}  // namespace

Status write_timers(hid_t group, const Process& process) {
  const std::vector<IntervalTimer> intervals(std::begin(process.interval_timers),
                                             std::end(process.interval_timers));
  CKPT_TRY(hdf5::write_table(group, schema::dataset::interval_timers, intervals, interval_columns));
  return hdf5::write_table(group, schema::dataset::posix_timers, process.posix_timers,
                           posix_columns);
}

Status read_timers(hid_t group, Process& process) {
  const auto intervals = CKPT_TRY(
      hdf5::read_table<IntervalTimer>(group, schema::dataset::interval_timers, interval_columns));
  if (intervals.size() != std::size(process.interval_timers)) {
    return fail("read", hdf5::path_of(group, schema::dataset::interval_timers),
                "it does not have three rows");
  }
  std::copy(intervals.begin(), intervals.end(), process.interval_timers);
  process.posix_timers =
      CKPT_TRY(hdf5::read_table<PosixTimer>(group, schema::dataset::posix_timers, posix_columns));
  return {};
}

}  // namespace ckpt::image::records
