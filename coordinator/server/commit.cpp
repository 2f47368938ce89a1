// A generation that all its agents have flushed is made visible; see visible_generation.hpp.
#include <utility>

#include "coordinator/server/guarded.hpp"
#include "coordinator/server/server.hpp"
#include "coordinator/version.hpp"

namespace ckpt::coordinator {

void Server::perform(const Commit& action) {
  const auto given_up = std::make_shared<std::atomic<bool>>(false);
  commit_given_up_ = given_up;
  const CommitOrder order{
      action,
      image::JobRecord{job_.name, job_.command, job_.environment, job_.cwd, session_.world_size(),
                       action.generation, timing_.taken_at_ns, kVersion},
      ordered_, image::Writer{office_.number, office_.term}};
  // In the storage's thread: nothing of *this but what never changes.
  const Permission permission{[this] { return still_in_office(directory_, office_); },
                              [this, given_up]() -> Status {
                                if (!*given_up) return {};
                                return fail("commit in", directory_.path(), "its bound has passed",
                                            ETIMEDOUT);
                              }};
  storage_.run([this, order,
                permission] { return make_visible(files_, directory_.path(), order, permission); },
               [this, given_up, number = action.generation](const Result<std::string>& path) {
                 guarded(log_, "commit", [&] { committed(number, *given_up, path); });
               });
}

void Server::committed(std::uint64_t generation, bool given_up, const Result<std::string>& path) {
  if (given_up) {
    // The bound had passed, and everybody was told that there is none. Both are
    // good: a file that became visible is whole.
    if (path) log_.warning("committed_late", {{"generation", generation}});
    return;
  }
  if (path) committed_path_ = *path;
  const bool superseded = !path && path.error().code == kSuperseded;
  if (superseded) return leave_office(path.error().message());
  carry_out(checkpoint_.step(
      CommitEnded{path.has_value(), path ? std::string() : path.error().message()}));
}

}  // namespace ckpt::coordinator
