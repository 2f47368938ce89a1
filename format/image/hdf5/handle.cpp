#include "format/image/hdf5/handle.hpp"

#include "format/image/hdf5/file_driver.hpp"

namespace ckpt::image::hdf5 {
namespace {

std::recursive_mutex& session_mutex() {
  static std::recursive_mutex* const mutex = new std::recursive_mutex;  // HDF5 closes at exit
  return *mutex;
}

// The walk goes from the innermost error outwards: the first is the reason.
herr_t keep_innermost(unsigned n, const H5E_error2_t* error, void* out) {
  if (n == 0 && error->desc != nullptr) *static_cast<std::string*>(out) = error->desc;
  return 0;
}

}  // namespace

Session::Session() : lock_(session_mutex()) {
  // The error stack and its printer belong to the thread in a thread-safe HDF5.
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  (void)take_driver_error();
}

Failure failure(const char* operation, std::string subject) {
  if (auto error = take_driver_error()) {
    return Failure(Error{operation, std::move(subject), error->message(), error->code});
  }
  std::string cause;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, &cause);
  H5Eclear2(H5E_DEFAULT);
  if (cause.empty()) cause = "HDF5 gives no reason";
  return fail(operation, std::move(subject), "HDF5: " + cause);
}

}  // namespace ckpt::image::hdf5
