// ckpt-coord serve: the coordinator of one job. Started by `run` and `restart`.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <memory>

#include "coordinator/commands/command.hpp"
#include "coordinator/server/server.hpp"

namespace ckpt::coordinator {
namespace {

struct ServeOptions {
  JobArgument job;
  int parent_pid = 0, ready_fd = -1;
  std::string listen, incarnation;
  bool verbose = false;
};

// The parent reads lines: "ready", or why not; later what server.hpp says. One
// that does not read, or went away (PR_SET_PDEATHSIG tells of that), holds up nothing.
void report(int fd, const std::string& text) {
  if (fd < 0) return;
  const std::string line = text + "\n";
  static_cast<void>(!::write(fd, line.data(), line.size()));
}

// Each agent is a descriptor. Shells give 1,024 for the sake of programs that use
// select(), and let everyone have more.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);  // where it stays as it is the log tells when they are gone
}

int serve(Context& context, const ServeOptions& options) {
  ::signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  const auto give_up = [&](Exit code, const Error& error) {
    report(options.ready_fd, error.message());
    return complain(code, error);
  };
  if (options.ready_fd >= 0) ::fcntl(options.ready_fd, F_SETFL, O_NONBLOCK);
  if (options.parent_pid > 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != options.parent_pid) {
      return give_up(Exit::failed, Error{"serve", "", "its parent is gone", ESRCH});
    }
  }
  const auto path = options.job.path();
  if (!path) return give_up(Exit::no_such_job, path.error());
  auto directory = JobDirectory::open(context.files, *path);
  if (!directory) return give_up(Exit::no_such_job, directory.error());
  const auto lock = directory->lock(JobDirectory::LockKind::coordinator);
  if (!lock) {
    return give_up(lock.error().code == EWOULDBLOCK ? Exit::running : Exit::failed, lock.error());
  }
  auto job = directory->read_job();
  if (!job) return give_up(Exit::failed, job.error());
  auto log = EventLog::open({directory->log_path(),
                             options.parent_pid == 0,
                             options.verbose ? LogLevel::debug : LogLevel::info,
                             {},
                             true});
  if (!log) return give_up(Exit::cannot_write, log.error());
  if (!options.listen.empty()) job->options.listen = options.listen;
  Server server(*directory, std::move(*job), context.files, *log,
                [&](const std::string& line) { report(options.ready_fd, line); });
  const Incarnation of = incarnation_of_variable(options.incarnation);
  if (Status started = server.start(of.known() ? &of : nullptr); !started) {
    log->error("coordinator_failed", {{"cause", started.error()}});
    const bool past = started.error().code == kSuperseded;
    return give_up(past ? Exit::superseded : Exit::failed, started.error());
  }
  report(options.ready_fd, "ready");
  server.run();
  // The thread that waits for the storage cannot be ended, nor waited for.
  if (!server.storage_settles(std::chrono::seconds(5))) ::_exit(0);
  return 0;
}

}  // namespace

void add_serve(CLI::App& app, Context& context) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* command =
      add_command(app, context, "serve", "be the coordinator of a job (run starts it)",
                  [&context, options] { return serve(context, *options); });
  options->job.add_to(*command);
  command->add_option("--parent-pid", options->parent_pid, "end when this process does")
      ->type_name("PID");
  command->add_option("--ready-fd", options->ready_fd, "write `ready` to this descriptor")
      ->type_name("FD");
  command
      ->add_option("--listen", options->listen,
                   "for which nodes: local, all, or auto [as the job was started with]")
      ->type_name("auto|local|all")
      ->check(CLI::IsMember({"auto", "local", "all"}));
  command->add_option("--incarnation", options->incarnation, "of which start of the job it is")
      ->type_name("JOB:NUMBER");
  command->add_flag("--verbose", options->verbose, "log every state");
}

}  // namespace ckpt::coordinator
