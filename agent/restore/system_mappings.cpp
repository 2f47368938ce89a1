#include "agent/restore/system_mappings.hpp"

#include <cstdio>
#include <fstream>
#include <string>

#include "fmt/format.h"

namespace ckpt::restore {
namespace {

std::string describe(const std::vector<SystemMapping>& all) {
  std::string text;
  for (const auto& one : all) {
    text += fmt::format("{}{} {} KiB", text.empty() ? "" : ", ", one.vdso ? "vdso" : "vvar",
                        (one.end - one.start) / 1024);
  }
  return text.empty() ? "none" : text;
}

}  // namespace

Result<std::vector<SystemMapping>> own_system_mappings() {
  std::ifstream maps("/proc/self/maps");
  if (!maps) return fail_errno("open", "/proc/self/maps");
  std::vector<SystemMapping> found;
  for (std::string line; std::getline(maps, line);) {
    const bool vdso = line.find("[vdso]") != std::string::npos;
    if (!vdso && line.find("[vvar") == std::string::npos) continue;
    SystemMapping one;
    one.vdso = vdso;
    unsigned long start = 0, end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx", &start, &end) != 2) {
      return fail("parse", "/proc/self/maps", line);
    }
    one.start = start;
    one.end = end;
    found.push_back(one);
  }
  return found;
}

Result<std::vector<ckpt_plan_move>> plan_moves(const std::vector<SystemMapping>& own,
                                               const std::vector<image::Region>& regions) {
  std::vector<SystemMapping> wanted;
  for (const auto& region : regions) {
    if (region.kind == image::RegionKind::vdso) wanted.push_back({region.start, region.end, true});
    if (region.kind == image::RegionKind::vvar) wanted.push_back({region.start, region.end, false});
  }
  bool equal = own.size() == wanted.size() && own.size() <= 4;
  std::vector<ckpt_plan_move> moves;
  for (std::size_t i = 0; equal && i < own.size(); ++i) {
    equal = own[i].vdso == wanted[i].vdso &&
            own[i].end - own[i].start == wanted[i].end - wanted[i].start;
    moves.push_back({own[i].start, wanted[i].start, own[i].end - own[i].start});
  }
  if (!equal) {
    return fail("compare the kernel's vdso", "",
                fmt::format("the image was taken under another kernel: it has {}, this machine {}",
                            describe(wanted), describe(own)));
  }
  return moves;
}

}  // namespace ckpt::restore
