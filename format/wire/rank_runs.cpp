#include "format/wire/rank_runs.hpp"

namespace ckpt::wire {

std::vector<RankRun> to_runs(const std::vector<std::int32_t>& ranks) {
  std::vector<RankRun> runs;
  for (std::size_t i = 0; i < ranks.size();) {
    RankRun run{ranks[i], 1, 1};
    std::size_t next = i + 1;
    if (next < ranks.size()) {
      const std::int32_t stride = ranks[next] - ranks[i];
      while (next < ranks.size() && ranks[next] - ranks[next - 1] == stride) ++next;
      // Two of a kind are a run only where they are neighbours: in 0, 5, 6, 7 the
      // last three belong together.
      if (next - i > 2 || stride == 1) {
        run.count = static_cast<std::uint32_t>(next - i);
        run.stride = static_cast<std::uint32_t>(stride);
      } else {
        next = i + 1;
      }
    }
    runs.push_back(run);
    i = next;
  }
  return runs;
}

std::optional<std::vector<std::int32_t>> expand(const std::vector<RankRun>& runs,
                                                std::int32_t world_size) {
  std::vector<std::int32_t> ranks;
  std::int64_t last = -1;
  for (const RankRun& run : runs) {
    if (run.count == 0 || run.stride == 0 || run.first <= last) return std::nullopt;
    const std::uint64_t span = std::uint64_t{run.count - 1} * run.stride;
    if (run.first >= world_size || span >= static_cast<std::uint64_t>(world_size - run.first)) {
      return std::nullopt;
    }
    for (std::uint64_t offset = 0; offset <= span; offset += run.stride) {
      last = run.first + static_cast<std::int64_t>(offset);
      ranks.push_back(static_cast<std::int32_t>(last));
    }
  }
  return ranks;
}

std::string rank_list(const std::vector<std::int32_t>& ranks) {
  constexpr int kPieces = 6;
  std::string text;
  int pieces = 0;
  for (std::size_t i = 0; i < ranks.size();) {
    std::size_t last = i;
    while (last + 1 < ranks.size() && ranks[last + 1] == ranks[last] + 1) ++last;
    if (++pieces > kPieces) return text + ", ...";
    text += (text.empty() ? "" : ", ") + std::to_string(ranks[i]);
    if (last > i) text += "-" + std::to_string(ranks[last]);
    i = last + 1;
  }
  return text;
}

}  // namespace ckpt::wire
