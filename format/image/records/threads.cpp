#include "format/image/records/threads.hpp"

#include <sys/user.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "format/image/hdf5/dataset.hpp"
#include "format/image/hdf5/table.hpp"
#include "format/image/schema.hpp"

namespace ckpt::image::records {
namespace {

constexpr std::size_t kRegisterCount = std::size(schema::kRegisters);
using Registers = std::array<std::uint64_t, kRegisterCount>;
static_assert(sizeof(user_regs_struct) == sizeof(Registers), "schema names every register");
static_assert(offsetof(user_regs_struct, rip) == 16 * 8 &&
                  offsetof(user_regs_struct, fs_base) == 21 * 8,
              "schema names registers in the kernel's order");

struct ThreadRow {
  Thread thread;
  std::uint32_t xsave_size = 0;
};

constexpr auto thread_columns = [](auto& visit, auto& row) {
  namespace name = schema::column::threads;
  auto& thread = row.thread;
  visit(name::tid, thread.tid);
  visit(name::name, thread.name);
  visit(name::signal_mask, thread.signal_mask);
  visit(name::alt_stack_address, thread.alt_stack.address);
  visit(name::alt_stack_size, thread.alt_stack.size);
  visit(name::alt_stack_flags, thread.alt_stack.flags);
  visit(name::robust_list_head, thread.robust_list.head);
  visit(name::robust_list_length, thread.robust_list.length);
  visit(name::tid_address, thread.tid_address);
  visit(name::rseq_address, thread.rseq.address);
  visit(name::rseq_length, thread.rseq.length);
  visit(name::rseq_signature, thread.rseq.signature);
  visit(name::rseq_flags, thread.rseq.flags);
  visit(name::xsave_size, row.xsave_size);
};

constexpr auto register_columns = [](auto& visit, auto& row) {
  // The views of the schema's table are of string literals: NUL terminated.
  for (std::size_t i = 0; i < kRegisterCount; ++i) visit(schema::kRegisters[i].name.data(), row[i]);
};

Status write_xsave(hid_t group, const std::vector<Thread>& threads) {
  std::size_t width = 0;
  for (const Thread& thread : threads) width = std::max(width, thread.xsave.size());
  std::vector<std::uint8_t> bytes(width * threads.size());
  for (std::size_t i = 0; i < threads.size(); ++i) {
    std::copy(threads[i].xsave.begin(), threads[i].xsave.end(),
              bytes.begin() + static_cast<std::ptrdiff_t>(i * width));
  }
  return hdf5::write_dataset(group, schema::dataset::xsave, H5T_STD_U8LE, {threads.size(), width},
                             bytes.data(), bytes.size());
}

Status read_xsave(hid_t group, std::vector<ThreadRow>& rows) {
  const std::string subject = hdf5::path_of(group, schema::dataset::xsave);
  const auto read = CKPT_TRY(hdf5::read_dataset(group, schema::dataset::xsave, 2));
  if (H5Tequal(read.type.get(), H5T_STD_U8LE) <= 0 || read.extent[0] != rows.size()) {
    return fail("read", subject, "it is not a row of bytes a thread");
  }
  const std::size_t width = read.extent[1];
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].xsave_size > width) return fail("read", subject, "a thread uses more than its row");
    const auto start = read.bytes.begin() + static_cast<std::ptrdiff_t>(i * width);
    rows[i].thread.xsave.assign(start, start + rows[i].xsave_size);
  }
  return {};
}

}  // namespace

Status write_threads(hid_t group, const std::vector<Thread>& threads) {
  std::vector<ThreadRow> rows;
  std::vector<Registers> registers(threads.size());
  for (std::size_t i = 0; i < threads.size(); ++i) {
    const Thread& thread = threads[i];
    if (thread.registers.size() != sizeof(Registers)) {
      return fail("write", hdf5::path_of(group, schema::dataset::registers),
                  "thread " + std::to_string(thread.tid) + " has " +
                      std::to_string(thread.registers.size()) + " bytes of registers, not " +
                      std::to_string(sizeof(Registers)));
    }
    std::memcpy(registers[i].data(), thread.registers.data(), sizeof(Registers));
    rows.push_back({thread, static_cast<std::uint32_t>(thread.xsave.size())});
  }
  CKPT_TRY(hdf5::write_table(group, schema::dataset::threads, rows, thread_columns));
  CKPT_TRY(hdf5::write_table(group, schema::dataset::registers, registers, register_columns));
  return write_xsave(group, threads);
}

Result<std::vector<Thread>> read_threads(hid_t group) {
  auto rows =
      CKPT_TRY(hdf5::read_table<ThreadRow>(group, schema::dataset::threads, thread_columns));
  const auto registers =
      CKPT_TRY(hdf5::read_table<Registers>(group, schema::dataset::registers, register_columns));
  if (registers.size() != rows.size()) {
    return fail("read", hdf5::path_of(group, schema::dataset::registers),
                "it does not have a row a thread");
  }
  CKPT_TRY(read_xsave(group, rows));
  std::vector<Thread> threads;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(registers[i].data());
    rows[i].thread.registers.assign(bytes, bytes + sizeof(Registers));
    threads.push_back(std::move(rows[i].thread));
  }
  return threads;
}

}  // namespace ckpt::image::records
