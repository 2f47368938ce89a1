// THE table of names in a generation file. SCHEMA.md is its prose; a test
// compares both with each other and with a written file.
//
// Purpose: no HDF5 name is spelled anywhere else: records use
//   schema::dataset::regions, schema::column::regions::start,
//   schema::attribute::job::world_size.
// Compatibility: a reader of schema version N reads files of version N. New
//   attributes, columns and datasets may come within a version when older
//   readers may ignore them; anything else is a new version.
// Types: u8 u32 u64 i32 i64 little-endian; bool is u8 (0 or 1); string is of
//   fixed length, UTF-8, ended by NUL; enum is u32 with names; bytes is
//   u8[n] with its used length in the column NAME_size (u32) before it.
#pragma once

#include <cstdint>
#include <string_view>

namespace ckpt::image::schema {

inline constexpr std::uint32_t kVersion = 1;
inline constexpr char kFormat[] = "ckpt-coord generation";
inline constexpr char kPartWhole[] = "whole";
inline constexpr char kPartNode[] = "node";
inline constexpr char kEncodingRaw[] = "raw";
inline constexpr char kEncodingText[] = "strings";
inline constexpr char kEncodingNulTerminated[] = "nul-terminated";

// Groups at the top; a rank's group is /ranks/000012.
inline constexpr char kJobGroup[] = "job";
inline constexpr char kRanksGroup[] = "ranks";

// X(owner, name, type, meaning). Owners: root, job, rank, any (every dataset
// of metadata), and datasets with attributes of their own.
// clang-format off
#define CKPT_SCHEMA_ATTRIBUTES(X)                                                            \
  X(root, format, "string", "`ckpt-coord generation`")                                       \
  X(root, schema_version, "u32", "1")                                                        \
  X(root, part, "string", "`whole`, or `node`: some ranks, linked by a whole one")           \
  X(root, complete, "bool", "written last; 0 in a file whose writer did not finish")         \
  X(job, name, "string", "the job's name")                                                   \
  X(job, cwd, "string", "where `run` was started")                                           \
  X(job, world_size, "i32", "ranks in MPI_COMM_WORLD")                                       \
  X(job, generation, "u64", "its number; the first is 1")                                    \
  X(job, taken_at_ns, "i64", "ns since the epoch, UTC")                                      \
  X(job, program_version, "string", "of the ckpt-coord that wrote it")                       \
  X(rank, rank, "i32", "in MPI_COMM_WORLD")                                                  \
  X(rank, host, "string", "where it ran")                                                    \
  X(rank, restart_block, "u64", "address of struct ckpt_restart_block")                      \
  X(rank, thread_multiple, "u32", "1: the lower half was initialised with MPI_THREAD_MULTIPLE") \
  X(rank, logged_messages, "u64", "messages in its channel logs (they lie in its memory)")   \
  X(rank, logged_bytes, "u64", "bytes of those messages")                                    \
  X(rank, pid, "i32", "its process id then")                                                 \
  X(rank, executable, "string", "/proc/pid/exe")                                             \
  X(rank, cwd, "string", "working directory")                                                \
  X(rank, umask, "u32", "file creation mask")                                                \
  X(any, xxh3_64, "u64", "XXH3 (64 bits, seed 0) of the dataset's bytes as stored")          \
  X(strings, encoding, "string", "`strings`, or `nul-terminated`: see Strings")              \
  X(pages, encoding, "string", "`raw`; a reader refuses one it does not know")               \
  X(pages, version, "u32", "of the encoding: 1")                                             \
  X(page_checksums, block_pages, "u64", "pages a checksum covers: 256; the last block may be shorter")
// clang-format on

// X(owner, name, form, meaning)
// clang-format off
#define CKPT_SCHEMA_DATASETS(X)                                                              \
  X(job, command, "strings", "what `run` was given after `--`")                              \
  X(job, environment, "strings", "NAME=value")                                               \
  X(rank, regions, "table", "memory regions, ascending, the arena left out")                 \
  X(rank, files, "table", "files that regions map, each once")                               \
  X(rank, page_runs, "table", "which pages are stored, and where in `pages`")                \
  X(rank, layout, "table", "one row: prctl(2) PR_SET_MM_MAP")                                \
  X(rank, auxv, "u64[n]", "the auxiliary vector")                                            \
  X(rank, threads, "table", "threads; the first is the thread group's leader")               \
  X(rank, registers, "table", "struct user_regs_struct, a row a thread")                     \
  X(rank, xsave, "u8[threads][n]", "NT_X86_XSTATE as the kernel gives it, a row a thread")   \
  X(rank, signal_actions, "table", "row k is signal k + 1")                                  \
  X(rank, pending_signals, "table", "queued signals, each queue in its order")               \
  X(rank, interval_timers, "table", "three rows: ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF")  \
  X(rank, posix_timers, "table", "timer_create(2)")                                          \
  X(rank, limits, "table", "row k is RLIMIT number k")                                       \
  X(rank, descriptors, "table", "open files")                                                \
  X(rank, pages, "u8[pages][4096]", "stored pages: contiguous, page aligned in the file")    \
  X(rank, page_checksums, "u64[blocks]", "XXH3 of each block of `pages`")
// clang-format on

// X(table, name, type, meaning)
// clang-format off
#define CKPT_SCHEMA_COLUMNS(X)                                                               \
  X(regions, start, "u64", "first address")                                                  \
  X(regions, end, "u64", "address behind the last byte")                                     \
  X(regions, kind, "enum",                                                                   \
    "anonymous 0, private_file 1, shared_file 2, shared_anonymous 3, vdso 4, vvar 5")        \
  X(regions, protection, "u32", "PROT_*")                                                    \
  X(regions, grows_down, "bool", "[stack]")                                                  \
  X(regions, heap, "bool", "[heap] (brk)")                                                   \
  X(regions, file, "i32", "row in `files`, -1: none")                                        \
  X(regions, file_offset, "u64", "offset of `start` in it")                                  \
  X(regions, vm_flags, "string", "VmFlags of /proc/pid/smaps")                               \
  X(files, path, "string", "as in /proc/pid/maps")                                           \
  X(files, device, "u64", "st_dev")                                                          \
  X(files, inode, "u64", "st_ino")                                                           \
  X(files, size, "u64", "st_size at the snapshot")                                           \
  X(files, mtime_ns, "i64", "ns since the epoch")                                            \
  X(page_runs, region, "u32", "row in `regions`")                                            \
  X(page_runs, address, "u64", "of the first page")                                          \
  X(page_runs, pages, "u64", "how many")                                                     \
  X(page_runs, index, "u64", "row of the first page in `pages`")                             \
  X(layout, start_code, "u64", "")                                                           \
  X(layout, end_code, "u64", "")                                                             \
  X(layout, start_data, "u64", "")                                                           \
  X(layout, end_data, "u64", "")                                                             \
  X(layout, start_brk, "u64", "")                                                            \
  X(layout, brk, "u64", "")                                                                  \
  X(layout, start_stack, "u64", "")                                                          \
  X(layout, arg_start, "u64", "")                                                            \
  X(layout, arg_end, "u64", "")                                                              \
  X(layout, env_start, "u64", "")                                                            \
  X(layout, env_end, "u64", "")                                                              \
  X(threads, tid, "i32", "thread id then")                                                   \
  X(threads, name, "string", "/proc/pid/task/tid/comm")                                      \
  X(threads, signal_mask, "u64", "blocked signals")                                          \
  X(threads, alt_stack_address, "u64", "sigaltstack(2)")                                     \
  X(threads, alt_stack_size, "u64", "")                                                      \
  X(threads, alt_stack_flags, "i32", "SS_*")                                                 \
  X(threads, robust_list_head, "u64", "get_robust_list(2)")                                  \
  X(threads, robust_list_length, "u64", "")                                                  \
  X(threads, tid_address, "u64", "clear_child_tid")                                          \
  X(threads, rseq_address, "u64", "rseq(2), 0: none")                                        \
  X(threads, rseq_length, "u32", "")                                                         \
  X(threads, rseq_signature, "u32", "")                                                      \
  X(threads, rseq_flags, "u32", "")                                                          \
  X(threads, xsave_size, "u32", "bytes used of its row in `xsave`")                          \
  X(signal_actions, handler, "u64", "address, or 0 SIG_DFL, 1 SIG_IGN")                      \
  X(signal_actions, flags, "u64", "SA_*")                                                    \
  X(signal_actions, restorer, "u64", "sa_restorer")                                          \
  X(signal_actions, mask, "u64", "blocked in the handler")                                   \
  X(pending_signals, thread, "i32", "row in `threads`, -1: the process's own queue")         \
  X(pending_signals, signal, "i32", "its number (also in siginfo)")                          \
  X(pending_signals, siginfo_size, "u32", "bytes used of siginfo")                           \
  X(pending_signals, siginfo, "bytes", "siginfo_t")                                          \
  X(interval_timers, interval_us, "i64", "")                                                 \
  X(interval_timers, value_us, "i64", "time left")                                           \
  X(posix_timers, id, "i32", "the kernel's timer id")                                        \
  X(posix_timers, clock, "i32", "CLOCK_*")                                                   \
  X(posix_timers, notify, "i32", "SIGEV_*")                                                  \
  X(posix_timers, signal, "i32", "")                                                         \
  X(posix_timers, notify_tid, "i32", "")                                                     \
  X(posix_timers, overrun, "i32", "")                                                        \
  X(posix_timers, value_pointer, "u64", "sigev_value")                                       \
  X(posix_timers, value_ns, "i64", "time left")                                              \
  X(posix_timers, interval_ns, "i64", "")                                                    \
  X(limits, soft, "u64", "RLIM_INFINITY is 2^64 - 1")                                        \
  X(limits, hard, "u64", "")                                                                 \
  X(descriptors, fd, "i32", "its number")                                                    \
  X(descriptors, kind, "enum",                                                               \
    "regular_file 0, directory 1, char_device 2, standard 3, ignored 4")                     \
  X(descriptors, path, "string", "/proc/pid/fd")                                             \
  X(descriptors, offset, "i64", "file position")                                             \
  X(descriptors, flags, "u32", "O_*, O_CLOEXEC included")                                    \
  X(descriptors, size, "u64", "of the file at the snapshot")                                 \
  X(descriptors, same_as, "i32", "fd that shares its open file description, -1: none")       \
  X(descriptors, device, "u64", "st_dev")                                                    \
  X(descriptors, inode, "u64", "st_ino")                                                     \
  CKPT_SCHEMA_REGISTER_COLUMNS(X)
// clang-format on

// In the order of struct user_regs_struct.
// clang-format off
#define CKPT_SCHEMA_REGISTER_COLUMNS(X)                                                      \
  X(registers, r15, "u64", "") X(registers, r14, "u64", "") X(registers, r13, "u64", "")     \
  X(registers, r12, "u64", "") X(registers, rbp, "u64", "") X(registers, rbx, "u64", "")     \
  X(registers, r11, "u64", "") X(registers, r10, "u64", "") X(registers, r9, "u64", "")      \
  X(registers, r8, "u64", "") X(registers, rax, "u64", "") X(registers, rcx, "u64", "")      \
  X(registers, rdx, "u64", "") X(registers, rsi, "u64", "") X(registers, rdi, "u64", "")     \
  X(registers, orig_rax, "u64", "") X(registers, rip, "u64", "") X(registers, cs, "u64", "") \
  X(registers, eflags, "u64", "") X(registers, rsp, "u64", "") X(registers, ss, "u64", "")   \
  X(registers, fs_base, "u64", "") X(registers, gs_base, "u64", "")                          \
  X(registers, ds, "u64", "") X(registers, es, "u64", "") X(registers, fs, "u64", "")        \
  X(registers, gs, "u64", "")
// clang-format on

#define CKPT_SCHEMA_ATTRIBUTE_CONSTANT(owner, name, type, meaning) \
  namespace attribute::owner {                                     \
  inline constexpr char name[] = #name;                            \
  }
CKPT_SCHEMA_ATTRIBUTES(CKPT_SCHEMA_ATTRIBUTE_CONSTANT)
#undef CKPT_SCHEMA_ATTRIBUTE_CONSTANT

#define CKPT_SCHEMA_DATASET_CONSTANT(owner, name, form, meaning) \
  namespace dataset {                                            \
  inline constexpr char name[] = #name;                          \
  }
CKPT_SCHEMA_DATASETS(CKPT_SCHEMA_DATASET_CONSTANT)
#undef CKPT_SCHEMA_DATASET_CONSTANT

#define CKPT_SCHEMA_COLUMN_CONSTANT(table, name, type, meaning) \
  namespace column::table {                                     \
  inline constexpr char name[] = #name;                         \
  }
CKPT_SCHEMA_COLUMNS(CKPT_SCHEMA_COLUMN_CONSTANT)
#undef CKPT_SCHEMA_COLUMN_CONSTANT

struct Name {
  std::string_view owner, name, type, meaning;
};
#define CKPT_SCHEMA_NAME(owner, name, type, meaning) Name{#owner, #name, type, meaning},
inline constexpr Name kAttributes[] = {CKPT_SCHEMA_ATTRIBUTES(CKPT_SCHEMA_NAME)};
inline constexpr Name kDatasets[] = {CKPT_SCHEMA_DATASETS(CKPT_SCHEMA_NAME)};
inline constexpr Name kColumns[] = {CKPT_SCHEMA_COLUMNS(CKPT_SCHEMA_NAME)};
inline constexpr Name kRegisters[] = {CKPT_SCHEMA_REGISTER_COLUMNS(CKPT_SCHEMA_NAME)};
#undef CKPT_SCHEMA_NAME

}  // namespace ckpt::image::schema
