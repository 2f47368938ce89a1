// Which rank of which image this process is to become, from options and the
// environment that mpirun gives.
//
// Threads: none. Errors: names the option and variables looked at.
#pragma once

#include <cstdint>
#include <string>

#include "format/image/model.hpp"
#include "format/posix/result.hpp"

namespace ckpt::restore {

struct RankIdentity {
  std::string image;
  std::int32_t rank = -1;
  std::int32_t world_size = -1;  // -1: not known (no mpirun)
  std::string sharing_token;     // this mpirun's name space, "" outside of one
};

// Given options win over CKPT_RESTART_IMAGE, PMIX_RANK and OMPI_COMM_WORLD_RANK.
Result<RankIdentity> find_identity(const std::string& image_option, std::int32_t rank_option);

Status check_world_size(const RankIdentity& identity, const image::JobRecord& job);

}  // namespace ckpt::restore
