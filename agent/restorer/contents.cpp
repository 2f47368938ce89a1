#include "agent/restorer/contents.hpp"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "agent/restorer/report.hpp"
#include "mpi_shim/host/raw_syscalls.h"

namespace ckpt::restorer {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint32_t kMaxPieces = 1024;     // IOV_MAX
constexpr uint64_t kUnhashedBlock = 256;  // pages a read, where there are no checksums

// Where the pages of a block go: pieces of runs, and the block buffer for
// pages that no run names.
struct Pieces {
  iovec at[kMaxPieces];
  uint32_t count = 0;

  void add(uint64_t address, uint64_t bytes) {
    if (count > 0) {
      iovec& last = at[count - 1];
      if (reinterpret_cast<uint64_t>(last.iov_base) + last.iov_len == address) {
        last.iov_len += bytes;
        return;
      }
    }
    at[count++] = {reinterpret_cast<void*>(address), bytes};
  }
};

// `run` is the first run that may reach into [first, end); it moves on with the blocks.
void gather(const ckpt_restore_plan& plan, uint64_t first, uint64_t end, uint64_t& run,
            Pieces& pieces) {
  uint64_t page = first;
  while (page < end) {
    while (run < plan.run_count && plan.runs[run].index + plan.runs[run].pages <= page) ++run;
    if (run < plan.run_count && plan.runs[run].index <= page) {
      const ckpt_plan_run& from = plan.runs[run];
      const uint64_t stop = from.index + from.pages < end ? from.index + from.pages : end;
      pieces.add(from.address + (page - from.index) * kPage, (stop - page) * kPage);
      page = stop;
    } else {
      uint64_t stop = end;
      if (run < plan.run_count && plan.runs[run].index < end) stop = plan.runs[run].index;
      const uint64_t buffer = reinterpret_cast<uint64_t>(plan.block_buffer);
      pieces.add(buffer + (page - first) * kPage, (stop - page) * kPage);
      page = stop;
    }
  }
}

// A direct transfer may be refused for a place's sake: all others then go through
// the page cache too. False where that was no direct one.
bool leave_direct(int fd) {
  const long flags = raw::call(SYS_fcntl, fd, F_GETFL);
  return !raw::failed(flags) && (flags & O_DIRECT) != 0 &&
         !raw::failed(raw::call(SYS_fcntl, fd, F_SETFL, flags & ~static_cast<long>(O_DIRECT)));
}

void read_pieces(const ckpt_restore_plan& plan, const Pieces& pieces, uint64_t offset,
                 uint64_t block) {
  uint32_t next = 0;
  uint64_t done = 0;  // of piece `next`
  while (next < pieces.count) {
    iovec left[kMaxPieces];
    uint32_t count = 0;
    for (uint32_t i = next; i < pieces.count; ++i) left[count++] = pieces.at[i];
    left[0].iov_base = static_cast<uint8_t*>(left[0].iov_base) + done;
    left[0].iov_len -= done;
    long got = raw::call(SYS_preadv, plan.payload_fd, raw::word(left), count,
                         static_cast<long>(offset), 0);
    if (got == -EINTR || (got == -EINVAL && leave_direct(plan.payload_fd))) continue;
    must(plan, "read payload block", block, got);
    if (got == 0) die(plan, "payload ends early in block", block, -ENODATA);
    offset += static_cast<uint64_t>(got);
    uint64_t taken = static_cast<uint64_t>(got) + done;
    while (next < pieces.count && taken >= pieces.at[next].iov_len) {
      taken -= pieces.at[next++].iov_len;
    }
    done = taken;
  }
}

uint64_t hash(const Pieces& pieces) {
  if (pieces.count == 1) return XXH3_64bits(pieces.at[0].iov_base, pieces.at[0].iov_len);
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  for (uint32_t i = 0; i < pieces.count; ++i) {
    XXH3_64bits_update(&state, pieces.at[i].iov_base, pieces.at[i].iov_len);
  }
  return XXH3_64bits_digest(&state);
}

// The program, or a later run of it, may have written there since.
void clear_holes(const ckpt_restore_plan& plan) {
  constexpr long kKeepSize = 1, kPunchHole = 2;
  for (uint64_t i = 0; i < plan.hole_count; ++i) {
    const ckpt_plan_hole& hole = plan.holes[i];
    const long result = raw::call(SYS_fallocate, hole.fd, kKeepSize | kPunchHole,
                                  raw::word(hole.offset), raw::word(hole.length));
    if (raw::failed(result)) memset(reinterpret_cast<void*>(hole.address), 0, hole.length);
  }
}

}  // namespace

void read_contents(const ckpt_restore_plan& plan) {
  constexpr uint64_t kTellEvery = 64ull << 20;
  uint64_t told = 0;
  tell_progress(plan, CKPT_RESTART_READING, 0);
  const uint64_t block_pages = plan.block_pages != 0 ? plan.block_pages : kUnhashedBlock;
  uint64_t run = 0;
  uint64_t block = 0;
  for (uint64_t first = 0; first < plan.payload_pages; first += block_pages, ++block) {
    const uint64_t end =
        first + block_pages < plan.payload_pages ? first + block_pages : plan.payload_pages;
    if ((first - told) * kPage >= kTellEvery) {
      told = first;
      tell_progress(plan, CKPT_RESTART_READING, first * kPage);
    }
    Pieces pieces;
    gather(plan, first, end, run, pieces);
    const uint64_t offset = plan.payload_offset + first * kPage;
    read_pieces(plan, pieces, offset, block);
    if (plan.block_pages == 0) continue;
    if (hash(pieces) != plan.block_checksums[block]) {
      die(plan, "wrong checksum of payload block", block, -EBADMSG);
    }
  }
  clear_holes(plan);
}

}  // namespace ckpt::restorer
