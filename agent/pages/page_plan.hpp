// PagePlan: which pages of a frozen rank are candidates for its payload.
//
// Purpose: the snapshot lists pieces; the stream reads them in this order. The
//   number of pages is an upper bound: pages that turn out to be all zero are
//   left out while they are read, and the end of the payload stays a hole.
// Ownership: `held` points to bytes that the snapshot keeps (StoppedBytes).
// Threads: no shared state. Units: addresses in bytes, multiples of 4096.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ckpt::pages {

struct PagePiece {
  std::size_t region = 0;  // index in image::Process::regions
  std::uint64_t start = 0, end = 0;
  const std::uint8_t* held = nullptr;  // its bytes, where they were copied already
};

struct PagePlan {
  std::vector<PagePiece> pieces;  // ascending addresses
  std::uint64_t pages = 0;

  void add(const PagePiece& piece) {
    if (piece.start >= piece.end) return;
    pieces.push_back(piece);
    pages += (piece.end - piece.start) / 4096;
  }
};

}  // namespace ckpt::pages
