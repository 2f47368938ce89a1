// A generation that all its agents have flushed gets its name, file by file.
//
// Purpose: the last step of a checkpoint, in the storage's own time: each node's
//   file by a rename, the links to them, and last the generation's own name.
// Ownership: values; the FileSystem is the caller's.
// Threads: no state; the server calls it in its storage thread.
// Errors: whatever fails, no generation can be seen, or a whole one.
//   kSuperseded: another coordinator has the job.
// Source: ARCHITECTURE.md "Several nodes"; tests/simulation has two coordinators
//   do this at once.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "coordinator/checkpoint_fsm/checkpoint_fsm.hpp"
#include "format/image/generation_directory.hpp"
#include "format/image/generation_writer.hpp"

namespace ckpt::coordinator {

struct CommitOrder {
  Commit commit;
  image::JobRecord record;
  std::map<std::uint32_t, std::string> ordered;  // agent -> partial file it was told to write
  image::Writer writer;
};

// Asked right before each rename. Error: not any more.
struct Permission {
  std::function<Status()> in_office;  // another coordinator has the job
  std::function<Status()> in_time;    // the commit's bound has passed
};

using LinkNodes =
    std::function<Status(FileSystem& files, const std::string& partial_path,
                         const image::JobRecord& job, const std::vector<image::NodeFile>& nodes)>;

// The path of the generation.
Result<std::string> make_visible(FileSystem& files, const std::string& job_directory,
                                 const CommitOrder& order, const Permission& permission,
                                 const LinkNodes& link = image::link_generation);

}  // namespace ckpt::coordinator
