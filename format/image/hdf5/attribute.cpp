#include "format/image/hdf5/attribute.hpp"

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "format/image/hdf5/dataset.hpp"
#include "format/image/hdf5/types.hpp"
#include "format/posix/try.hpp"

namespace ckpt::image::hdf5 {
namespace {

std::string attribute_path(hid_t object, const char* name) { return path_of(object) + "@" + name; }

template <typename T>
hid_t number_type() {
  if constexpr (std::is_same_v<T, bool>)
    return H5T_STD_U8LE;
  else if constexpr (std::is_same_v<T, std::uint32_t>)
    return H5T_STD_U32LE;
  else if constexpr (std::is_same_v<T, std::uint64_t>)
    return H5T_STD_U64LE;
  else if constexpr (std::is_same_v<T, std::int32_t>)
    return H5T_STD_I32LE;
  else
    return H5T_STD_I64LE;
}

Status write_scalar(hid_t object, const char* name, hid_t type, const void* value) {
  const std::string subject = attribute_path(object, name);
  const auto space = CKPT_TRY(own(H5Screate(H5S_SCALAR), "H5Screate", subject));
  const auto attribute =
      CKPT_TRY(own(H5Acreate2(object, name, type, space.get(), H5P_DEFAULT, H5P_DEFAULT),
                   "create attribute", subject));
  return check(H5Awrite(attribute.get(), type, value), "write attribute", subject);
}

struct OpenAttribute {
  Handle attribute, type;
};

Result<OpenAttribute> open_scalar(hid_t object, const char* name, const std::string& subject) {
  OpenAttribute open;
  open.attribute = CKPT_TRY(own(H5Aopen(object, name, H5P_DEFAULT), "open attribute", subject));
  open.type = CKPT_TRY(own(H5Aget_type(open.attribute.get()), "H5Aget_type", subject));
  const auto space = CKPT_TRY(own(H5Aget_space(open.attribute.get()), "H5Aget_space", subject));
  if (H5Sget_simple_extent_npoints(space.get()) != 1) {
    return fail("read attribute", subject, "it is not a single value");
  }
  return open;
}

}  // namespace

template <typename T>
Status write_attribute(hid_t object, const char* name, const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    const std::string subject = attribute_path(object, name);
    if (value.find('\0') != std::string::npos) {
      return fail("write attribute", subject, "a NUL inside of a string");
    }
    const auto type = CKPT_TRY(string_type(value.size() + 1, subject));
    return write_scalar(object, name, type.get(), value.c_str());
  } else {
    return write_scalar(object, name, number_type<T>(), &value);
  }
}

Status overwrite_attribute(hid_t object, const char* name, bool value) {
  const std::string subject = attribute_path(object, name);
  const auto attribute =
      CKPT_TRY(own(H5Aopen(object, name, H5P_DEFAULT), "open attribute", subject));
  return check(H5Awrite(attribute.get(), H5T_STD_U8LE, &value), "write attribute", subject);
}

template <typename T>
Result<T> read_attribute(hid_t object, const char* name) {
  const std::string subject = attribute_path(object, name);
  const auto open = CKPT_TRY(open_scalar(object, name, subject));
  if constexpr (std::is_same_v<T, std::string>) {
    if (H5Tget_class(open.type.get()) != H5T_STRING || H5Tis_variable_str(open.type.get()) != 0) {
      return fail("read attribute", subject, "it is not a string of fixed length");
    }
    std::string text(H5Tget_size(open.type.get()), '\0');
    CKPT_TRY(check(H5Aread(open.attribute.get(), open.type.get(), text.data()), "read attribute",
                   subject));
    text.resize(strnlen(text.data(), text.size()));
    return text;
  } else {
    if (H5Tequal(open.type.get(), number_type<T>()) <= 0) {
      return fail("read attribute", subject, "it has another type");
    }
    std::conditional_t<std::is_same_v<T, bool>, std::uint8_t, T> value{};
    CKPT_TRY(
        check(H5Aread(open.attribute.get(), open.type.get(), &value), "read attribute", subject));
    return static_cast<T>(value);
  }
}

template Status write_attribute(hid_t, const char*, const bool&);
template Status write_attribute(hid_t, const char*, const std::uint32_t&);
template Status write_attribute(hid_t, const char*, const std::uint64_t&);
template Status write_attribute(hid_t, const char*, const std::int32_t&);
template Status write_attribute(hid_t, const char*, const std::int64_t&);
template Status write_attribute(hid_t, const char*, const std::string&);
template Result<bool> read_attribute(hid_t, const char*);
template Result<std::uint32_t> read_attribute(hid_t, const char*);
template Result<std::uint64_t> read_attribute(hid_t, const char*);
template Result<std::int32_t> read_attribute(hid_t, const char*);
template Result<std::int64_t> read_attribute(hid_t, const char*);
template Result<std::string> read_attribute(hid_t, const char*);

}  // namespace ckpt::image::hdf5
