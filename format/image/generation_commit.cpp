// Finished files get their names.
#include <chrono>

#include "format/image/generation_writer.hpp"
#include "format/posix/patient_file_system.hpp"
#include "format/posix/try.hpp"

namespace ckpt::image {
namespace {

// Durable with the next fsync of its directory.
Status give_name(FileSystem& files, PatientFileSystem& patient, const std::string& partial_path,
                 const std::string& final_path, const std::function<Status()>& still_ours) {
  // rename(2) would replace a generation that another coordinator committed
  // under this number.
  if (files.stat(final_path)) return fail_errno("commit generation", final_path, EEXIST);
  if (const auto there = patient.open(partial_path, O_RDONLY); !there) {
    return with_context(there.error(), "commit generation", final_path);
  }
  if (still_ours) CKPT_TRY(still_ours());
  return files.rename(partial_path, final_path);
}

}  // namespace

Status commit_generation(FileSystem& files, const std::string& partial_path,
                         const std::string& final_path, const std::function<Status()>& still_ours) {
  // Another node may have made it just now: its name can be seen late here.
  constexpr std::chrono::seconds kSeenWithin{10};
  PatientFileSystem patient(files, kSeenWithin);
  CKPT_TRY(give_name(files, patient, partial_path, final_path, still_ours));
  return files.fsync_directory(directory_of(final_path));
}

Status commit_node_files(FileSystem& files, const std::vector<FinishedFile>& finished,
                         const std::function<Status()>& still_ours,
                         std::vector<std::string>& named) {
  constexpr std::chrono::seconds kAllSeenWithin{30};
  PatientFileSystem patient(files, kAllSeenWithin);
  for (const FinishedFile& file : finished) {
    CKPT_TRY(give_name(files, patient, file.partial_path, file.final_path, still_ours));
    named.push_back(file.final_path);
  }
  // Names in one directory, as those of a generation are, are one fsync.
  const std::string* synced = nullptr;
  for (const FinishedFile& file : finished) {
    if (synced != nullptr && directory_of(*synced) == directory_of(file.final_path)) continue;
    CKPT_TRY(files.fsync_directory(directory_of(file.final_path)));
    synced = &file.final_path;
  }
  return {};
}

}  // namespace ckpt::image
