// What a generation holds, as plain values.
//
// Purpose: the snapshot fills these in, the image writer stores them, the
//   reader returns them, the restore plan is made from them. Pages themselves
//   are not here: they are streamed (rank_payload.hpp), and PageRun says where.
// Ownership: values. Threads: no shared state.
// Units: addresses and sizes in bytes, `pages` in 4096-byte pages, times in ns
//   since the epoch unless said otherwise.
// Source: proc(5), ptrace(2), signal(7), SCHEMA.md.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace ckpt::image {

inline constexpr std::uint64_t kPageSize = 4096;

enum class RegionKind : std::uint32_t {
  anonymous = 0,         // private, no file (heap and stacks included)
  private_file = 1,      // MAP_PRIVATE of a file: only changed pages are stored
  shared_file = 2,       // MAP_SHARED of a file (also /dev/shm): all content is stored
  shared_anonymous = 3,  // MAP_SHARED|MAP_ANONYMOUS, memfd, deleted files
  vdso = 4,              // place only
  vvar = 5,              // place only ([vvar] and [vvar_vclock])
};

// A run of pages of one region stored one after the other in the rank's payload.
struct PageRun {
  std::uint64_t address = 0;  // of the first page
  std::uint64_t pages = 0;
  std::uint64_t index = 0;  // of the first page in the payload dataset
};

struct Region {
  std::uint64_t start = 0, end = 0;
  RegionKind kind = RegionKind::anonymous;
  std::uint32_t protection = 0;  // PROT_*
  bool grows_down = false;       // [stack]
  bool heap = false;             // [heap] (brk)
  std::string path;              // file regions
  std::uint64_t file_offset = 0;
  std::uint64_t device = 0, inode = 0, file_size = 0;
  std::int64_t file_mtime_ns = 0;
  std::string vm_flags;       // VmFlags of smaps: "rd wr mr mw me ac hg"
  std::vector<PageRun> runs;  // ascending addresses; what is not named is zero or the file's
};

struct RobustList {
  std::uint64_t head = 0, length = 0;
};
struct Rseq {
  std::uint64_t address = 0;
  std::uint32_t length = 0, signature = 0, flags = 0;
};
struct AltStack {
  std::uint64_t address = 0, size = 0;
  std::int32_t flags = 0;
};

struct Thread {
  std::int32_t tid = 0;
  std::string name;
  std::vector<std::uint8_t> registers;  // struct user_regs_struct
  std::vector<std::uint8_t> xsave;      // NT_X86_XSTATE, as the kernel gives it
  std::uint64_t signal_mask = 0;
  AltStack alt_stack;
  RobustList robust_list;
  std::uint64_t tid_address = 0;  // clear_child_tid; glibc's pthread tid lies there
  Rseq rseq;
  std::vector<std::vector<std::uint8_t>> pending_signals;  // siginfo_t, this thread's queue
};

struct SignalAction {
  std::uint64_t handler = 0, flags = 0, restorer = 0, mask = 0;
};

struct IntervalTimer {  // REAL, VIRTUAL, PROF
  std::int64_t interval_us = 0, value_us = 0;
};

struct PosixTimer {
  std::int32_t id = 0, clock = 0, notify = 0, signal = 0, notify_tid = 0, overrun = 0;
  std::uint64_t value_pointer = 0;
  std::int64_t value_ns = 0, interval_ns = 0;
};

enum class DescriptorKind : std::uint32_t {
  regular_file = 0,  // reopened, truncated to `size` when it was open for writing, seeked
  directory = 1,
  char_device = 2,  // /dev/null and the like: reopened by path
  standard = 3,     // 0, 1, 2 as mpirun gave them: the new mpirun's are kept
  ignored = 4,      // could not be saved, and the user said to skip it
};

struct Descriptor {
  std::int32_t fd = -1;
  DescriptorKind kind = DescriptorKind::regular_file;
  std::string path;
  std::int64_t offset = 0;
  std::uint32_t flags = 0;    // O_*, from fdinfo (O_CLOEXEC included)
  std::uint64_t size = 0;     // at the snapshot
  std::int32_t same_as = -1;  // shares its open file description with this descriptor
  std::uint64_t device = 0, inode = 0;
};

struct ResourceLimit {
  std::uint64_t soft = 0, hard = 0;
};

struct MemoryLayout {  // prctl(2) PR_SET_MM_MAP, /proc/pid/stat
  std::uint64_t start_code = 0, end_code = 0, start_data = 0, end_data = 0;
  std::uint64_t start_brk = 0, brk = 0, start_stack = 0;
  std::uint64_t arg_start = 0, arg_end = 0, env_start = 0, env_end = 0;
  std::vector<std::uint64_t> auxv;
};

struct Process {
  std::int32_t pid = 0;
  std::string executable, cwd;
  std::uint32_t umask = 0;
  MemoryLayout layout;
  std::vector<SignalAction> signal_actions;  // [signal - 1], 64 of them
  std::vector<std::vector<std::uint8_t>> pending_signals;
  IntervalTimer interval_timers[3];
  std::vector<PosixTimer> posix_timers;
  std::vector<ResourceLimit> limits;  // [RLIMIT_*]
  std::vector<Thread> threads;        // [0] is the thread group's leader
  std::vector<Region> regions;        // ascending, outside the arena
  std::vector<Descriptor> descriptors;
};

struct RankImage {
  std::int32_t rank = -1;
  std::string host;
  std::uint64_t restart_block = 0;                      // address of struct ckpt_restart_block
  std::uint32_t thread_multiple = 0;                    // how the lower half was initialised
  std::uint64_t logged_messages = 0, logged_bytes = 0;  // in the channel logs
  Process process;
  std::uint64_t payload_pages = 0;   // pages in the payload dataset
  std::uint64_t payload_offset = 0;  // byte offset of page 0 in the payload file (page aligned)
  std::string payload_file;          // the file that holds it (absolute, when read)
};

struct JobRecord {
  std::string job;                       // its name
  std::vector<std::string> command;      // what `run` was given after --
  std::vector<std::string> environment;  // NAME=value
  std::string cwd;
  std::int32_t world_size = 0;
  std::uint64_t generation = 0;
  std::int64_t taken_at_ns = 0;
  std::string program_version;  // of ckpt-coord
};

}  // namespace ckpt::image
