// Reads whole files and links below /proc.
//
// Purpose: the one place that touches /proc as a file system; parsers take text.
// Ownership: values. Threads: no shared state.
// Errors: the failed call and the path; ENOENT and ESRCH mean the process is gone.
// Source: proc(5).
#pragma once

#include <string>
#include <vector>

#include "format/posix/result.hpp"

namespace ckpt::proc {

// "/proc/4211/maps" for (4211, "maps").
std::string path_of(int pid, const std::string& name);

Result<std::string> read_whole(const std::string& path);
Result<std::string> read_link(const std::string& path);

// Names in a directory, without "." and "..", in the kernel's order.
Result<std::vector<std::string>> list_directory(const std::string& path);

// Thread ids of a process, ascending.
Result<std::vector<int>> list_tasks(int pid);

// True where the error says that the process or thread does not exist any more.
bool is_gone(const Error& error);

}  // namespace ckpt::proc
