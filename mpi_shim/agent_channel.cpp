#include "mpi_shim/agent_channel.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

namespace ckpt::shim {

namespace {

constexpr int kPatienceS = 30;

// Who could put a socket of his own in the agent's place would be told all the
// rank says, and could stop it: its directory is to be ours, no symbolic link,
// and writable by nobody else.
Status check_directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  struct stat status = {};
  const std::string named = slash == std::string::npos ? "." : path.substr(0, slash);
  if (lstat(named.c_str(), &status) != 0) return fail_errno("lstat", named);
  if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 022) != 0)
    return fail("use", named, "not a directory of this user alone", EPERM);
  return {};
}

// The user who made the socket that was connected to.
Status check_peer(int descriptor, const std::string& path) {
  ucred peer = {};
  socklen_t size = sizeof peer;
  if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    return fail_errno("getsockopt SO_PEERCRED", path);
  if (peer.uid != geteuid()) return fail("connect", path, "its agent is another user's", EPERM);
  return {};
}

}  // namespace

Status AgentChannel::connect(const std::string& path, int lowest) {
  disconnect();
  path_ = path;
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail("connect", path, "the path is too long for a Unix socket");
  path.copy(address.sun_path, path.size());
  if (Status ours = check_directory_of(path); !ours) return ours;
  const int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (made < 0) return fail_errno("socket", "AF_UNIX");
  // An agent that is stuck with its buffers full is as good as gone.
  const timeval patience = {kPatienceS, 0};
  setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  setsockopt(made, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (::connect(made, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    const int code = errno;
    close(made);
    return fail_errno("connect", path, code);
  }
  if (Status ours = check_peer(made, path); !ours) {
    close(made);
    return ours;
  }
  const int moved = fcntl(made, F_DUPFD_CLOEXEC, lowest);
  if (moved >= 0) close(made);
  descriptor_ = moved >= 0 ? moved : made;
  return {};
}

void AgentChannel::disconnect() {
  if (descriptor_ >= 0) close(descriptor_);
  descriptor_ = -1;
}

Status AgentChannel::send(std::uint32_t type, const void* payload, std::size_t size,
                          const void* entries, std::size_t entries_size) {
  if (!connected()) return fail("send", path_, "not connected");
  ckpt_frame frame = {CKPT_FRAME_MAGIC, type, size + entries_size};
  iovec parts[3] = {{&frame, sizeof frame},
                    {const_cast<void*>(payload), size},
                    {const_cast<void*>(entries), entries_size}};
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 3;
  while (message.msg_iovlen > 0) {
    const ssize_t sent = sendmsg(descriptor_, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) {
      end_cause_ = fail_errno("send", path_, errno).value();
      disconnect();
      return Failure(end_cause_);
    }
    auto left = static_cast<std::size_t>(sent);
    while (message.msg_iovlen > 0 && left >= message.msg_iov->iov_len) {
      left -= message.msg_iov->iov_len;
      ++message.msg_iov;
      --message.msg_iovlen;
    }
    if (message.msg_iovlen > 0) {
      message.msg_iov->iov_base = static_cast<char*>(message.msg_iov->iov_base) + left;
      message.msg_iov->iov_len -= left;
    }
  }
  return {};
}

Status AgentChannel::read_all(void* to, std::size_t size, int* passed) {
  auto* at = static_cast<char*>(to);
  while (size > 0) {
    iovec part = {at, size};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t got = recvmsg(descriptor_, &message, MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("receive", path_);
    if (got == 0) return fail("receive", path_, "the agent closed the channel");
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
      int descriptor;
      __builtin_memcpy(&descriptor, CMSG_DATA(c), sizeof descriptor);
      if (passed && *passed < 0)
        *passed = descriptor;
      else
        close(descriptor);
    }
    at += got;
    size -= static_cast<std::size_t>(got);
  }
  return {};
}

Result<Frame> AgentChannel::receive() {
  Frame frame;
  ckpt_frame head;
  Status read = read_all(&head, sizeof head, &frame.descriptor);
  if (read && (head.magic != CKPT_FRAME_MAGIC || head.length > CKPT_MAX_FRAME))
    read = fail("receive", path_, "not a frame of this channel");
  if (read) {
    frame.type = head.type;
    frame.payload.resize(head.length);
    read = read_all(frame.payload.data(), frame.payload.size(), &frame.descriptor);
  }
  if (read) return frame;
  if (frame.descriptor >= 0) close(frame.descriptor);
  disconnect();
  end_cause_ = read.error();
  return Failure(read.error());
}

}  // namespace ckpt::shim
