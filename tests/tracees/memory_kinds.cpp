// tracee_memory_kinds [MIB]: much memory with random pages, read-only and
// hidden pages, huge pages, and growth after the restart: the stack, brk,
// malloc in several threads, new threads, exceptions.
#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cstdint>
#include <memory>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tests/tracees/tracee.hpp"

namespace {

constexpr std::size_t kPage = 4096;

struct Block {
  std::uint8_t* at;
  std::size_t pages;
  std::uint64_t seed;
  int protection;
};

bool used(std::uint64_t seed, std::size_t page) { return (page * 2654435761u + seed) % 3 != 0; }

std::uint64_t word(std::uint64_t seed, std::size_t page, std::size_t i) {
  return (seed + page * 512 + i) * 0x9e3779b97f4a7c15ull;
}

void fill(const Block& block) {
  for (std::size_t page = 0; page < block.pages; ++page) {
    if (!used(block.seed, page)) continue;
    auto* words = reinterpret_cast<std::uint64_t*>(block.at + page * kPage);
    for (std::size_t i = 0; i < 512; ++i) words[i] = word(block.seed, page, i);
  }
}

void check(const Block& block) {
  for (std::size_t page = 0; page < block.pages; ++page) {
    const auto* words = reinterpret_cast<const std::uint64_t*>(block.at + page * kPage);
    for (std::size_t i = 0; i < 512; ++i) {
      EXPECT(words[i] == (used(block.seed, page) ? word(block.seed, page, i) : 0));
    }
  }
}

Block make(std::size_t bytes, std::uint64_t seed, int protection, int advice) {
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT(at != MAP_FAILED);
  if (advice != 0) madvise(at, bytes, advice);
  const Block block{static_cast<std::uint8_t*>(at), bytes / kPage, seed, protection};
  fill(block);
  EXPECT(mprotect(at, bytes, protection) == 0);
  return block;
}

__attribute__((noinline)) std::uint64_t dig(int depth) {
  volatile char frame[4096];
  for (std::size_t i = 0; i < sizeof frame; i += 512) frame[i] = static_cast<char>(depth);
  return depth == 0 ? 0 : dig(depth - 1) + static_cast<std::uint64_t>(frame[512] != 0 ? 1 : 1);
}

void churn(unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::unique_ptr<char[]>> held(256);
  for (int i = 0; i < 20000; ++i) {
    const std::size_t size = 1 + random() % 20000;
    held[random() % held.size()] = std::make_unique<char[]>(size);
  }
}

void throw_and_catch() {
  bool caught = false;
  try {
    throw std::runtime_error("as before");
  } catch (const std::exception& error) {
    caught = std::strcmp(error.what(), "as before") == 0;
  }
  EXPECT(caught);
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t mib = argc > 1 ? static_cast<std::size_t>(std::atoi(argv[1])) : 64;
  std::vector<Block> blocks;
  blocks.push_back(make(mib << 20, 1, PROT_READ | PROT_WRITE, 0));
  blocks.push_back(make(8 << 20, 2, PROT_READ, 0));
  blocks.push_back(make(8 << 20, 3, PROT_NONE, 0));
  blocks.push_back(make(16 << 20, 4, PROT_READ | PROT_WRITE, MADV_HUGEPAGE));
  blocks.push_back(make(1 << 20, 5, PROT_READ | PROT_EXEC, 0));
  auto* small = static_cast<char*>(std::malloc(1000));
  std::strcpy(small, "on the heap");
  std::thread(churn, 1).join();
  await_restarts();
  EXPECT(std::strcmp(small, "on the heap") == 0);
  for (const Block& block : blocks) {
    if (block.protection == PROT_NONE)
      EXPECT(mprotect(block.at, block.pages * kPage, PROT_READ) == 0);
    check(block);
  }
  auto* brk_before = static_cast<char*>(sbrk(1 << 20));
  EXPECT(brk_before != reinterpret_cast<char*>(-1));
  std::memset(brk_before, 7, 1 << 20);
  EXPECT(dig(1200) == 1200);  // nearly 5 MiB of stack
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 4; ++i) threads.emplace_back(churn, i);
  for (auto& thread : threads) thread.join();
  EXPECT(malloc_usable_size(small) >= 1000);
  std::free(small);
  throw_and_catch();
  good();
}
