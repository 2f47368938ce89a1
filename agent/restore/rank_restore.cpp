#include "agent/restore/rank_restore.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <vector>

#include "agent/restore/arena_memory.hpp"
#include "agent/restore/descriptor_plan.hpp"
#include "agent/restore/parked_files.hpp"
#include "agent/restore/process_plan.hpp"
#include "agent/restore/process_surroundings.hpp"
#include "agent/restore/region_plan.hpp"
#include "agent/restore/restorer_program.hpp"
#include "agent/restore/system_mappings.hpp"
#include "agent/restorer/restore_plan.h"
#include "fmt/format.h"
#include "format/image/generation_reader.hpp"
#include "format/image/generation_writer.hpp"
#include "format/posix/patient_file_system.hpp"
#include "format/posix/try.hpp"
#include "format/posix/unique_fd.hpp"

extern char** environ;

namespace ckpt::restore {
namespace {

constexpr std::uint64_t kGiB = 1ull << 30;
constexpr std::uint64_t kMainStack = 1 << 20;  // runs the loader of the lower half too

struct RankRecords {
  image::JobRecord job;
  image::RankImage image;
  std::vector<std::uint64_t> checksums;
};

Result<RankRecords> read_records(const RankIdentity& identity) {
  // Under mpirun: `restart` has seen them; here they may be seen later.
  const bool seen_elsewhere = identity.world_size >= 0;
  PatientFileSystem files(linux_file_system(), seen_elsewhere ? PatientFileSystem::kSharedStorage
                                                              : std::chrono::milliseconds(0));
  auto reader = CKPT_TRY(image::GenerationReader::open(identity.image, files));
  RankRecords records;
  records.job = reader.job();
  CKPT_TRY(check_world_size(identity, records.job));
  auto image = reader.rank(identity.rank);
  if (!image) return with_context(image.error(), "read", identity.image);
  auto checksums = reader.payload_checksums(identity.rank);
  if (!checksums) return with_context(checksums.error(), "read", identity.image);
  records.image = std::move(*image);
  records.checksums = std::move(*checksums);
  return records;
}

// The node a rank was on: host names may be equal, and a file of one node's ranks
// may have been made one with others' (export).
std::string origin_of(const image::RankImage& image) {
  const std::string text = image.host + "/" + base_name_of(image.payload_file);
  return fmt::format("{:016x}", image::block_checksum(text.data(), text.size()));
}

Result<int> stage_number(const std::string& name) {
  if (name.empty()) return -1;
  int number = 0;
#define CKPT_RESTORE_STAGE(stage, text) \
  if (name == #stage) return number;    \
  ++number;
#include "agent/restorer/stages.def"
#undef CKPT_RESTORE_STAGE
  return fail("read", "CKPT_FAULT", "no stage is named " + name);
}

// Makes the plan, step by step; owns what must not be freed before the jump.
class Planner {
 public:
  Planner(const RestoreOptions& options, const RankRecords& records)
      : options_(options),
        records_(records),
        kept_(CKPT_RESTORER_ZONE_START + kGiB, CKPT_RESTORER_ZONE_START + 16 * kGiB),
        scratch_(CKPT_RESTORER_ZONE_START + 16 * kGiB, CKPT_RESTORER_ZONE_END),
        files_(first_parking_number(records.image.process)) {}

  Status make() {
    auto plan = CKPT_TRY(kept_.array<ckpt_restore_plan>(1));
    plan_ = plan;
    CKPT_TRY(identify());
    CKPT_TRY(plan_machine());
    CKPT_TRY(plan_memory());
    CKPT_TRY(plan_descriptors(process(), scratch_, files_, *plan_));
    CKPT_TRY(plan_threads(process(), machine_extended_state(), kept_, *plan_));
    CKPT_TRY(plan_signals(process(), kept_, *plan_));
    CKPT_TRY(plan_timers(process(), kept_, *plan_));
    CKPT_TRY(plan_layout(process(), kept_, files_, *plan_));
    CKPT_TRY(plan_lower_half());
    return list_parked();
  }

  // Loads the restorer and its stack. What cannot be undone comes after.
  Status load() {
    auto entry =
        CKPT_TRY(load_restorer(options_.parts_dir + "/ckpt-restorer", CKPT_RESTORER_ZONE_START));
    entry_ = entry;
    auto stack = CKPT_TRY(kept_.allocate(kMainStack, 64));
    stack_top_ = reinterpret_cast<std::uint64_t>(stack) + kMainStack;
    CKPT_TRY(enter_surroundings(process(), warnings_));
    plan_->scratch_start = scratch_.start();
    plan_->scratch_size = scratch_.size();
    return {};
  }

  [[noreturn]] void jump() {
    for (const auto& warning : warnings_) {
      std::fprintf(stderr, "ckpt-restore-rank: rank %d: warning: %s\n", plan_->rank,
                   warning.c_str());
    }
    std::fflush(nullptr);
    enter_restorer(entry_, plan_, stack_top_);
  }

 private:
  const image::Process& process() const { return records_.image.process; }

  Status identify() {
    plan_->magic = CKPT_RESTORE_PLAN_MAGIC;
    plan_->version = CKPT_RESTORE_PLAN_VERSION;
    plan_->rank = options_.identity.rank;
    plan_->generation = records_.job.generation;
    plan_->restart_block = records_.image.restart_block;
    plan_->thread_multiple = static_cast<std::int32_t>(records_.image.thread_multiple);
    auto stage = CKPT_TRY(stage_number(options_.fault_stage));
    plan_->fault_stage = stage;
    // Not a parked one: the restorer keeps it to the end.
    plan_->message_fd = ::fcntl(2, F_DUPFD_CLOEXEC, first_parking_number(process()));
    plan_->progress_fd = open_progress();
    return {};
  }

  // Not a parked one either. Without it nobody sees how far this rank is.
  int open_progress() const {
    if (options_.progress_file.empty()) return -1;
    const UniqueFd file(
        ::open(options_.progress_file.c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    return file ? ::fcntl(file.get(), F_DUPFD_CLOEXEC, first_parking_number(process())) : -1;
  }

  Status plan_machine() {
    auto own = CKPT_TRY(own_system_mappings());
    auto moves = CKPT_TRY(plan_moves(own, process().regions));
    for (std::size_t i = 0; i < moves.size(); ++i) {
      plan_->moves[i] = moves[i];
      if (own[i].vdso) plan_->vdso = moves[i].to;
    }
    plan_->move_count = static_cast<std::uint32_t>(moves.size());
    return {};
  }

  Status plan_memory() {
    RegionOptions region_options;
    region_options.accept_changed_files = options_.accept_changed_files;
    if (records_.image.restart_block != 0)
      region_options.sharing_token = options_.identity.sharing_token;
    region_options.origin = origin_of(records_.image);
    CKPT_TRY(plan_regions(records_.image, region_options, scratch_, files_, warnings_, *plan_));
    CKPT_TRY(plan_runs(records_.image, records_.checksums, image::kChecksumBlockPages, scratch_,
                       *plan_));
    // Past the page cache: pages read once need not push out others.
    auto payload = files_.open(records_.image.payload_file, O_RDONLY | O_DIRECT);
    if (!payload && payload.error().code == EINVAL)
      payload = files_.open(records_.image.payload_file, O_RDONLY);
    plan_->payload_fd = CKPT_TRY(std::move(payload));
    return {};
  }

  Status plan_lower_half() {
    if (options_.agent_socket.size() >= sizeof plan_->agent_socket) {
      return fail("use", "CKPT_AGENT_SOCKET", "the path is too long: " + options_.agent_socket,
                  ENAMETOOLONG);
    }
    std::memcpy(plan_->agent_socket, options_.agent_socket.c_str(), options_.agent_socket.size());
    auto parts = CKPT_TRY(scratch_.text(options_.parts_dir));
    auto cache = CKPT_TRY(scratch_.text(options_.cache_dir));
    std::size_t count = 0;
    while (environ[count] != nullptr) ++count;
    auto list = CKPT_TRY(scratch_.array<char*>(count + 1));
    for (std::size_t i = 0; i < count; ++i) {
      auto one = CKPT_TRY(scratch_.text(environ[i]));
      list[i] = one;
    }
    plan_->parts_dir = parts;
    plan_->cache_dir = cache;
    plan_->environment = list;
    return {};
  }

  Status list_parked() {
    auto parked = CKPT_TRY(scratch_.array<std::int32_t>(files_.numbers().size()));
    std::copy(files_.numbers().begin(), files_.numbers().end(), parked);
    plan_->parked = parked;
    plan_->parked_count = static_cast<std::uint32_t>(files_.numbers().size());
    return {};
  }

  const RestoreOptions& options_;
  const RankRecords& records_;
  ArenaMemory kept_, scratch_;
  ParkedFiles files_;
  std::vector<std::string> warnings_;
  ckpt_restore_plan* plan_ = nullptr;
  std::uint64_t entry_ = 0, stack_top_ = 0;
};

}  // namespace

RestoreError restore_rank(const RestoreOptions& options) {
  if (auto ok = close_inherited_descriptors(); !ok) return {ok.error(), CKPT_RESTORE_EXIT_MACHINE};
  raise_descriptor_limit();
  auto records = read_records(options.identity);
  if (!records) return {records.error(), CKPT_RESTORE_EXIT_IMAGE};
  Planner planner(options, *records);
  if (auto ok = planner.make(); !ok) return {ok.error(), CKPT_RESTORE_EXIT_MACHINE};
  if (auto ok = planner.load(); !ok) return {ok.error(), CKPT_RESTORE_EXIT_MACHINE};
  planner.jump();
}

}  // namespace ckpt::restore
