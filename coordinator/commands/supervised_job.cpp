#include "coordinator/commands/supervised_job.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "coordinator/batch_system/slurm_job.hpp"
#include "coordinator/job_directory/incarnation_file.hpp"
#include "coordinator/launch/host_plan.hpp"
#include "format/image/generation_directory.hpp"
#include "format/image/generation_reader.hpp"
#include "format/posix/durable_file.hpp"

namespace ckpt::coordinator {
namespace {

constexpr const char* kHostFile = "hosts";

tl::expected<std::vector<std::string>, int> launch_command(
    const image::JobRecord& record, const Layout& layout,
    const std::optional<std::vector<std::string>>& given) {
  if (!given || given->empty()) return record.command;
  std::vector<std::string> options = *given;
  const auto starts_ranks = [](const std::string& name) {
    return is_mpirun(name) || is_srun(name);
  };
  std::string program = !record.command.empty() && starts_ranks(record.command.front())
                            ? record.command.front()
                            : "mpirun";
  if (starts_ranks(options.front())) {
    program = options.front();
    options.erase(options.begin());
  }
  const auto asked = ranks_asked_for(options);
  if (asked && *asked != record.world_size) {
    return tl::unexpected(complain(
        Exit::wrong_size, "the generation has " + std::to_string(record.world_size) +
                              " ranks, and the options ask for " + std::to_string(*asked)));
  }
  std::vector<std::string> command = {program};
  command.insert(command.end(), options.begin(), options.end());
  if (!asked) {
    command.emplace_back("-n");
    command.push_back(std::to_string(record.world_size));
  }
  command.push_back(layout.restore_rank);
  return command;
}

// Pages are checked while they are read into the ranks, so a start does not wait
// for it. When a job failed, this tells whether that was why. (Where the file is
// gone the job went on long enough to replace it.)
std::string damage_of(Context& context, const StartPlan& start) {
  if (start.image.empty()) return "";
  auto reader = image::GenerationReader::open(start.image, context.files);
  const Status good = reader ? reader->verify(image::VerifyDepth::payload) : Status();
  return good ? "" : good.error().message();
}

class Supervision {
 public:
  Supervision(Context& context, const Supervised& how, StartPlan first, Incarnation incarnation)
      : context_(context),
        how_(how),
        generations_(context.files, how.directory.path()),
        start_(std::move(first)),
        incarnation_(std::move(incarnation)),
        fsm_({start_.job.options.max_restarts, how.lineage}),
        foreground_(how.directory, how.layout, fsm_) {
    if (how.guard != nullptr) foreground_.warn_before_the_end(*how.guard);
  }

  int run() {
    for (;;) {
      const auto next = run_once();
      if (!next) return next.error();
      if (const auto code = go_on(*next)) return *code;
    }
  }

 private:
  // One start to its end, and what is to follow.
  tl::expected<SupervisionActions, int> run_once() {
    start_.job.first_generation = how_.lineage.first_own;
    start_.job.slurm_job = slurm_ ? slurm_->id : "";
    if (Status written = how_.directory.write_job(start_.job); !written) {
      return tl::unexpected(complain(Exit::cannot_write, written.error()));
    }
    Start start{start_.job,
                start_.command,
                {start_.image, how_.accept_changed_files},
                incarnation_,
                slurm_.has_value() || start_.job.options.max_restarts > 0};
    if (!start_.image.empty()) {
      start.job.environment = restart_environment(start_.job.environment, own_environment());
      // The step of the start before may seem to hold its nodes for ever: one of a
      // lost node is never done. mpirun's own srun would wait for them.
      if (slurm_) set_variable(start.job.environment, "SLURM_OVERLAP", "1");
    }
    avoid_failed_nodes(start);
    const auto newest = generations_.next_number();
    fsm_.step(AttemptStarted{start_.generation, newest ? *newest - 1 : 0});
    auto end = foreground_.run(std::move(start));
    if (!end && fsm_.attempts().empty()) {
      return tl::unexpected(complain(Exit::cannot_start, end.error()));
    }
    if (how_.started != nullptr) *how_.started = true;
    // A restart that could not be started is one that failed.
    constexpr int kNotStarted = static_cast<int>(Exit::cannot_start) << 8;
    const std::string why = end ? "" : end.error().message();
    if (!end) end = StartEnd{kNotStarted, false, false, 0, 0, {}};
    return judge(*end, why);
  }

  SupervisionActions judge(const StartEnd& end, const std::string& not_started) {
    for (const std::string& node : end.gone_nodes) {
      fsm_.step(NodeLost{node, "it does not answer", true});
    }
    status_ = shell_status(end.wait_status);
    asked_ = end.asked;
    AttemptEnded event;
    event.facts = {end.wait_status, end.asked, false, !start_.image.empty(), end.all_present};
    event.how = !not_started.empty() ? not_started : "mpirun " + describe_exit(end.wait_status);
    event.ran_s = end.ran_s;
    event.lasted_s = end.lasted_s;
    damage_.clear();
    if (status_ != 0) {
      // Pages of ranks that were all there have been checked.
      if (!end.asked && !end.all_present) event.damage = damage_ = damage_of(context_, start_);
      if (const auto good = generations_.usable()) event.good = *good;
    }
    start_.job.ran_s += end.lasted_s;
    SupervisionActions actions = fsm_.step(event);
    if (is_failure(fsm_.attempts().back().end)) ++start_.job.failures;
    return actions;
  }

  void avoid_failed_nodes(Start& start) {
    HostRequest request{start.command,
                        start.job.environment,
                        fsm_.lost_nodes(),
                        start.job.options.spare_hosts,
                        how_.directory.file(kHostFile),
                        start.job.world_size};
    const auto plan = avoid_hosts(request, [&](const std::string& path) {
      const bool absolute = !path.empty() && path.front() == '/';
      return read_whole(context_.files, absolute ? path : start.job.cwd + "/" + path);
    });
    if (!plan) return tell(plan.error().message());
    if (!plan->text.empty()) tell(plan->text);
    if (!plan->hostfile.empty()) {
      const Status written =
          write_durably(context_.files, request.new_hostfile, plan->hostfile, 0600);
      if (!written) return tell(written.error().message());
    }
    start.command = plan->command;
  }

  // The exit code, or nothing when there is a next start.
  std::optional<int> go_on(const SupervisionActions& actions) {
    for (const SupervisionAction& action : actions) {
      if (const auto* mark = std::get_if<MarkGeneration>(&action)) {
        tell("generation " + std::to_string(mark->generation) +
             " is tried no more: " + mark->cause);
        const Status marked = generations_.mark_failed(mark->generation, mark->cause);
        if (!marked) tell(marked.error().message());
      } else if (const auto* finish = std::get_if<Finish>(&action)) {
        for (const std::string& line : finish->report) tell(line);
        if (status_ != 0 && !asked_) hand_back_to_slurm(finish->node_lost);
        if (finish->gave_up) return static_cast<int>(Exit::gave_up);
        if (status_ != 0 && !damage_.empty()) return complain(Exit::bad_image, damage_);
        return status_;
      } else if (const auto* restart = std::get_if<Restart>(&action)) {
        return begin_restart(*restart);
      }
    }
    return std::nullopt;
  }

  // Slurm requeues a job whose node it finds down, and one that it preempts; but it
  // takes minutes for that, and the batch script would have ended by then, and the job
  // with it: mpirun notices at once that its daemons are gone.
  void hand_back_to_slurm(bool node_lost) {
    constexpr std::chrono::seconds kPatience{20};
    if (!slurm_ || !has_generation()) return;
    const auto text = ask_slurm(slurm_->id, kPatience);
    if (!text || !may_be_requeued(*text) || !(node_lost || is_preempted(*text))) return;
    tell((node_lost ? "a node was lost: job " : "it was preempted: job ") + slurm_->id +
         " is requeued");
    if (Status done = requeue(slurm_->id, kPatience); !done) tell(done.error().message());
  }

  // To go on from when Slurm begins the batch script again.
  bool has_generation() const {
    const auto good = generations_.usable();
    return good && std::any_of(good->begin(), good->end(), [this](std::uint64_t generation) {
             return how_.lineage.holds(generation);
           });
  }

  std::optional<int> begin_restart(const Restart& restart) {
    auto plan = how_.plan(restart.generation);
    if (!plan) return plan.error();
    // The fence is raised by who still has the job, and by nobody else.
    auto incarnation = raise_incarnation(context_.files, how_.directory, &incarnation_);
    if (!incarnation) {
      const bool past = incarnation.error().code == kSuperseded;
      return complain(past ? Exit::superseded : Exit::cannot_write, incarnation.error());
    }
    incarnation_ = std::move(*incarnation);
    // What the user gave for this run stays; what a record has is its own.
    plan->job.options = start_.job.options;
    plan->job.ran_s = start_.job.ran_s;
    plan->job.failures = start_.job.failures;
    start_ = std::move(*plan);
    std::string what =
        restart.reason + "; going on from " +
        (restart.generation == 0 ? start_.image
                                 : "generation " + std::to_string(restart.generation));
    if (restart.number > 0) {
      what += " (restart " + std::to_string(restart.number) + " of " +
              std::to_string(start_.job.options.max_restarts) + ")";
    }
    tell(what);
    return std::nullopt;
  }

  Context& context_;
  const Supervised& how_;
  std::optional<SlurmJob> slurm_ = slurm_job_of(own_environment());
  image::GenerationDirectory generations_;
  StartPlan start_;
  Incarnation incarnation_;
  SupervisionFsm fsm_;
  ForegroundJob foreground_;
  int status_ = 0;
  bool asked_ = false;  // by a signal to us, to end
  std::string damage_;  // of the generation that the last start came from
};

}  // namespace

tl::expected<StartPlan, int> plan_from_generation(
    Context& context, const JobDirectory& directory, const Layout& layout, std::uint64_t generation,
    const std::optional<std::vector<std::string>>& options, const std::string& file) {
  StartPlan start;
  start.generation = generation;
  start.image =
      !file.empty()
          ? file
          : image::GenerationDirectory(context.files, directory.path()).path_of(generation);
  const auto reader = image::GenerationReader::open(start.image, context.files);
  if (!reader) return tl::unexpected(complain(Exit::bad_image, reader.error()));
  const image::JobRecord& record = reader->job();
  auto command = launch_command(record, layout, options);
  if (!command) return tl::unexpected(command.error());
  if (command->empty()) {
    return tl::unexpected(
        complain(Exit::bad_image, start.image + ": it names no command; give mpirun's options"));
  }
  auto job = directory.read_job();
  if (!job) return tl::unexpected(complain(Exit::failed, job.error()));
  if (file.empty() && record.job != job->name) {
    return tl::unexpected(complain(
        Exit::bad_image,
        "restart " + job->name + ": " + start.image + " is a generation of the job " + record.job));
  }
  if (job->world_size != 0 && record.world_size != job->world_size) {
    return tl::unexpected(
        complain(Exit::wrong_size, "restart " + job->name + ": " + start.image + " has " +
                                       std::to_string(record.world_size) + " ranks, and the job " +
                                       std::to_string(job->world_size)));
  }
  job->command = record.command;
  job->environment = record.environment;
  job->cwd = record.cwd;
  job->world_size = record.world_size;
  job->restarted_from = record.generation;
  job->started_at_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(
                           std::chrono::system_clock::now().time_since_epoch())
                           .count();
  std::fprintf(stderr, "ckpt-coord: restarting %s from generation %llu (%d ranks, taken %s)\n",
               directory.name().c_str(), static_cast<unsigned long long>(record.generation),
               record.world_size, time_in_words(record.taken_at_ns).c_str());
  start.job = std::move(*job);
  start.command = std::move(*command);
  return start;
}

int run_supervised(Context& context, const Supervised& how, StartPlan first,
                   Incarnation incarnation) {
  return Supervision(context, how, std::move(first), std::move(incarnation)).run();
}

}  // namespace ckpt::coordinator
