// Raising the incarnation of a job, and a coordinator's term (format/incarnation).
//
// Purpose: fencing: `run` and each restart raise the incarnation before anything
//   is started; each coordinator raises the term before it sweeps or writes.
//   Durable when they return.
// Ownership: values. Threads: no state; processes take turns by a lock file.
// Errors: a file that is there and makes no sense is an Error, never begun anew:
//   what is of the past could then take itself for the present.
// Source: ARCHITECTURE.md "Fencing".
#pragma once

#include <cerrno>

#include "coordinator/job_directory/job_directory.hpp"
#include "format/incarnation/incarnation.hpp"
#include "format/posix/file_system.hpp"

namespace ckpt::coordinator {

// Code of the errors by which another start or coordinator has taken one's place.
constexpr int kSuperseded = EOWNERDEAD;

// With `mine`: only while that is still the present start of the job.
Result<Incarnation> raise_incarnation(FileSystem& files, const JobDirectory& directory,
                                      const Incarnation* mine = nullptr);
Result<Incarnation> raise_term(FileSystem& files, const JobDirectory& directory,
                               const Incarnation* mine = nullptr);

// Error when another start or coordinator has taken the place of `mine`
// (kSuperseded), or when that cannot be known.
Status still_in_office(const JobDirectory& directory, const Incarnation& mine);

}  // namespace ckpt::coordinator
