// The page lists of a FrozenRank.
#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>

#include "agent/snapshot/frozen_rank.hpp"
#include "agent/snapshot/regions.hpp"

namespace ckpt::snapshot {

Status FrozenRank::plan_pages() {
  std::optional<proc::PageMap> pages;
  if (copy_) {
    auto opened = proc::PageMap::open(copy_->pid());
    if (!opened) return tl::unexpected(opened.error());
    pages.emplace(std::move(*opened));
    auto reader = pages::PageReader::open(copy_->pid());
    if (!reader) return tl::unexpected(reader.error());
    reader_.emplace(std::move(*reader));
  }
  std::vector<pages::PagePiece> hidden;  // pages of mappings that have no PROT_READ
  auto held = stopped_bytes_.pieces().begin();
  std::vector<proc::PageRange> ranges;
  for (const proc::Mapping& mapping : mappings_) {
    auto record = make_region(mapping);
    if (!record) return tl::unexpected(record.error());
    const std::size_t index = image_.process.regions.size();
    image_.process.regions.push_back(std::move(record->region));
    const image::RegionKind kind = image_.process.regions[index].kind;
    if (kind == image::RegionKind::vdso || kind == image::RegionKind::vvar) continue;
    bool was_held = !copy_ || is_shared_memory(mapping) || is_missing_in_fork(mapping);
    for (; held != stopped_bytes_.pieces().end() && held->start < mapping.end; ++held)
      plan_.add({index, held->start, held->end, held->bytes.get()});
    if (was_held) continue;
    ranges.clear();
    if (record->all_pages && (mapping.protection & PROT_READ) != 0) {
      ranges.push_back({mapping.start, mapping.end});
    } else {
      const auto choice =
          mapping.has_file() ? proc::PageChoice::own_copy : proc::PageChoice::present;
      if (auto done = pages->collect(mapping.start, mapping.end, choice, ranges); !done)
        return done;
    }
    for (const proc::PageRange& range : ranges) plan_.add({index, range.start, range.end, nullptr});
    if ((mapping.protection & PROT_READ) == 0 && !ranges.empty())
      hidden.push_back({index, ranges.front().start, ranges.back().end, nullptr});
  }
  image_.payload_pages = plan_.pages;
  return make_readable(hidden);
}

// The copy is ours: pages the program has hidden are made readable in it, so that
// they can be read in large pieces.
Status FrozenRank::make_readable(const std::vector<pages::PagePiece>& hidden) {
  if (hidden.empty()) return {};
  tracee::RemoteSyscalls calls(port_, copy_->pid(), syscall_instruction_, copy_->registers(),
                               port_.now_ns() + 10'000'000'000);
  if (auto done = calls.begin(); !done) return done;
  for (const pages::PagePiece& piece : hidden) {
    // A refusal is no loss: the reader has a slower way.
    auto result = calls.call(SYS_mprotect, {piece.start, piece.end - piece.start, PROT_READ});
    if (!result) return tl::unexpected(result.error());
  }
  return {};
}

}  // namespace ckpt::snapshot
