#include "mpi_shim/completion_watch.hpp"

#include <array>

#include "lower_calls.hpp"
#include "mpi_shim/private_comms.hpp"

namespace ckpt::shim {

CompletionWatch g_completion;

namespace {

// The completion word is in the part common to all requests, which is longer.
constexpr std::size_t kWords = 16;
// Of two bytes, so that no count of bytes becomes 1.
constexpr int kBytes = 2;

using Words = std::array<std::uint64_t, kWords>;

Words words_of(MPI_Request request) {
  Words words;
  const auto* from = reinterpret_cast<const volatile std::uint64_t*>(request);
  for (std::size_t i = 0; i < kWords; ++i) words[i] = from[i];
  return words;
}

// Words that became 1 when the request ended.
Words risen(const Words& before, const Words& after) {
  Words marks = {};
  for (std::size_t i = 0; i < kWords; ++i) marks[i] = before[i] == 0 && after[i] == 1;
  return marks;
}

Words watch(bool by_message, MPI_Datatype byte) {
  unsigned char bytes[kBytes] = {};
  MPI_Request request;
  if (lower::Irecv(bytes, kBytes, byte, 0, kNeverSentTag + 1, g_private.self, &request)) return {};
  const Words before = words_of(request);
  if (by_message)
    lower::Send(bytes, kBytes, byte, 0, kNeverSentTag + 1, g_private.self);
  else
    lower::Cancel(&request);
  int ended = 0;
  Words after = before;
  // MPI_Request_get_status drives the lower half and leaves the request alone.
  while (!ended && lower::Request_get_status(request, &ended, MPI_STATUS_IGNORE) == MPI_SUCCESS) {
  }
  after = words_of(request);
  lower::Wait(&request, MPI_STATUS_IGNORE);
  return risen(before, after);
}

}  // namespace

void find_completion_word() {
  g_completion = {};
  if (!g_lower->progress) return;
  const auto byte = static_cast<MPI_Datatype>(lower_predefined(CKPT_HANDLE_MPI_BYTE));
  const Words received = watch(true, byte);
  const Words cancelled = watch(false, byte);
  std::size_t found = 0;
  for (std::size_t i = 0; i < kWords; ++i) {
    if (!received[i] || !cancelled[i]) continue;
    g_completion.word = i;
    ++found;
  }
  if (found == 1) g_completion.progress = g_lower->progress;
}

}  // namespace ckpt::shim
