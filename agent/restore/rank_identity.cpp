#include "agent/restore/rank_identity.hpp"

#include <cctype>
#include <cstdlib>

#include "fmt/format.h"
#include "format/posix/try.hpp"
#include "format/posix/whole_number.hpp"

namespace ckpt::restore {
namespace {

Result<std::int32_t> number_from(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return -1;
  std::int32_t value = -1;
  if (!whole_number(text, value) || value < 0)
    return fail("read", variable, fmt::format("'{}' is not a number", text));
  return value;
}

// Part of a file name: letters, digits, dots and dashes only.
std::string token_from(const char* variable) {
  std::string token;
  const char* text = std::getenv(variable);
  for (; text != nullptr && *text != 0 && token.size() < 64; ++text) {
    const bool plain =
        std::isalnum(static_cast<unsigned char>(*text)) || *text == '-' || *text == '.';
    token += plain ? *text : '-';
  }
  return token;
}

}  // namespace

Result<RankIdentity> find_identity(const std::string& image_option, std::int32_t rank_option) {
  RankIdentity identity;
  identity.image = image_option;
  if (identity.image.empty()) {
    if (const char* image = std::getenv("CKPT_RESTART_IMAGE")) identity.image = image;
  }
  if (identity.image.empty())
    return fail("find the image", "", "neither --image nor CKPT_RESTART_IMAGE is given");
  identity.rank = rank_option;
  for (const char* variable : {"PMIX_RANK", "OMPI_COMM_WORLD_RANK"}) {
    if (identity.rank >= 0) break;
    auto value = CKPT_TRY(number_from(variable));
    identity.rank = value;
  }
  if (identity.rank < 0) {
    return fail("find the rank", "",
                "neither --rank nor PMIX_RANK nor OMPI_COMM_WORLD_RANK is given");
  }
  auto size = CKPT_TRY(number_from("OMPI_COMM_WORLD_SIZE"));
  identity.world_size = size;
  identity.sharing_token = token_from("PMIX_NAMESPACE");
  return identity;
}

Status check_world_size(const RankIdentity& identity, const image::JobRecord& job) {
  if (identity.world_size < 0 || identity.world_size == job.world_size) return {};
  return fail(
      "restart", identity.image,
      fmt::format("the job has {} ranks, mpirun started {}", job.world_size, identity.world_size));
}

}  // namespace ckpt::restore
