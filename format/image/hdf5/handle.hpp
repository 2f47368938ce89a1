// Handle: an HDF5 identifier that is released when its owner goes, and the
// rules for calling HDF5 at all.
//
// Threads: HDF5 is entered with a Session held, and only so: one at a time in
//   the process. A Session may be nested in its own thread.
// Errors: check() turns a negative return into an Error whose cause is the
//   innermost message of HDF5's error stack, or the file driver's own error
//   (with its errno) where that was the reason. Nothing is printed.
// Source: HDF5 1.10 reference, H5E and H5I.
#pragma once

#include <hdf5.h>

#include <mutex>
#include <string>
#include <utility>

#include "format/posix/result.hpp"

namespace ckpt::image::hdf5 {

class Session {
 public:
  Session();

 private:
  std::unique_lock<std::recursive_mutex> lock_;
};

class Handle {
 public:
  Handle() = default;
  explicit Handle(hid_t id) : id_(id) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      reset();
      id_ = std::exchange(other.id_, -1);
    }
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { reset(); }

  hid_t get() const { return id_; }
  bool valid() const { return id_ >= 0; }
  hid_t release() { return std::exchange(id_, -1); }
  void reset() {
    if (id_ >= 0) H5Idec_ref(std::exchange(id_, -1));
  }

 private:
  hid_t id_ = -1;
};

// The Error for the HDF5 call that has just failed in this thread.
Failure failure(const char* operation, std::string subject);

// For calls that return a new identifier.
inline Result<Handle> own(hid_t id, const char* operation, const std::string& subject) {
  if (id < 0) return failure(operation, subject);
  return Handle(id);
}

// For calls that return a status, a count or a tri-state.
template <typename T>
Status check(T returned, const char* operation, const std::string& subject) {
  if (returned < 0) return failure(operation, subject);
  return {};
}

}  // namespace ckpt::image::hdf5
