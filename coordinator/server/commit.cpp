// How a generation becomes visible.
#include <chrono>
#include <utility>

#include "coordinator/server/guarded.hpp"
#include "coordinator/server/server.hpp"
#include "coordinator/version.hpp"
#include "format/image/generation_writer.hpp"

namespace ckpt::coordinator {

void Server::perform(const Commit& action) {
  commit_given_up_ = std::make_shared<std::atomic<bool>>(false);
  CommitOrder order{
      action,
      image::JobRecord{job_.name, job_.command, job_.environment, job_.cwd, session_.world_size(),
                       action.generation, timing_.taken_at_ns, kVersion},
      ordered_, commit_given_up_};
  storage_.run([this, order] { return make_visible(order); },
               [this, order](const Result<std::string>& path) {
                 guarded(log_, "commit", [&] { committed(order, path); });
               });
}

void Server::committed(const CommitOrder& order, const Result<std::string>& path) {
  if (*order.given_up) {
    // The bound had passed, and everybody was told that there is none. Both are
    // good: a file that became visible is whole.
    if (path) log_.warning("committed_late", {{"generation", order.commit.generation}});
    return;
  }
  if (path) committed_path_ = *path;
  const bool superseded = !path && path.error().code == ESTALE;
  if (superseded) return leave_office(path.error().message());
  carry_out(checkpoint_.step(
      CommitEnded{path.has_value(), path ? std::string() : path.error().message()}));
}

// In the storage's thread: nothing of *this but what never changes.
//
// `still_ours` is asked right before each rename. Between its answer and the
// rename a window remains, in which another coordinator may take over. It raises
// the term first and then sweeps the partial files of older ones. So either the
// rename comes before that sweep, and the generation is one that was there when
// the other looked for the newest; or the file is gone and the rename fails. A
// storage that shows the raised term late can let a generation of the older
// coordinator appear later: it is whole, of this job, and under a number that
// nobody else has, since a name that exists is never replaced.
//
// The nodes' files of a big job are thousands, and to ask costs as much as to rename:
// for them an answer holds for a moment, which makes that window no other. What was
// renamed before the other's sweep is then no generation's, and swept with the rest.
Result<std::string> Server::make_visible(const CommitOrder& order) {
  const std::string path = generations_.path_of(order.commit.generation);
  for (const Part& part : order.commit.parts) {
    const auto told = order.ordered.find(part.agent);
    if (told == order.ordered.end() || told->second != part.path) {
      return fail("commit", path, "agent on " + part.node + " wrote " + part.path);
    }
  }
  const auto still_ours = [&]() -> Status {
    if (*order.given_up) return fail("commit", path, "its bound has passed", ETIMEDOUT);
    return still_in_office(directory_, office_);
  };
  if (order.commit.parts.size() > 1) return link_nodes(order, path, still_ours);
  const std::string& partial = order.commit.parts[0].path;
  if (Status done = image::commit_generation(files_, partial, path, still_ours); !done) {
    return tl::unexpected(done.error());
  }
  return path;
}

Result<std::string> Server::link_nodes(const CommitOrder& order, const std::string& path,
                                       const std::function<Status()>& still_ours) {
  static constexpr std::chrono::milliseconds kAnswerHolds{100};
  const auto asked_lately = [&, asked = Clock::time_point()]() mutable -> Status {
    const auto now = Clock::now();
    if (now - asked < kAnswerHolds && !*order.given_up) return {};
    asked = now;
    return still_ours();
  };
  std::vector<image::FinishedFile> finished;
  std::vector<image::NodeFile> nodes;
  for (const Part& part : order.commit.parts) {
    finished.push_back({part.path, image::final_path_of(part.path)});
    nodes.push_back({finished.back().final_path, part.ranks});
  }
  const std::string partial =
      image::partial_path(path, image::Writer{office_.number, office_.term});
  // A file that is in the way is not ours to remove: only what was made visible is.
  std::vector<std::string> named;
  Status step = image::commit_node_files(files_, finished, asked_lately, named);
  if (step) step = image::link_generation(files_, partial, order.record, nodes);
  if (step) step = image::commit_generation(files_, partial, path, still_ours);
  if (step) return path;
  // Where the last step failed behind its rename the generation can be seen,
  // and links to the nodes' files. Another coordinator has swept, and may have
  // files under the same names by now.
  if (still_in_office(directory_, office_) && !files_.stat(path)) {
    for (const std::string& name : named) static_cast<void>(files_.unlink(name));
    static_cast<void>(files_.unlink(partial));
  }
  return tl::unexpected(step.error());
}

}  // namespace ckpt::coordinator
