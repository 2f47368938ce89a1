#include "format/image/records/limits.hpp"

#include "format/image/hdf5/table.hpp"
#include "format/image/schema.hpp"

namespace ckpt::image::records {
namespace {

constexpr auto columns = [](auto& visit, auto& row) {
  visit(schema::column::limits::soft, row.soft);
  visit(schema::column::limits::hard, row.hard);
};

}  // namespace

Status write_limits(hid_t group, const std::vector<ResourceLimit>& limits) {
  return hdf5::write_table(group, schema::dataset::limits, limits, columns);
}

Result<std::vector<ResourceLimit>> read_limits(hid_t group) {
  return hdf5::read_table<ResourceLimit>(group, schema::dataset::limits, columns);
}

}  // namespace ckpt::image::records
