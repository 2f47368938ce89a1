// A rewritten copy of a library's text: what ckpt-rewrite leaves in the cache.
//
// The copy is a sparse file: executable segments stand at the offsets they have
// in the library, with each %fs access turned into a %gs access. Behind the
// library's size, at the next page boundary, lies struct RewrittenTrailer.
// The name in the cache is made of the library's device, inode, size, mtime and
// ctime, so a library that was replaced gets a copy of its own.
// A library that cannot be rewritten with certainty leaves NAME.refused instead,
// whose content is the reason.
#pragma once

#include <stdint.h>

namespace ckpt::lower {

inline constexpr uint64_t kRewrittenMagic = 0x434b505452575431ull;  // "CKPTRWT1"
inline constexpr uint32_t kRewrittenVersion = 1;
inline constexpr uint32_t kMaxSteerSites = 64;

struct SteerSite {
  uint64_t file_offset;  // of 7 bytes that become call rel32; 2-byte nop
  uint32_t kind;         // enum Steer
  uint32_t reserved;
};

struct RewrittenTrailer {
  uint64_t magic;
  uint32_t version;
  uint32_t site_count;
  uint64_t library_size;
  uint64_t fs_accesses;  // rewritten
  SteerSite sites[kMaxSteerSites];
};

inline constexpr uint32_t kSteerSiteSize = 7;

// Whether a trailer read from a file is one for a library of this size: nothing
// in it leads outside the library or the table of `kinds` stubs.
inline bool is_sound(const RewrittenTrailer& trailer, uint64_t library_size, uint32_t kinds) {
  if (trailer.magic != kRewrittenMagic || trailer.version != kRewrittenVersion ||
      trailer.library_size != library_size || trailer.site_count > kMaxSteerSites)
    return false;
  for (uint32_t i = 0; i < trailer.site_count; ++i) {
    const SteerSite& site = trailer.sites[i];
    if (site.kind >= kinds || library_size < kSteerSiteSize ||
        site.file_offset > library_size - kSteerSiteSize)
      return false;
  }
  return true;
}

}  // namespace ckpt::lower
