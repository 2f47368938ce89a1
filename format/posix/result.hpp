// Result<T>: a value, or an Error that names operation, subject and cause.
//
// Purpose: every call that can fail across the project returns a Result; an
//   Error prints as "ptrace PTRACE_GETREGSET tid 4211: No such process".
// Ownership: values. Threads: no shared state.
// Errors: context is added on the way up (with_context); whoever handles an
//   error logs it, once.
#pragma once

#include <cerrno>
#include <cstring>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace ckpt {

struct Error {
  std::string operation;  // what was tried: "open", "ptrace PTRACE_SEIZE"
  std::string subject;    // on what: a path, "tid 4211", "rank 3"
  std::string cause;      // why not: "No such file or directory"
  int code = 0;           // errno where there is one, else 0

  std::string message() const {
    std::string text = operation;
    if (!subject.empty()) text += (text.empty() ? "" : " ") + subject;
    if (!cause.empty()) text += (text.empty() ? "" : ": ") + cause;
    return text;
  }
};

template <typename T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;
using Failure = tl::unexpected<Error>;

inline Failure fail(std::string operation, std::string subject, std::string cause, int code = 0) {
  return Failure(Error{std::move(operation), std::move(subject), std::move(cause), code});
}

// The cause is the text of errno (or of `code`, where one is given).
inline Failure fail_errno(std::string operation, std::string subject, int code = errno) {
  return Failure(Error{std::move(operation), std::move(subject), std::strerror(code), code});
}

// Wraps an error: the outer operation and subject lead, the inner message is the cause.
inline Failure with_context(Error inner, std::string operation, std::string subject = {}) {
  const int code = inner.code;
  return Failure(Error{std::move(operation), std::move(subject), inner.message(), code});
}

}  // namespace ckpt
