#include "agent/relay/status_page.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstring>

#include "format/wire/shim_channel.h"

namespace ckpt::relay {
namespace {

constexpr std::size_t kPage = 4096;
static_assert(sizeof(ckpt_status_page) <= kPage);

}  // namespace

Result<StatusPage> StatusPage::make() {
  StatusPage page;
  page.memory_.reset(::memfd_create("ckpt-status", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!page.memory_) return fail_errno("memfd_create", "status page");
  struct stat status {};
  if (::ftruncate(page.memory_.get(), kPage) != 0 || ::fstat(page.memory_.get(), &status) != 0)
    return fail_errno("ftruncate", "status page");
  // A rank that shrank it would end the agent with SIGBUS at the next look.
  if (::fcntl(page.memory_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return fail_errno("seal", "status page");
  page.file_ = {status.st_dev, status.st_ino};
  void* mapped = ::mmap(nullptr, kPage, PROT_READ, MAP_SHARED, page.memory_.get(), 0);
  if (mapped == MAP_FAILED) return fail_errno("mmap", "status page");
  page.page_ = mapped;
  return page;
}

StatusPage::StatusPage(StatusPage&& other) noexcept
    : memory_(std::move(other.memory_)),
      page_(std::exchange(other.page_, nullptr)),
      file_(other.file_) {}

StatusPage::~StatusPage() {
  if (page_ != nullptr) ::munmap(page_, kPage);
}

wire::RankActivity StatusPage::read(std::int32_t rank) const {
  const auto* page = static_cast<const ckpt_status_page*>(page_);
  wire::RankActivity activity;
  activity.rank = rank;
  activity.phase = __atomic_load_n(&page->phase, __ATOMIC_RELAXED);
  activity.threads_inside = __atomic_load_n(&page->threads_inside, __ATOMIC_RELAXED);
  activity.collectives_behind = __atomic_load_n(&page->collectives_behind, __ATOMIC_RELAXED);
  activity.messages_expected = __atomic_load_n(&page->messages_expected, __ATOMIC_RELAXED);
  char name[sizeof page->inside];
  std::memcpy(name, page->inside, sizeof name);
  activity.inside.assign(name, ::strnlen(name, sizeof name));
  return activity;
}

}  // namespace ckpt::relay
