#include "agent/restore/region_plan.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "agent/restore/system_mappings.hpp"

namespace ckpt::restore {
namespace {

using image::Region;
using image::RegionKind;

class RegionPlan : public testing::Test {
 protected:
  static inline std::uint64_t next_place = CKPT_RESTORER_ZONE_START + (50ull << 30);

  void SetUp() override {
    char name[] = "/tmp/ckpt-regions-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory = name;
    std::ofstream(path()) << std::string(8192, 'x');
    next_place += 8 << 20;
  }
  void TearDown() override {
    for (int fd : files.numbers()) ::close(fd);
    ::unlink(path().c_str());
    ::rmdir(directory.c_str());
  }
  std::string path() const { return directory + "/file"; }

  Region region(RegionKind kind) const {
    Region one;
    one.start = 0x7f0000000000;
    one.end = one.start + 8192;
    one.kind = kind;
    one.protection = PROT_READ | PROT_WRITE;
    struct stat now {};
    if (kind == RegionKind::private_file || kind == RegionKind::shared_file) {
      ::stat(path().c_str(), &now);
      one.path = path();
      one.file_size = static_cast<std::uint64_t>(now.st_size);
      one.file_mtime_ns = now.st_mtim.tv_sec * 1000000000ll + now.st_mtim.tv_nsec;
    }
    return one;
  }
  Status make() {
    warnings.clear();
    return plan_regions(image, options, memory, files, warnings, plan);
  }

  std::string directory;
  ArenaMemory memory{next_place, next_place + (8 << 20)};
  ParkedFiles files{500};
  RegionOptions options;
  std::vector<std::string> warnings;
  image::RankImage image;
  ckpt_restore_plan plan{};
};

TEST_F(RegionPlan, knows_flags_by_whole_words) {
  EXPECT_TRUE(has_vm_flag("rd wr mr mw me ac hg", "hg"));
  EXPECT_FALSE(has_vm_flag("rd wr mr mw me ac", "hg"));
  EXPECT_FALSE(has_vm_flag("dr wx", "rw"));
  const Advice advice = advice_of("rd wr hg dd dc");
  EXPECT_EQ(advice.before, static_cast<std::uint32_t>(MADV_HUGEPAGE));
  EXPECT_EQ(advice.after, (std::vector<std::uint32_t>{MADV_DONTFORK, MADV_DONTDUMP}));
}

TEST_F(RegionPlan, anonymous_memory_needs_no_file) {
  image.process.regions = {region(RegionKind::anonymous)};
  image.process.regions[0].vm_flags = "rd wr gd nr";
  ASSERT_TRUE(make());
  ASSERT_EQ(plan.region_count, 1u);
  EXPECT_EQ(plan.regions[0].fd, -1);
  EXPECT_EQ(plan.regions[0].flags, CKPT_REGION_GROWSDOWN | CKPT_REGION_NORESERVE);
}

TEST_F(RegionPlan, a_changed_file_is_refused_unless_accepted) {
  image.process.regions = {region(RegionKind::private_file)};
  ASSERT_TRUE(make());
  image.process.regions[0].file_mtime_ns += 1;
  auto refused = make();
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find(path()), std::string::npos);
  options.accept_changed_files = true;
  ASSERT_TRUE(make());
  EXPECT_EQ(warnings.size(), 1u);
  image.process.regions[0].file_size += 1;
  EXPECT_FALSE(make());
}

TEST_F(RegionPlan, unnamed_pages_of_a_shared_file_are_holes) {
  image.process.regions = {region(RegionKind::shared_file)};
  image.process.regions[0].runs = {{0x7f0000000000, 1, 0}};
  image.payload_pages = 1;
  ASSERT_TRUE(make());
  ASSERT_EQ(plan.hole_count, 1u);
  EXPECT_EQ(plan.holes[0].offset, 4096u);
  EXPECT_EQ(plan.holes[0].length, 4096u);
  EXPECT_NE(plan.regions[0].flags & CKPT_REGION_FILLED, 0u);
}

TEST_F(RegionPlan, a_read_only_view_is_not_written) {
  image.process.regions = {region(RegionKind::shared_file)};
  image.process.regions[0].protection = PROT_READ;
  image.process.regions[0].runs = {{0x7f0000000000, 2, 0}};
  image.payload_pages = 2;
  ASSERT_TRUE(make());
  EXPECT_EQ(plan.regions[0].flags & CKPT_REGION_FILLED, 0u);
  ASSERT_TRUE(plan_runs(image, {0}, 256, memory, plan));
  EXPECT_EQ(plan.run_count, 0u);
}

TEST_F(RegionPlan, one_object_for_all_views_of_shared_memory) {
  Region a = region(RegionKind::shared_anonymous);
  a.device = 1;
  a.inode = 42;
  Region b = a;
  b.start += 1 << 20;
  b.end = b.start + 4096;
  b.file_offset = 8192;
  image.process.regions = {a, b};
  ASSERT_TRUE(make());
  EXPECT_EQ(plan.regions[0].fd, plan.regions[1].fd);
  struct stat now {};
  ASSERT_EQ(::fstat(plan.regions[0].fd, &now), 0);
  EXPECT_EQ(now.st_size, 12288);
}

TEST_F(RegionPlan, refuses_the_arena_and_runs_outside_their_region) {
  Region inside = region(RegionKind::anonymous);
  inside.start = CKPT_ARENA_START;
  inside.end = inside.start + 4096;
  image.process.regions = {inside};
  EXPECT_FALSE(make());
  image.process.regions = {region(RegionKind::anonymous)};
  image.process.regions[0].runs = {{0x7f0000000000, 3, 0}};
  image.payload_pages = 3;
  EXPECT_FALSE(plan_runs(image, {0}, 256, memory, plan));
  image.process.regions[0].runs = {{0x7f0000000000, 2, 2}};
  EXPECT_FALSE(plan_runs(image, {0}, 256, memory, plan));
}

TEST_F(RegionPlan, wants_a_checksum_for_each_block) {
  image.process.regions = {region(RegionKind::anonymous)};
  image.payload_pages = 257;
  EXPECT_FALSE(plan_runs(image, {1}, 256, memory, plan));
  EXPECT_TRUE(plan_runs(image, {1, 2}, 256, memory, plan));
}

TEST(SystemMappings, this_kernel_fits_itself_and_no_other) {
  auto own = own_system_mappings();
  ASSERT_TRUE(own);
  ASSERT_FALSE(own->empty());
  std::vector<Region> regions;
  for (const auto& one : *own) {
    Region region;
    region.start = one.start + 0x100000;
    region.end = one.end + 0x100000;
    region.kind = one.vdso ? RegionKind::vdso : RegionKind::vvar;
    regions.push_back(region);
  }
  auto moves = plan_moves(*own, regions);
  ASSERT_TRUE(moves);
  EXPECT_EQ((*moves)[0].to, (*moves)[0].from + 0x100000);
  regions.back().end += 4096;
  auto refused = plan_moves(*own, regions);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("another kernel"), std::string::npos);
}

}  // namespace
}  // namespace ckpt::restore
