#include "format/image/records/descriptors.hpp"

#include "format/image/hdf5/table.hpp"
#include "format/image/schema.hpp"

namespace ckpt::image::records {
namespace {

constexpr hdf5::EnumName kKinds[] = {
    {"regular_file", static_cast<std::uint32_t>(DescriptorKind::regular_file)},
    {"directory", static_cast<std::uint32_t>(DescriptorKind::directory)},
    {"char_device", static_cast<std::uint32_t>(DescriptorKind::char_device)},
    {"standard", static_cast<std::uint32_t>(DescriptorKind::standard)},
    {"ignored", static_cast<std::uint32_t>(DescriptorKind::ignored)},
};

constexpr auto columns = [](auto& visit, auto& row) {
  namespace name = schema::column::descriptors;
  visit(name::fd, row.fd);
  visit.enumeration(name::kind, row.kind, kKinds);
  visit(name::path, row.path);
  visit(name::offset, row.offset);
  visit(name::flags, row.flags);
  visit(name::size, row.size);
  visit(name::same_as, row.same_as);
  visit(name::device, row.device);
  visit(name::inode, row.inode);
};

}  // namespace

Status write_descriptors(hid_t group, const std::vector<Descriptor>& descriptors) {
  return hdf5::write_table(group, schema::dataset::descriptors, descriptors, columns);
}

Result<std::vector<Descriptor>> read_descriptors(hid_t group) {
  return hdf5::read_table<Descriptor>(group, schema::dataset::descriptors, columns);
}

}  // namespace ckpt::image::records
