#include "mpi_shim/channel_log.hpp"

#include <cstdlib>

namespace ckpt::shim {

void append(ChannelLog& log, LoggedMessage* message) {
  message->next = nullptr;
  (log.last ? log.last->next : log.first) = message;
  log.last = message;
}

LoggedMessage* find(const ChannelLog& log, int source, int tag) {
  for (LoggedMessage* message = log.first; message; message = message->next) {
    if ((source == kAnySource || source == message->source) &&
        (tag == kAnyTag || tag == message->tag))
      return message;
  }
  return nullptr;
}

void take(ChannelLog& log, LoggedMessage* message) {
  LoggedMessage* before = nullptr;
  for (LoggedMessage* at = log.first; at != message; at = at->next) before = at;
  (before ? before->next : log.first) = message->next;
  if (log.last == message) log.last = before;
  message->next = nullptr;
}

void discard(LoggedMessage* message) {
  std::free(message->bytes);
  delete message;
}

}  // namespace ckpt::shim
