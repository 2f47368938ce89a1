// CKPT_TRY: the value of a Result, or return its error from this function.
//
//   auto file = CKPT_TRY(files.open(path, O_RDONLY));
//   CKPT_TRY(file->fsync());
//
// Uses GCC's statement expressions (clang has them too); the enclosing function
// returns a Result or Status. The error is passed on as it is; code that has
// context to add uses with_context instead.
#pragma once

#include <utility>

#include "format/posix/result.hpp"

namespace ckpt {

template <typename T>
T take(Result<T>&& result) {
  return std::move(*result);
}
inline void take(Status&&) {}

}  // namespace ckpt

#define CKPT_TRY(...)                                                                 \
  ({                                                                                  \
    auto ckpt_try_result = (__VA_ARGS__);                                             \
    if (!ckpt_try_result) return ::ckpt::Failure(std::move(ckpt_try_result).error()); \
    ::ckpt::take(std::move(ckpt_try_result));                                         \
  })
