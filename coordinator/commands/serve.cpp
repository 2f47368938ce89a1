// ckpt-coord serve: the coordinator of one job. Started by `run` and `restart`.
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <memory>

#include "coordinator/commands/command.hpp"
#include "coordinator/server/server.hpp"

namespace ckpt::coordinator {
namespace {

struct ServeOptions {
  JobArgument job;
  int parent_pid = 0, ready_fd = -1;
  bool verbose = false;
};

// The parent reads one line: "ready", or why not.
void report(int fd, const std::string& text) {
  if (fd < 0) return;
  const std::string line = text + "\n";
  // A parent that went away reads nothing: PR_SET_PDEATHSIG tells of that.
  static_cast<void>(!::write(fd, line.data(), line.size()));
  ::close(fd);
}

int serve(Context& context, const ServeOptions& options) {
  ::signal(SIGPIPE, SIG_IGN);
  const auto give_up = [&](Exit code, const Error& error) {
    report(options.ready_fd, error.message());
    return complain(code, error);
  };
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
  auto log = EventLog::open({directory->log_path(), options.parent_pid == 0,
                             options.verbose ? LogLevel::debug : LogLevel::info, {}});
  if (!log) return give_up(Exit::cannot_write, log.error());
  Server server(*directory, std::move(*job), context.files, *log);
  if (Status started = server.start(); !started) {
    log->error("coordinator_failed", {{"cause", started.error()}});
    return give_up(Exit::failed, started.error());
  }
  report(options.ready_fd, "ready");
  server.run();
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
  command->add_flag("--verbose", options->verbose, "log every state");
}

}  // namespace ckpt::coordinator
