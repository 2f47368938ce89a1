#include "mpi_shim/drain.hpp"

#include <algorithm>
#include <cstdlib>

#include "lower_calls.hpp"
#include "mpi_shim/farewells.hpp"
#include "mpi_shim/logged_messages.hpp"
#include "mpi_shim/lower_bytes.hpp"
#include "mpi_shim/markers.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/private_comms.hpp"
#include "mpi_shim/requests.hpp"

namespace ckpt::shim {

namespace {

constexpr int kRounds = 32;                // tags of one attempt
constexpr std::uint64_t kAttempts = 1000;  // MPI grants tags to 32767

bool ended(MPI_Request& request) {
  if (!request) return true;
  int flag = 0;
  const int error = lower::Test(&request, &flag, MPI_STATUS_IGNORE);
  if (!flag && error == MPI_SUCCESS) return false;
  request = nullptr;
  return true;
}

}  // namespace

void DrainBarrier::start(int rank, int size, std::uint64_t generation) {
  rank_ = rank;
  size_ = size;
  distance_ = 1;
  tag_ = static_cast<int>(generation % kAttempts) * kRounds;
  started_ = true;
  if (distance_ < size_) begin_round();
}

void DrainBarrier::begin_round() {
  const auto byte = static_cast<MPI_Datatype>(lower_predefined(CKPT_HANDLE_MPI_BYTE));
  const int from = (rank_ - distance_ % size_ + size_) % size_;
  const int to = (rank_ + distance_) % size_;
  lower::Irecv(nullptr, 0, byte, from, tag_, g_private.world, &receive_);
  lower::Isend(nullptr, 0, byte, to, tag_, g_private.world, &send_);
}

bool DrainBarrier::step() {
  while (distance_ < size_) {
    const bool sent = ended(send_);
    const bool received = ended(receive_);
    if (!sent || !received) return false;
    distance_ *= 2;
    ++tag_;
    if (distance_ < size_) begin_round();
  }
  return true;
}

void DrainBarrier::abandon() {
  if (!started_) return;
  if (receive_) {
    lower::Cancel(&receive_);
    while (!ended(receive_)) {
    }
  }
  if (send_) lower::Request_free(&send_);
  send_ = nullptr;
}

Drain::Drain(int rank, int size, std::uint64_t generation)
    : rank_(rank), size_(size), generation_(generation) {}

void Drain::expect(std::span<const ckpt_marker> markers) {
  expected_.assign(static_cast<std::size_t>(size_), 0);
  for (const ckpt_marker& marker : markers) {
    if (marker.peer >= 0 && marker.peer < size_)
      expected_[static_cast<std::size_t>(marker.peer)] = marker.count;
  }
  expecting_ = true;
}

// More than expected is no error: when a cut is abandoned, a peer may send on
// before this rank hears of it.
std::uint64_t Drain::missing() const {
  std::uint64_t sum = 0;
  for (std::size_t peer = 0; peer < expected_.size(); ++peer)
    sum += expected_[peer] - std::min(expected_[peer], g_received[peer]);
  return sum;
}

LoggedMessage* Drain::room_for(Communicator& comm, int source, int tag, std::size_t size) {
  auto* bytes = size > 0 ? static_cast<unsigned char*>(std::malloc(size)) : nullptr;
  if (size > 0 && !bytes) {
    failure_ = "no memory to log a message of " + std::to_string(size) + " bytes";
    return nullptr;
  }
  auto* message = new LoggedMessage;
  message->source = source;
  message->tag = tag;
  message->size = size;
  message->bytes = bytes;
  message->comm = &comm;
  return message;
}

void Drain::receive(LoggedMessage* message, MPI_Message lower) {
  LowerBytes bytes(message->size);
  MPI_Request request;
  lower::Imrecv(message->bytes, bytes.count, bytes.type, &lower, &request);
  message->arriving = request;
  retain(message->comm);
  add_arriving(message);
  moved_ = true;
}

// Memory first: a message that is matched cannot be given back.
void Drain::log_unmatched(Communicator& comm) {
  const auto lower = static_cast<MPI_Comm>(comm.handle->lower);
  if (!lower) return;  // gone, or the meeting of a group: nothing is sent on it
  while (failure_.empty()) {
    int found = 0;
    MPI_Status status = {};
    int error = lower::Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, lower, &found, &status);
    if (error == MPI_SUCCESS && !found) return;
    if (error == MPI_SUCCESS) {
      LoggedMessage* message = room_for(comm, status.MPI_SOURCE, status.MPI_TAG, status._ucount);
      if (!message) return;
      MPI_Message matched;
      error = lower::Improbe(message->source, message->tag, lower, &found, &matched, &status);
      if (error == MPI_SUCCESS && found) {
        receive(message, matched);
        add_logged(comm, message);
        continue;
      }
      discard(message);
    }
    failure_ = "probing communicator " + std::to_string(comm.gid) + " failed";
  }
}

void Drain::log_held() {
  for (HeldMessage* held = first_held(); held && failure_.empty(); held = held->next) {
    if (held->logged) continue;
    LoggedMessage* message = room_for(*held->comm, held->source, held->tag, held->size);
    if (!message) return;
    receive(message, static_cast<MPI_Message>(held->own.lower));
    held->logged = message;
    held->own.lower = nullptr;
  }
}

bool Drain::pending_collectives() const {
  for (const Request* at = first_pending(); at; at = at->next) {
    if (at->kind != RequestKind::receive) return true;
  }
  return false;
}

bool Drain::step() {
  moved_ = false;
  if (done_) return false;
  for (Request* at = first_pending(); at;) {
    Request* next = at->next;
    moved_ |= poll(*at);
    at = next;
  }
  log_held();
  poll_farewells();
  for (Communicator* comm : live_communicators()) log_unmatched(*comm);
  const bool arrived = poll_arriving();
  if (!expecting_ || !failure_.empty()) return moved_;
  if (!in_barrier_ && arrived && missing() == 0 && !pending_collectives()) {
    in_barrier_ = true;
    barrier_.start(rank_, size_, generation_);
    moved_ = true;
  }
  if (in_barrier_ && barrier_.step()) done_ = moved_ = true;
  return moved_;
}

void Drain::abandon() { barrier_.abandon(); }

}  // namespace ckpt::shim
