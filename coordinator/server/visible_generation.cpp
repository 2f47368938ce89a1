#include "coordinator/server/visible_generation.hpp"

#include "format/posix/try.hpp"

namespace ckpt::coordinator {
namespace {

struct Target {
  FileSystem& files;
  std::string path;  // the generation's
  std::function<Status()> still_ours;
};

Result<std::string> link_nodes(const Target& target, const CommitOrder& order,
                               const Permission& permission, const LinkNodes& link) {
  std::vector<image::FinishedFile> finished;
  std::vector<image::NodeFile> nodes;
  for (const Part& part : order.commit.parts) {
    finished.push_back({part.path, image::final_path_of(part.path)});
    nodes.push_back({finished.back().final_path, part.ranks});
  }
  const std::string partial = image::partial_path(target.path, order.writer);
  // A file that is in the way is not ours to remove: only what was made visible is.
  std::vector<std::string> named;
  Status step = image::commit_node_files(target.files, finished, target.still_ours, named);
  if (step) step = link(target.files, partial, order.record, nodes);
  if (step) step = image::commit_generation(target.files, partial, target.path, target.still_ours);
  if (step) return target.path;
  // A successor has swept these, and may have files of its own under these names.
  // Where the last step failed behind its rename the generation can be seen, and
  // links to the nodes' files.
  if (permission.in_office() && !target.files.stat(target.path)) {
    for (const std::string& name : named) static_cast<void>(target.files.unlink(name));
    static_cast<void>(target.files.unlink(partial));
  }
  return tl::unexpected(step.error());
}

}  // namespace

// `still_ours` is asked right before each rename. Between its answer and the
// rename a window remains, in which another coordinator may take over. It raises
// the term first and then sweeps the partial files of older ones. So either the
// rename comes before that sweep, and the generation is one that was there when
// the other looked for the newest; or the file is gone and the rename fails. A
// storage that shows the raised term late can let a generation of the older
// coordinator appear later: it is whole, of this job, and under a number that
// nobody else has, since a name that exists is never replaced. What was renamed of
// the nodes' files before that sweep is then no generation's, and swept with the rest.
Result<std::string> make_visible(FileSystem& files, const std::string& job_directory,
                                 const CommitOrder& order, const Permission& permission,
                                 const LinkNodes& link) {
  const std::string path =
      job_directory + "/" + image::generation_file_name(order.commit.generation);
  const Target target{files, path, [&]() -> Status {
                        CKPT_TRY(permission.in_time());
                        return permission.in_office();
                      }};
  for (const Part& part : order.commit.parts) {
    const auto told = order.ordered.find(part.agent);
    if (told == order.ordered.end() || told->second != part.path) {
      return fail("commit", path, "agent on " + part.node + " wrote " + part.path);
    }
  }
  if (order.commit.parts.size() > 1) return link_nodes(target, order, permission, link);
  CKPT_TRY(image::commit_generation(files, order.commit.parts[0].path, path, target.still_ours));
  return path;
}

}  // namespace ckpt::coordinator
