#include "tests/unit/format_image/sample_generation.hpp"

#include <sys/mman.h>
#include <sys/user.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "format/posix/try.hpp"

namespace ckpt::image::sample {
namespace {

std::vector<std::uint8_t> bytes_from(std::uint64_t seed, std::size_t size) {
  std::vector<std::uint8_t> bytes(size);
  for (auto& byte : bytes) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<std::uint8_t>(seed >> 56);
  }
  return bytes;
}

// Runs share the payload: the first half in one region, the rest in another.
std::vector<Region> regions(std::uint64_t seed, std::uint64_t pages) {
  const std::uint64_t half = pages / 2;
  Region text;
  text.start = 0x555555554000;
  text.end = text.start + 16 * kPageSize;
  text.kind = RegionKind::private_file;
  text.protection = PROT_READ | PROT_EXEC;
  text.path = "/usr/bin/app with space";
  text.file_offset = 4096;
  text.device = 0x801 + seed;
  text.inode = 777;
  text.file_size = 123456;
  text.file_mtime_ns = 1'700'000'000'123'456'789;
  text.vm_flags = "rd ex mr mw me";
  Region data = text;
  data.start = text.end;
  data.end = data.start + (half + 8) * kPageSize;
  data.protection = PROT_READ | PROT_WRITE;
  data.file_offset = 17 * 4096;
  data.vm_flags = "rd wr mr mw me ac";
  if (half > 0) data.runs = {{data.start + kPageSize, half, 0}};
  Region heap;
  heap.start = 0x555556000000;
  heap.end = heap.start + (pages + 64) * kPageSize;
  heap.heap = true;
  heap.protection = PROT_READ | PROT_WRITE;
  heap.vm_flags = "rd wr mr mw me ac hg";
  if (pages - half > 1) {
    heap.runs = {{heap.start, 1, half}, {heap.start + 3 * kPageSize, pages - half - 1, half + 1}};
  } else if (pages - half == 1) {
    heap.runs = {{heap.start, 1, half}};
  }
  Region shared;
  shared.start = 0x7f0000000000;
  shared.end = shared.start + kPageSize;
  shared.kind = RegionKind::shared_file;
  shared.path = "/dev/shm/sh\xc3\xa4red";
  shared.inode = 5;
  Region memfd;
  memfd.start = 0x7f0000010000;
  memfd.end = memfd.start + kPageSize;
  memfd.kind = RegionKind::shared_anonymous;
  memfd.path = "/memfd:x (deleted)";
  Region stack;
  stack.start = 0x7ffffffde000;
  stack.end = 0x7ffffffff000;
  stack.grows_down = true;
  Region vvar, vdso;
  vvar.start = 0x7ffff7fc0000;
  vvar.end = 0x7ffff7fc4000;
  vvar.kind = RegionKind::vvar;
  vdso.start = vvar.end;
  vdso.end = vdso.start + 2 * kPageSize;
  vdso.kind = RegionKind::vdso;
  return {text, data, heap, shared, memfd, vvar, vdso, stack};
}

Thread thread(std::uint64_t seed, std::int32_t tid, std::size_t xsave_size) {
  Thread thread;
  thread.tid = tid;
  thread.name = "worker " + std::to_string(tid);
  thread.registers = bytes_from(seed, sizeof(user_regs_struct));
  thread.xsave = bytes_from(seed + 1, xsave_size);
  thread.signal_mask = 0x8000000000000201 + seed;
  thread.alt_stack = {0x7f1100000000 + seed, 65536, 2};
  thread.robust_list = {0x7f1100010000 + seed, 24};
  thread.tid_address = 0x7f1100020000 + seed;
  thread.rseq = {0x7f1100030000 + seed, 32, 0x53053053, 1};
  thread.pending_signals = {bytes_from(seed + 2, 128), bytes_from(seed + 3, 128)};
  return thread;
}

}  // namespace

JobRecord job(std::int32_t world_size, std::uint64_t generation) {
  JobRecord job;
  job.job = "sim42";
  job.command = {"mpirun", "-n", "4", "./app", "", "in put", "\xc3\xa4"};
  job.environment = {"PATH=/usr/bin", "EMPTY=", "LONG=" + std::string(3000, 'x')};
  job.cwd = "/home/user/run";
  job.world_size = world_size;
  job.generation = generation;
  job.taken_at_ns = 1'767'323'045'678'901'234;
  job.program_version = "0.1.0";
  return job;
}

RankImage rank(std::int32_t number, std::uint64_t payload_pages) {
  const auto seed = static_cast<std::uint64_t>(number) * 1000;
  RankImage image;
  image.rank = number;
  image.host = "node" + std::to_string(number);
  image.restart_block = 0x7f0000001000 + seed;
  image.thread_multiple = 1;
  image.logged_messages = 17 + seed;
  image.logged_bytes = 1234567 + seed;
  image.payload_pages = payload_pages;
  Process& process = image.process;
  process.pid = 4211 + number;
  process.executable = "/usr/bin/app";
  process.cwd = "/home/user/run";
  process.umask = 027;
  process.layout = {1 + seed, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, {33, 0x7ffff7fc4000, 6, 4096, 0, 0}};
  for (std::uint64_t i = 0; i < 64; ++i)
    process.signal_actions.push_back({i + seed, i * 2, i * 3, ~i});
  process.pending_signals = {bytes_from(seed + 9, 128)};
  for (std::int64_t i = 0; i < 3; ++i) process.interval_timers[i] = {i + 1, 1'000'000 + i};
  process.posix_timers = {{0, 1, 4, 34, 4212, 7, 0x5555, 1'500'000'000, 250},
                          {3, -6, 1, 0, 0, 0, 0, -1, 0}};
  for (std::uint64_t i = 0; i < 16; ++i) process.limits.push_back({i + seed, UINT64_MAX});
  process.threads = {thread(seed + 10, 4211 + number, 2696), thread(seed + 20, 5000, 2440),
                     thread(seed + 30, 5001, 0)};
  process.threads[2].pending_signals.clear();
  process.regions = regions(seed, payload_pages);
  process.descriptors = {{0, DescriptorKind::standard, "/dev/pts/3", 0, 2, 0, -1, 5, 6},
                         {3, DescriptorKind::regular_file, "/home/user/run/out put", 4096, 0102001,
                          8192, -1, 0x801, 99},
                         {4, DescriptorKind::directory, "/home", 0, 0200000, 0, -1, 1, 2},
                         {5, DescriptorKind::char_device, "/dev/null", -1, 2, 0, 3, 1, 2},
                         {7, DescriptorKind::ignored, "socket:[123]", 0, 0, 0, -1, 0, 0}};
  return image;
}

std::vector<std::uint8_t> payload(std::int32_t rank, std::uint64_t pages) {
  return bytes_from(static_cast<std::uint64_t>(rank) + 4242, pages * kPageSize);
}

std::vector<std::uint64_t> checksums(const std::vector<std::uint8_t>& payload) {
  std::vector<std::uint64_t> sums;
  for (std::size_t at = 0; at < payload.size(); at += kChecksumBlockBytes) {
    sums.push_back(block_checksum(payload.data() + at,
                                  std::min<std::size_t>(kChecksumBlockBytes, payload.size() - at)));
  }
  return sums;
}

Status write_rank(GenerationWriter& writer, std::int32_t number, std::uint64_t pages) {
  const auto offset = CKPT_TRY(writer.reserve_payload(number, pages));
  const auto bytes = payload(number, pages);
  const auto file = CKPT_TRY(writer.open_payload());
  if (!bytes.empty()) CKPT_TRY(file->pwrite(bytes.data(), bytes.size(), offset));
  return writer.write_rank(rank(number, pages), checksums(bytes));
}

Status write(FileSystem& files, const std::string& path, const JobRecord& record,
             std::uint64_t pages_per_rank) {
  auto writer = CKPT_TRY(GenerationWriter::create(files, path, record));
  for (std::int32_t number = 0; number < record.world_size; ++number) {
    CKPT_TRY(write_rank(writer, number, pages_per_rank));
  }
  return writer.finish();
}

namespace {

void expect_same(const Region& expected, const Region& actual) {
  EXPECT_EQ(expected.start, actual.start);
  EXPECT_EQ(expected.end, actual.end);
  EXPECT_EQ(expected.kind, actual.kind);
  EXPECT_EQ(expected.protection, actual.protection);
  EXPECT_EQ(expected.grows_down, actual.grows_down);
  EXPECT_EQ(expected.heap, actual.heap);
  EXPECT_EQ(expected.path, actual.path);
  EXPECT_EQ(expected.file_offset, actual.file_offset);
  EXPECT_EQ(expected.device, actual.device);
  EXPECT_EQ(expected.inode, actual.inode);
  EXPECT_EQ(expected.file_size, actual.file_size);
  EXPECT_EQ(expected.file_mtime_ns, actual.file_mtime_ns);
  EXPECT_EQ(expected.vm_flags, actual.vm_flags);
  ASSERT_EQ(expected.runs.size(), actual.runs.size());
  for (std::size_t i = 0; i < expected.runs.size(); ++i) {
    EXPECT_EQ(expected.runs[i].address, actual.runs[i].address);
    EXPECT_EQ(expected.runs[i].pages, actual.runs[i].pages);
    EXPECT_EQ(expected.runs[i].index, actual.runs[i].index);
  }
}

void expect_same(const Thread& expected, const Thread& actual) {
  EXPECT_EQ(expected.tid, actual.tid);
  EXPECT_EQ(expected.name, actual.name);
  EXPECT_EQ(expected.registers, actual.registers);
  EXPECT_EQ(expected.xsave, actual.xsave);
  EXPECT_EQ(expected.signal_mask, actual.signal_mask);
  EXPECT_EQ(expected.alt_stack.address, actual.alt_stack.address);
  EXPECT_EQ(expected.alt_stack.size, actual.alt_stack.size);
  EXPECT_EQ(expected.alt_stack.flags, actual.alt_stack.flags);
  EXPECT_EQ(expected.robust_list.head, actual.robust_list.head);
  EXPECT_EQ(expected.robust_list.length, actual.robust_list.length);
  EXPECT_EQ(expected.tid_address, actual.tid_address);
  EXPECT_EQ(expected.rseq.address, actual.rseq.address);
  EXPECT_EQ(expected.rseq.length, actual.rseq.length);
  EXPECT_EQ(expected.rseq.signature, actual.rseq.signature);
  EXPECT_EQ(expected.rseq.flags, actual.rseq.flags);
  EXPECT_EQ(expected.pending_signals, actual.pending_signals);
}

void expect_same(const SignalAction& expected, const SignalAction& actual) {
  EXPECT_EQ(expected.handler, actual.handler);
  EXPECT_EQ(expected.flags, actual.flags);
  EXPECT_EQ(expected.restorer, actual.restorer);
  EXPECT_EQ(expected.mask, actual.mask);
}

void expect_same(const PosixTimer& expected, const PosixTimer& actual) {
  EXPECT_EQ(expected.id, actual.id);
  EXPECT_EQ(expected.clock, actual.clock);
  EXPECT_EQ(expected.notify, actual.notify);
  EXPECT_EQ(expected.signal, actual.signal);
  EXPECT_EQ(expected.notify_tid, actual.notify_tid);
  EXPECT_EQ(expected.overrun, actual.overrun);
  EXPECT_EQ(expected.value_pointer, actual.value_pointer);
  EXPECT_EQ(expected.value_ns, actual.value_ns);
  EXPECT_EQ(expected.interval_ns, actual.interval_ns);
}

void expect_same(const ResourceLimit& expected, const ResourceLimit& actual) {
  EXPECT_EQ(expected.soft, actual.soft);
  EXPECT_EQ(expected.hard, actual.hard);
}

void expect_same(const Descriptor& expected, const Descriptor& actual) {
  EXPECT_EQ(expected.fd, actual.fd);
  EXPECT_EQ(expected.kind, actual.kind);
  EXPECT_EQ(expected.path, actual.path);
  EXPECT_EQ(expected.offset, actual.offset);
  EXPECT_EQ(expected.flags, actual.flags);
  EXPECT_EQ(expected.size, actual.size);
  EXPECT_EQ(expected.same_as, actual.same_as);
  EXPECT_EQ(expected.device, actual.device);
  EXPECT_EQ(expected.inode, actual.inode);
}

void expect_same(const MemoryLayout& expected, const MemoryLayout& actual) {
  EXPECT_EQ(expected.start_code, actual.start_code);
  EXPECT_EQ(expected.end_code, actual.end_code);
  EXPECT_EQ(expected.start_data, actual.start_data);
  EXPECT_EQ(expected.end_data, actual.end_data);
  EXPECT_EQ(expected.start_brk, actual.start_brk);
  EXPECT_EQ(expected.brk, actual.brk);
  EXPECT_EQ(expected.start_stack, actual.start_stack);
  EXPECT_EQ(expected.arg_start, actual.arg_start);
  EXPECT_EQ(expected.arg_end, actual.arg_end);
  EXPECT_EQ(expected.env_start, actual.env_start);
  EXPECT_EQ(expected.env_end, actual.env_end);
  EXPECT_EQ(expected.auxv, actual.auxv);
}

template <typename T>
void expect_each(const char* what, const std::vector<T>& expected, const std::vector<T>& actual) {
  SCOPED_TRACE(what);
  ASSERT_EQ(expected.size(), actual.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    SCOPED_TRACE(i);
    expect_same(expected[i], actual[i]);
  }
}

}  // namespace

void expect_same(const RankImage& expected, const RankImage& actual) {
  EXPECT_EQ(expected.rank, actual.rank);
  EXPECT_EQ(expected.host, actual.host);
  EXPECT_EQ(expected.restart_block, actual.restart_block);
  EXPECT_EQ(expected.thread_multiple, actual.thread_multiple);
  EXPECT_EQ(expected.logged_messages, actual.logged_messages);
  EXPECT_EQ(expected.logged_bytes, actual.logged_bytes);
  EXPECT_EQ(expected.payload_pages, actual.payload_pages);
  const Process &e = expected.process, &a = actual.process;
  EXPECT_EQ(e.pid, a.pid);
  EXPECT_EQ(e.executable, a.executable);
  EXPECT_EQ(e.cwd, a.cwd);
  EXPECT_EQ(e.umask, a.umask);
  expect_same(e.layout, a.layout);
  EXPECT_EQ(e.pending_signals, a.pending_signals);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(e.interval_timers[i].interval_us, a.interval_timers[i].interval_us);
    EXPECT_EQ(e.interval_timers[i].value_us, a.interval_timers[i].value_us);
  }
  expect_each("signal actions", e.signal_actions, a.signal_actions);
  expect_each("posix timers", e.posix_timers, a.posix_timers);
  expect_each("limits", e.limits, a.limits);
  expect_each("threads", e.threads, a.threads);
  expect_each("regions", e.regions, a.regions);
  expect_each("descriptors", e.descriptors, a.descriptors);
}

void expect_same(const JobRecord& expected, const JobRecord& actual) {
  EXPECT_EQ(expected.job, actual.job);
  EXPECT_EQ(expected.command, actual.command);
  EXPECT_EQ(expected.environment, actual.environment);
  EXPECT_EQ(expected.cwd, actual.cwd);
  EXPECT_EQ(expected.world_size, actual.world_size);
  EXPECT_EQ(expected.generation, actual.generation);
  EXPECT_EQ(expected.taken_at_ns, actual.taken_at_ns);
  EXPECT_EQ(expected.program_version, actual.program_version);
}

TemporaryDirectory::TemporaryDirectory(const std::string& parent) {
  path_ = (parent.empty() ? std::filesystem::temp_directory_path().string() : parent) +
          "/ckpt-test-XXXXXX";
  if (::mkdtemp(path_.data()) == nullptr) std::abort();
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::vector<std::uint8_t> read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_bytes(const std::string& path, const std::vector<std::uint8_t>& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

}  // namespace ckpt::image::sample
