#include "tests/scale/node_file.hpp"

#include <sys/mman.h>
#include <sys/user.h>

#include <cstring>

#include "format/image/generation_writer.hpp"
#include "format/posix/file_system.hpp"
#include "format/posix/try.hpp"

namespace ckpt::scale {
namespace {

using image::kPageSize;

image::RankImage small_rank(std::int32_t rank, const std::string& node) {
  image::RankImage small;
  small.rank = rank;
  small.host = node;
  small.payload_pages = 1;
  image::Process& process = small.process;
  process.pid = 1000 + rank;
  process.executable = "/usr/bin/simulated";
  process.cwd = "/";
  process.signal_actions.resize(64);
  process.limits.resize(16);
  image::Thread thread;
  thread.tid = process.pid;
  thread.registers.resize(sizeof(user_regs_struct));
  process.threads.push_back(thread);
  image::Region heap;
  heap.start = 0x555556000000;
  heap.end = heap.start + 16 * kPageSize;
  heap.heap = true;
  heap.protection = PROT_READ | PROT_WRITE;
  heap.runs = {{heap.start, 1, 0}};
  process.regions.push_back(heap);
  return small;
}

Status write_rank(image::GenerationWriter& writer, std::int32_t rank, const std::string& node) {
  std::uint8_t page[kPageSize] = {};
  std::memcpy(page, &rank, sizeof rank);
  const auto offset = CKPT_TRY(writer.reserve_payload(rank, 1));
  const auto file = CKPT_TRY(writer.open_payload());
  CKPT_TRY(file->pwrite(page, sizeof page, offset));
  return writer.write_rank(small_rank(rank, node), {image::block_checksum(page, sizeof page)});
}

}  // namespace

Result<std::uint64_t> write_node_file(const wire::Snapshot& order, const std::string& node,
                                      const std::vector<std::int32_t>& ranks) {
  const image::JobRecord job{order.job,         order.command,        order.environment,
                             order.cwd,         order.world_size,     order.generation,
                             order.taken_at_ns, order.program_version};
  const auto part = ranks.size() == static_cast<std::size_t>(order.world_size)
                        ? image::GenerationPart::whole
                        : image::GenerationPart::node;
  FileSystem& files = linux_file_system();
  auto writer = CKPT_TRY(image::GenerationWriter::create(files, order.partial_path, job, part));
  for (const std::int32_t rank : ranks) CKPT_TRY(write_rank(writer, rank, node));
  CKPT_TRY(writer.finish());
  return CKPT_TRY(files.stat(order.partial_path)).size;
}

}  // namespace ckpt::scale
