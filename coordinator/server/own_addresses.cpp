#include "coordinator/server/own_addresses.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <memory>

namespace ckpt::coordinator {
namespace {

// 0: not to be named; else the order.
int place_of(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    const auto* inet = reinterpret_cast<const sockaddr_in*>(address);
    const std::uint32_t host = ntohl(inet->sin_addr.s_addr);
    if (host >> 24 == 127) return 4;
    return host >> 16 == 0xa9fe ? 0 : 1;  // 169.254: link-local
  }
  if (address->sa_family != AF_INET6) return 0;
  const auto* inet6 = reinterpret_cast<const sockaddr_in6*>(address);
  if (IN6_IS_ADDR_LINKLOCAL(&inet6->sin6_addr)) return 0;
  return IN6_IS_ADDR_LOOPBACK(&inet6->sin6_addr) ? 0 : 2;
}

std::string text_of(const sockaddr* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const void* bytes =
      address->sa_family == AF_INET
          ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in*>(address)->sin_addr)
          : &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
  return ::inet_ntop(address->sa_family, bytes, text.data(), text.size()) != nullptr ? text.data()
                                                                                     : "";
}

}  // namespace

Result<std::vector<std::string>> own_addresses() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return fail_errno("getifaddrs", "");
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(list, ::freeifaddrs);
  std::vector<std::pair<int, std::string>> found;
  for (const ifaddrs* each = list; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || (each->ifa_flags & IFF_UP) == 0) continue;
    const int place = place_of(each->ifa_addr);
    if (place > 0) found.emplace_back(place, text_of(each->ifa_addr));
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> addresses;
  for (auto& [place, text] : found) addresses.push_back(std::move(text));
  return addresses;
}

}  // namespace ckpt::coordinator
