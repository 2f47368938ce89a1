// AgentChannel: what an agent says to a rank's shim, through a real socket.
#include "mpi_shim/agent_channel.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>

#include "tests/fuzz/input.hpp"

namespace {

// An agent that says what the fuzzer wants, in a directory of its own.
class Agent {
 public:
  Agent() {
    ckpt::fuzz::require(::mkdtemp(directory_) != nullptr);
    path_ = std::string(directory_) + "/agent.sock";
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ckpt::fuzz::require(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) ==
                            0 &&
                        ::listen(listener_, 1) == 0);
  }
  ~Agent() {
    ::close(listener_);
    ::unlink(path_.c_str());
    ::rmdir(directory_);
  }
  void say(const std::vector<std::uint8_t>& bytes) const {
    const int shim = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    ckpt::fuzz::require(shim >= 0);
    if (!bytes.empty())
      ckpt::fuzz::require(::send(shim, bytes.data(), bytes.size(), MSG_NOSIGNAL) >= 0);
    ::close(shim);
  }
  const std::string& path() const { return path_; }

 private:
  char directory_[32] = "/tmp/ckpt-fuzz-XXXXXX";
  std::string path_;
  int listener_ = -1;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ckpt;
  static const Agent agent;
  fuzz::Input input(data, size);
  shim::AgentChannel channel;
  fuzz::require(channel.connect(agent.path(), 100).has_value());
  agent.say(input.bytes(32 * 1024));  // fits a socket's buffer
  while (true) {
    const auto frame = channel.receive();
    if (!frame) break;
    if (frame->descriptor >= 0) ::close(frame->descriptor);
    static_cast<void>(frame->head<ckpt_generation>());
    static_cast<void>(frame->head<ckpt_welcome>());
    for (const auto& clock : frame->entries<ckpt_clock>()) static_cast<void>(clock.gid);
    for (const auto& marker : frame->entries<ckpt_marker>()) static_cast<void>(marker.peer);
  }
  fuzz::require(!channel.connected());
  return 0;
}
