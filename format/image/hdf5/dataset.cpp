#include "format/image/hdf5/dataset.hpp"

#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "format/image/hdf5/attribute.hpp"
#include "format/image/hdf5/types.hpp"
#include "format/image/schema.hpp"
#include "format/posix/try.hpp"

namespace ckpt::image::hdf5 {
namespace {

// HDF5 keeps at most 64 KiB in a header message; headers of half of that keep
// room for the type and the attribute.
constexpr std::size_t kLargestInHeader = 32 << 10;

// Padding a list of strings to the longest may cost this much more than the
// text; beyond that the list is stored unpadded.
constexpr std::size_t kLargestPadding = 16 << 20;

Status keep_attributes_in_header(hid_t creation_list, const std::string& subject) {
  return check(H5Pset_attr_phase_change(creation_list, 64, 32), "H5Pset_attr_phase_change",
               subject);
}

Result<Handle> metadata_creation_list(std::size_t size, const std::string& subject) {
  auto list = CKPT_TRY(own(H5Pcreate(H5P_DATASET_CREATE), "H5Pcreate", subject));
  CKPT_TRY(keep_attributes_in_header(list.get(), subject));
  const bool in_header = size > 0 && size <= kLargestInHeader;
  CKPT_TRY(check(H5Pset_layout(list.get(), in_header ? H5D_COMPACT : H5D_CONTIGUOUS),
                 "H5Pset_layout", subject));
  CKPT_TRY(check(H5Pset_fill_time(list.get(), H5D_FILL_TIME_NEVER), "H5Pset_fill_time", subject));
  return list;
}

Status write_nul_terminated(hid_t group, const char* name,
                            const std::vector<std::string>& strings) {
  std::string text;
  for (const auto& string : strings) text.append(string.c_str(), string.size() + 1);
  return write_dataset(group, name, H5T_STD_U8LE, {text.size()}, text.data(), text.size());
}

Status write_padded(hid_t group, const char* name, const std::vector<std::string>& strings,
                    std::size_t width) {
  std::vector<char> text(width * strings.size());
  for (std::size_t i = 0; i < strings.size(); ++i) {
    std::memcpy(text.data() + i * width, strings[i].data(), strings[i].size());
  }
  const auto type = CKPT_TRY(string_type(width, path_of(group, name)));
  return write_dataset(group, name, type.get(), {strings.size()}, text.data(), text.size());
}

}  // namespace

std::string path_of(hid_t object) {
  char name[512];
  const ssize_t length = H5Iget_name(object, name, sizeof name);
  return length > 0 ? std::string(name) : std::string("?");
}

std::string path_of(hid_t group, const char* name) {
  std::string path = path_of(group);
  if (path != "/") path += '/';
  return path + name;
}

Result<Handle> copy_type(hid_t predefined, const std::string& subject) {
  return own(H5Tcopy(predefined), "H5Tcopy", subject);
}

Result<Handle> string_type(std::size_t size, const std::string& subject) {
  auto type = CKPT_TRY(own(H5Tcopy(H5T_C_S1), "H5Tcopy", subject));
  CKPT_TRY(check(H5Tset_size(type.get(), size), "H5Tset_size", subject));
  CKPT_TRY(check(H5Tset_strpad(type.get(), H5T_STR_NULLTERM), "H5Tset_strpad", subject));
  CKPT_TRY(check(H5Tset_cset(type.get(), H5T_CSET_UTF8), "H5Tset_cset", subject));
  return type;
}

Result<Handle> create_group(hid_t parent, const char* name) {
  const std::string subject = path_of(parent, name);
  const auto list = CKPT_TRY(own(H5Pcreate(H5P_GROUP_CREATE), "H5Pcreate", subject));
  CKPT_TRY(keep_attributes_in_header(list.get(), subject));
  CKPT_TRY(
      check(H5Pset_link_phase_change(list.get(), 64, 32), "H5Pset_link_phase_change", subject));
  return own(H5Gcreate2(parent, name, H5P_DEFAULT, list.get(), H5P_DEFAULT), "create group",
             subject);
}

Result<Handle> open_group(hid_t parent, const char* name) {
  return own(H5Gopen2(parent, name, H5P_DEFAULT), "open group", path_of(parent, name));
}

Status write_dataset(hid_t group, const char* name, hid_t type, std::vector<hsize_t> extent,
                     const void* bytes, std::size_t size) {
  const std::string subject = path_of(group, name);
  const auto space =
      CKPT_TRY(own(H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr),
                   "H5Screate", subject));
  const auto list = CKPT_TRY(metadata_creation_list(size, subject));
  const auto dataset =
      CKPT_TRY(own(H5Dcreate2(group, name, type, space.get(), H5P_DEFAULT, list.get(), H5P_DEFAULT),
                   "create dataset", subject));
  if (size > 0) {
    CKPT_TRY(check(H5Dwrite(dataset.get(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes),
                   "write dataset", subject));
  }
  return write_attribute(dataset.get(), schema::attribute::any::xxh3_64,
                         static_cast<std::uint64_t>(XXH3_64bits(bytes, size)));
}

Result<DatasetBytes> read_dataset(hid_t group, const char* name, int dimensions) {
  const std::string subject = path_of(group, name);
  const auto dataset = CKPT_TRY(own(H5Dopen2(group, name, H5P_DEFAULT), "open dataset", subject));
  const auto space = CKPT_TRY(own(H5Dget_space(dataset.get()), "H5Dget_space", subject));
  DatasetBytes read;
  read.type = CKPT_TRY(own(H5Dget_type(dataset.get()), "H5Dget_type", subject));
  if (H5Sget_simple_extent_ndims(space.get()) != dimensions) {
    return fail("read", subject, "it does not have " + std::to_string(dimensions) + " dimensions");
  }
  read.extent.resize(static_cast<std::size_t>(dimensions));
  CKPT_TRY(check(H5Sget_simple_extent_dims(space.get(), read.extent.data(), nullptr),
                 "H5Sget_simple_extent_dims", subject));
  hsize_t size = H5Tget_size(read.type.get());
  bool fits = size > 0;
  for (const hsize_t n : read.extent) fits = !__builtin_mul_overflow(size, n, &size) && fits;
  // What is stored bounds what is allocated here: a foreign file cannot ask for more.
  if (!fits || H5Dget_storage_size(dataset.get()) != size) {
    return fail("read", subject, "its stored size does not fit its dimensions");
  }
  if (H5Tdetect_class(read.type.get(), H5T_VLEN) > 0 || H5Tis_variable_str(read.type.get()) > 0 ||
      H5Tdetect_class(read.type.get(), H5T_REFERENCE) > 0) {
    return fail("read", subject, "it has a type that this schema does not use");
  }
  read.bytes.resize(size);
  if (size > 0) {
    CKPT_TRY(check(
        H5Dread(dataset.get(), read.type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, read.bytes.data()),
        "read dataset", subject));
  }
  const auto stored =
      CKPT_TRY(read_attribute<std::uint64_t>(dataset.get(), schema::attribute::any::xxh3_64));
  if (stored != XXH3_64bits(read.bytes.data(), read.bytes.size())) {
    return fail("read", subject, "checksum mismatch");
  }
  return read;
}

Status write_numbers(hid_t group, const char* name, const std::vector<std::uint64_t>& numbers) {
  return write_dataset(group, name, H5T_STD_U64LE, {numbers.size()}, numbers.data(),
                       numbers.size() * sizeof(std::uint64_t));
}

Result<std::vector<std::uint64_t>> read_numbers(hid_t group, const char* name) {
  const auto read = CKPT_TRY(read_dataset(group, name, 1));
  if (H5Tequal(read.type.get(), H5T_STD_U64LE) <= 0) {
    return fail("read", path_of(group, name), "it is not of 64-bit numbers");
  }
  std::vector<std::uint64_t> numbers(read.extent[0]);
  if (!numbers.empty()) std::memcpy(numbers.data(), read.bytes.data(), read.bytes.size());
  return numbers;
}

Status write_strings(hid_t group, const char* name, const std::vector<std::string>& strings) {
  std::size_t width = 1, total = 0;
  for (const auto& string : strings) {
    if (string.find('\0') != std::string::npos) {
      return fail("write", path_of(group, name), "a NUL inside of a string");
    }
    width = std::max(width, string.size() + 1);
    total += string.size() + 1;
  }
  const bool padded = strings.empty() || width <= (total + kLargestPadding) / strings.size();
  CKPT_TRY(padded ? write_padded(group, name, strings, width)
                  : write_nul_terminated(group, name, strings));
  const auto dataset =
      CKPT_TRY(own(H5Dopen2(group, name, H5P_DEFAULT), "open dataset", path_of(group, name)));
  return write_attribute(
      dataset.get(), schema::attribute::strings::encoding,
      std::string(padded ? schema::kEncodingText : schema::kEncodingNulTerminated));
}

Result<std::vector<std::string>> read_strings(hid_t group, const char* name) {
  const std::string subject = path_of(group, name);
  const auto read = CKPT_TRY(read_dataset(group, name, 1));
  const auto dataset = CKPT_TRY(own(H5Dopen2(group, name, H5P_DEFAULT), "open dataset", subject));
  const auto encoding =
      CKPT_TRY(read_attribute<std::string>(dataset.get(), schema::attribute::strings::encoding));
  const auto* text = reinterpret_cast<const char*>(read.bytes.data());
  std::vector<std::string> strings;
  if (encoding == schema::kEncodingText && H5Tget_class(read.type.get()) == H5T_STRING) {
    const std::size_t width = H5Tget_size(read.type.get());
    for (hsize_t i = 0; i < read.extent[0]; ++i) {
      strings.emplace_back(text + i * width, strnlen(text + i * width, width));
    }
    return strings;
  }
  if (encoding == schema::kEncodingNulTerminated && H5Tequal(read.type.get(), H5T_STD_U8LE) > 0 &&
      (read.bytes.empty() || read.bytes.back() == 0)) {
    for (std::size_t at = 0; at < read.bytes.size(); at += strings.back().size() + 1) {
      strings.emplace_back(text + at);
    }
    return strings;
  }
  return fail("read", subject, "it is not a list of strings this program knows");
}

}  // namespace ckpt::image::hdf5
