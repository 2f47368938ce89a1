#include "tests/simulation/counted_memory.hpp"

#include <time.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <new>

namespace ckpt::simulation::scale {
namespace {

// In front of each block; as long as the strictest alignment of operator new.
struct alignas(__STDCPP_DEFAULT_NEW_ALIGNMENT__) Head {
  std::uint64_t bytes;
  std::uint32_t party;
};

std::uint32_t g_party = 0;
std::array<Account, kParties> g_accounts;

void* allocate(std::size_t bytes) {
  auto* head = static_cast<Head*>(std::malloc(sizeof(Head) + bytes));
  if (head == nullptr) throw std::bad_alloc();
  head->bytes = bytes;
  head->party = g_party;
  Account& account = g_accounts[g_party];
  account.peak_bytes = std::max(account.peak_bytes, account.bytes += bytes);
  account.peak_blocks = std::max(account.peak_blocks, ++account.blocks);
  return head + 1;
}

void release(void* block) {
  if (block == nullptr) return;
  Head* head = static_cast<Head*>(block) - 1;
  Account& account = g_accounts[head->party];
  account.bytes -= head->bytes;
  --account.blocks;
  std::free(head);
}

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace

const Account& account(std::uint32_t party) { return g_accounts[party]; }

void forget_peak(std::uint32_t party) {
  g_accounts[party].peak_bytes = g_accounts[party].bytes;
  g_accounts[party].peak_blocks = g_accounts[party].blocks;
}

Work::Work(std::uint32_t party, double& seconds)
    : before_(g_party), seconds_(seconds), begun_(cpu_seconds()) {
  g_party = party;
}

Work::~Work() {
  seconds_ += cpu_seconds() - begun_;
  g_party = before_;
}

}  // namespace ckpt::simulation::scale

void* operator new(std::size_t bytes) { return ckpt::simulation::scale::allocate(bytes); }
void* operator new[](std::size_t bytes) { return ckpt::simulation::scale::allocate(bytes); }
void operator delete(void* block) noexcept { ckpt::simulation::scale::release(block); }
void operator delete[](void* block) noexcept { ckpt::simulation::scale::release(block); }
void operator delete(void* block, std::size_t) noexcept { ckpt::simulation::scale::release(block); }
void operator delete[](void* block, std::size_t) noexcept {
  ckpt::simulation::scale::release(block);
}
