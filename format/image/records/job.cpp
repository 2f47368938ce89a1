#include "format/image/records/job.hpp"

#include "format/image/hdf5/attribute.hpp"
#include "format/image/hdf5/dataset.hpp"
#include "format/image/schema.hpp"
#include "format/posix/try.hpp"

namespace ckpt::image::records {
namespace {

template <typename Visitor, typename Job>
void attributes(Visitor& visit, Job& job) {
  namespace name = schema::attribute::job;
  visit(name::name, job.job);
  visit(name::cwd, job.cwd);
  visit(name::world_size, job.world_size);
  visit(name::generation, job.generation);
  visit(name::taken_at_ns, job.taken_at_ns);
  visit(name::program_version, job.program_version);
}

}  // namespace

Status write_job(hid_t file, const JobRecord& job) {
  const auto group = CKPT_TRY(hdf5::create_group(file, schema::kJobGroup));
  hdf5::AttributeWriter writer(group.get());
  attributes(writer, job);
  CKPT_TRY(writer.status());
  CKPT_TRY(hdf5::write_strings(group.get(), schema::dataset::command, job.command));
  return hdf5::write_strings(group.get(), schema::dataset::environment, job.environment);
}

Result<JobRecord> read_job(hid_t file) {
  const auto group = CKPT_TRY(hdf5::open_group(file, schema::kJobGroup));
  JobRecord job;
  hdf5::AttributeReader reader(group.get());
  attributes(reader, job);
  CKPT_TRY(reader.status());
  job.command = CKPT_TRY(hdf5::read_strings(group.get(), schema::dataset::command));
  job.environment = CKPT_TRY(hdf5::read_strings(group.get(), schema::dataset::environment));
  return job;
}

}  // namespace ckpt::image::records
