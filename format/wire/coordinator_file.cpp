#include "format/wire/coordinator_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "format/posix/unique_fd.hpp"

namespace ckpt::wire {
namespace {

using nlohmann::json;

constexpr std::size_t kMostAddresses = 64;
constexpr std::size_t kLargest = 64 * 1024;  // it has a few hundred bytes

// A number that does not fit is refused, where get<>() would cut it.
template <typename T>
T number_in(const json& value, const char* name, std::int64_t smallest, std::int64_t largest) {
  const json& field = value.at(name);
  if (!field.is_number_integer()) throw std::runtime_error(std::string(name) + " is no number");
  const bool huge = field.is_number_unsigned() && field.get<std::uint64_t>() > INT64_MAX;
  const std::int64_t number = huge ? INT64_MAX : field.get<std::int64_t>();
  if (number < smallest || number > largest)
    throw std::runtime_error(std::string(name) + " is out of range");
  return static_cast<T>(number);
}

bool is_loopback(const std::string& place) { return place.rfind("127.", 0) == 0 || place == "::1"; }

}  // namespace

std::string coordinator_file_text(const CoordinatorAddress& address) {
  json value = {
      {"host", address.host}, {"port", address.port}, {"pid", address.pid}, {"key", address.key}};
  if (!address.node.empty()) value["node"] = address.node;
  if (!address.addresses.empty()) value["addresses"] = address.addresses;
  return value.dump(2) + "\n";
}

Result<CoordinatorAddress> parse_coordinator_file(const std::string& text) {
  const json value = json::parse(text, nullptr, false);
  if (!value.is_object()) return fail("read", "coordinator.json", "not a JSON object", EINVAL);
  try {
    CoordinatorAddress address;
    address.host = value.at("host").get<std::string>();
    address.port = number_in<std::uint16_t>(value, "port", 1, UINT16_MAX);
    address.pid = number_in<std::int32_t>(value, "pid", 1, INT32_MAX);
    address.key = value.at("key").get<std::string>();
    address.node = value.value("node", std::string());
    address.addresses = value.value("addresses", std::vector<std::string>());
    if (address.addresses.size() > kMostAddresses) throw std::runtime_error("too many addresses");
    return address;
  } catch (const std::exception& problem) {
    return fail("read", "coordinator.json", problem.what(), EINVAL);
  }
}

std::vector<std::string> places_to_try(const CoordinatorAddress& address,
                                       const std::string& this_host) {
  std::vector<std::string> places = address.addresses;
  if (places.empty()) places.push_back(address.host);
  const bool here = !address.node.empty() && address.node == this_host;
  std::stable_partition(places.begin(), places.end(),
                        [here](const std::string& place) { return is_loopback(place) == here; });
  return places;
}

bool is_local_only(const CoordinatorAddress& address) {
  const auto places = places_to_try(address, "");
  return std::all_of(places.begin(), places.end(), is_loopback);
}

Result<CoordinatorAddress> read_coordinator_file(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd && errno == ELOOP) return fail("read", path, "it is a symbolic link", EPERM);
  if (!fd) return fail_errno("open", path);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return fail_errno("stat", path);
  if (!S_ISREG(status.st_mode)) return fail("read", path, "not a regular file", EPERM);
  if (status.st_uid != ::geteuid()) return fail("read", path, "it belongs to another user", EPERM);
  if ((status.st_mode & 077) != 0)
    return fail("read", path, "others may read or write it: its key is worth nothing", EPERM);
  std::string text(kLargest + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(fd.get(), text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("read", path);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size > kLargest) return fail("read", path, "too large", EFBIG);
  text.resize(size);
  auto address = parse_coordinator_file(text);
  if (!address) return fail("read", path, address.error().cause, address.error().code);
  return address;
}

}  // namespace ckpt::wire
