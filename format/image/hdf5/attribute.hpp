// Scalar attributes of groups and datasets.
//
// Types: std::uint32_t, std::uint64_t, std::int32_t, std::int64_t, bool (stored
//   as u8), std::string (fixed length).
// Threads: under Session. Errors: name the object's path and the attribute;
//   another type or shape than expected is an error.
#pragma once

#include <string>

#include "format/image/hdf5/handle.hpp"

namespace ckpt::image::hdf5 {

template <typename T>
Status write_attribute(hid_t object, const char* name, const T& value);
// Writes over an attribute of the same type (and, for strings, the same length).
Status overwrite_attribute(hid_t object, const char* name, bool value);
template <typename T>
Result<T> read_attribute(hid_t object, const char* name);

// Visitors for a record's `attributes(visitor, record)`: the first error stays.
class AttributeWriter {
 public:
  explicit AttributeWriter(hid_t object) : object_(object) {}
  template <typename T>
  void operator()(const char* name, const T& member) {
    if (status_) status_ = write_attribute<T>(object_, name, member);
  }
  Status status() const { return status_; }

 private:
  hid_t object_;
  Status status_;
};

class AttributeReader {
 public:
  explicit AttributeReader(hid_t object) : object_(object) {}
  template <typename T>
  void operator()(const char* name, T& member) {
    if (!status_) return;
    auto value = read_attribute<T>(object_, name);
    if (value) {
      member = std::move(*value);
    } else {
      status_ = Failure(std::move(value).error());
    }
  }
  Status status() const { return status_; }

 private:
  hid_t object_;
  Status status_;
};

}  // namespace ckpt::image::hdf5
