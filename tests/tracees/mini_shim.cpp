// A rank without MPI: answers its agent as a shim would.
//
//   tracee_mini_shim SOCKET RANK WORLD_SIZE [pipe | goes-on | old-version]
//
// With `goes-on` it says DRAINED, and then does not wait for the agent any longer; with
// `old-version` its HELLO is another version's.
// With `pipe` it holds an open pipe, which no snapshot can save. Memory holds a
// pattern that names the rank ("rank N" at the start of 100 pages).
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "format/wire/shim_channel.h"

namespace {

int channel = -1;
bool goes_on = false;
ckpt_restart_block block{CKPT_RESTART_BLOCK_MAGIC, 0, 0, nullptr, 0, {}, {}};

template <typename T>
void say(std::uint32_t type, const T& payload) {
  const ckpt_frame frame{CKPT_FRAME_MAGIC, type, sizeof payload};
  if (::write(channel, &frame, sizeof frame) != sizeof frame ||
      ::write(channel, &payload, sizeof payload) != sizeof payload)
    std::exit(3);
}

void say_list(std::uint32_t type, std::uint64_t generation) {
  say(type, ckpt_list{generation, 0, 0});
}

void hear(void* to, std::size_t size) {
  for (std::size_t got = 0; got < size;) {
    const ssize_t one = ::read(channel, static_cast<char*>(to) + got, size - got);
    if (one <= 0) std::exit(0);  // the agent is gone: so are we
    got += static_cast<std::size_t>(one);
  }
}

void answer(const ckpt_frame& frame, const std::vector<unsigned char>& payload) {
  std::uint64_t generation = 0;
  if (payload.size() >= sizeof generation)
    std::memcpy(&generation, payload.data(), sizeof generation);
  ckpt_list list{};
  switch (frame.type) {
    case CKPT_FRAME_QUIESCE: return say_list(CKPT_FRAME_CLOCKS, generation);
    case CKPT_FRAME_TARGETS:
      std::memcpy(&list, payload.data(), sizeof list);
      return say(CKPT_FRAME_LEVEL, ckpt_level{generation, list.arg});
    case CKPT_FRAME_CUT: return say_list(CKPT_FRAME_SENT, generation);
    case CKPT_FRAME_DRAIN:
      block.drained = goes_on ? 0 : 1;
      return say(CKPT_FRAME_DRAINED, ckpt_drained{generation, 2, 200});
    case CKPT_FRAME_RESUME:
      block.drained = 0;
      return say(CKPT_FRAME_RESUMED, ckpt_generation{generation});
    default: return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  ::close_range(3, ~0u, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "%s", argv[1]);
  channel = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(channel, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return 3;
  int pipe_ends[2] = {-1, -1};
  const std::string_view option = argc > 4 ? argv[4] : "";
  goes_on = option == "goes-on";
  if (option == "pipe" && ::pipe(pipe_ends) != 0) return 3;

  constexpr std::size_t kPages = 100;
  auto* memory = static_cast<char*>(
      ::mmap(nullptr, kPages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  for (std::size_t page = 0; page < kPages; ++page)
    std::snprintf(memory + page * 4096, 64, "rank %s page %zu", argv[2], page);

  ckpt_hello hello{};
  hello.version = CKPT_SHIM_CHANNEL_VERSION;
  hello.restart_block = reinterpret_cast<std::uint64_t>(&block);
  hello.pid = ::getpid();
  hello.rank = std::atoi(argv[2]);
  hello.world_size = std::atoi(argv[3]);
  hello.channel_fd = channel;
  if (option == "old-version") {
    const struct { std::uint32_t version = CKPT_SHIM_CHANNEL_VERSION - 1, rest[5] = {}; } old;
    say(CKPT_FRAME_HELLO, old);
  } else {
    say(CKPT_FRAME_HELLO, hello);
  }
  for (;;) {
    ckpt_frame frame{};
    hear(&frame, sizeof frame);
    std::vector<unsigned char> payload(frame.length);
    hear(payload.data(), payload.size());
    answer(frame, payload);
  }
}
