// The folder the shim's library lies in, and its other parts beside it.
#pragma once

#include <string>

namespace ckpt::shim {

std::string parts_directory();  // without a slash at the end

}  // namespace ckpt::shim
