#include "format/image/records/identity.hpp"

#include "format/image/hdf5/attribute.hpp"
#include "format/image/hdf5/dataset.hpp"
#include "format/image/hdf5/table.hpp"
#include "format/image/schema.hpp"

namespace ckpt::image::records {
namespace {

template <typename Visitor, typename Image>
void attributes(Visitor& visit, Image& image) {
  namespace name = schema::attribute::rank;
  visit(name::rank, image.rank);
  visit(name::host, image.host);
  visit(name::restart_block, image.restart_block);
  visit(name::thread_multiple, image.thread_multiple);
  visit(name::logged_messages, image.logged_messages);
  visit(name::logged_bytes, image.logged_bytes);
  visit(name::pid, image.process.pid);
  visit(name::executable, image.process.executable);
  visit(name::cwd, image.process.cwd);
  visit(name::umask, image.process.umask);
}

constexpr auto layout_columns = [](auto& visit, auto& layout) {
  namespace name = schema::column::layout;
  visit(name::start_code, layout.start_code);
  visit(name::end_code, layout.end_code);
  visit(name::start_data, layout.start_data);
  visit(name::end_data, layout.end_data);
  visit(name::start_brk, layout.start_brk);
  visit(name::brk, layout.brk);
  visit(name::start_stack, layout.start_stack);
  visit(name::arg_start, layout.arg_start);
  visit(name::arg_end, layout.arg_end);
  visit(name::env_start, layout.env_start);
  visit(name::env_end, layout.env_end);
};

}  // namespace

Status write_identity(hid_t group, const RankImage& image) {
  hdf5::AttributeWriter writer(group);
  attributes(writer, image);
  CKPT_TRY(writer.status());
  const MemoryLayout& layout = image.process.layout;
  CKPT_TRY(hdf5::write_table(group, schema::dataset::layout, std::vector<MemoryLayout>{layout},
                             layout_columns));
  return hdf5::write_numbers(group, schema::dataset::auxv, layout.auxv);
}

Status read_identity(hid_t group, RankImage& image) {
  hdf5::AttributeReader reader(group);
  attributes(reader, image);
  CKPT_TRY(reader.status());
  auto rows =
      CKPT_TRY(hdf5::read_table<MemoryLayout>(group, schema::dataset::layout, layout_columns));
  if (rows.size() != 1) {
    return fail("read", hdf5::path_of(group, schema::dataset::layout), "it does not have one row");
  }
  image.process.layout = std::move(rows[0]);
  image.process.layout.auxv = CKPT_TRY(hdf5::read_numbers(group, schema::dataset::auxv));
  return {};
}

}  // namespace ckpt::image::records
