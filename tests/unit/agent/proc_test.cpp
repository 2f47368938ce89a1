#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/proc/memory_map.hpp"
#include "agent/proc/page_map.hpp"
#include "agent/proc/proc_file.hpp"
#include "agent/proc/process_facts.hpp"

namespace ckpt::proc {
namespace {

TEST(Maps, ParsesEveryKindOfLine) {
  const auto maps = parse_maps(
      "55d0c000-55d0d000 r-xp 00001000 fe:00 1234                       /bin/a b (x)\n"
      "7f0000000000-7f0000001000 rw-s 00000000 00:01 99                 /memfd:x (deleted)\n"
      "7f0000001000-7f0000002000 ---p 00000000 00:00 0 \n"
      "7ffc0000-7ffd0000 rw-p 00000000 00:00 0                          [stack]\n"
      "7ffe0000-7ffe1000 rw-p 00000000 00:01 7                          /tmp/a\\012b\n");
  ASSERT_TRUE(maps) << maps.error().message();
  ASSERT_EQ(maps->size(), 5u);
  EXPECT_EQ((*maps)[0].name, "/bin/a b (x)");
  EXPECT_EQ((*maps)[0].protection, std::uint32_t{PROT_READ | PROT_EXEC});
  EXPECT_EQ((*maps)[0].offset, 0x1000u);
  EXPECT_EQ((*maps)[0].device, makedev(0xfe, 0));
  EXPECT_EQ((*maps)[0].inode, 1234u);
  EXPECT_TRUE((*maps)[1].shared);
  EXPECT_TRUE((*maps)[1].deleted);
  EXPECT_EQ((*maps)[1].name, "/memfd:x");
  EXPECT_EQ((*maps)[2].protection, 0u);
  EXPECT_EQ((*maps)[2].name, "");
  EXPECT_EQ((*maps)[3].name, "[stack]");
  EXPECT_EQ((*maps)[4].name, "/tmp/a\nb");
}

TEST(Maps, RefusesWhatItDoesNotUnderstand) {
  for (const char* text : {"nonsense\n", "10-20 rw\n", "10-20 rw-p 0 0:0\n", "10-20 rw-p 0 0:0 x\n",
                           "-20 rw-p 0 0:0 0\n"})
    EXPECT_FALSE(parse_maps(text)) << text;
}

TEST(Smaps, TakesVmFlags) {
  const auto maps = parse_smaps(
      "1000-2000 rw-p 00000000 00:00 0 \nSize:                  4 kB\n"
      "VmFlags: rd wr mr mw me dc ac \n"
      "2000-3000 rw-p 00000000 00:00 0 [heap]\nVmFlags: rd wr hg\n");
  ASSERT_TRUE(maps);
  ASSERT_EQ(maps->size(), 2u);
  EXPECT_EQ((*maps)[0].vm_flags, "rd wr mr mw me dc ac");
  EXPECT_TRUE((*maps)[0].has_flag("dc"));
  EXPECT_FALSE((*maps)[0].has_flag("hg"));
  EXPECT_TRUE((*maps)[1].has_flag("hg"));
}

TEST(Smaps, AgreesWithMapsOfThisProcess) {
  const auto maps = read_maps(::getpid());
  const auto smaps = read_smaps(::getpid());
  ASSERT_TRUE(maps && smaps);
  EXPECT_GT(maps->size(), 10u);
}

TEST(StatFile, SurvivesAnEvilName) {
  std::string text = "42 (a) R 1 (x) S 7";
  for (int field = 5; field <= 52; ++field) text += " " + std::to_string(field * 100);
  const auto stat = parse_stat(text);
  ASSERT_TRUE(stat) << stat.error().message();
  EXPECT_EQ(stat->name, "a) R 1 (x");
  EXPECT_EQ(stat->state, 'S');
  EXPECT_EQ(stat->parent, 7);
  EXPECT_EQ(stat->start_time, 2200u);
  EXPECT_EQ(stat->layout.start_stack, 2800u);
  EXPECT_EQ(stat->layout.start_brk, 4700u);
  EXPECT_EQ(stat->layout.env_end, 5100u);
  EXPECT_FALSE(parse_stat("42 (short) S 1 2 3"));
  EXPECT_FALSE(parse_stat(""));
}

TEST(StatusFile, OfThisProcess) {
  const auto text = read_whole(path_of(::getpid(), "status"));
  ASSERT_TRUE(text);
  const auto status = parse_status(*text);
  ASSERT_TRUE(status) << status.error().message();
  EXPECT_EQ(status->uid, ::geteuid());
  EXPECT_FALSE(parse_status("Umask:\t0022\n"));
}

TEST(Limits, OfThisProcess) {
  const auto text = read_whole(path_of(::getpid(), "limits"));
  ASSERT_TRUE(text);
  const auto limits = parse_limits(*text);
  ASSERT_TRUE(limits) << limits.error().message();
  for (const int which : {RLIMIT_NOFILE, RLIMIT_STACK, RLIMIT_AS, RLIMIT_RTTIME}) {
    rlimit expected{};
    ::getrlimit(static_cast<__rlimit_resource>(which), &expected);
    EXPECT_EQ((*limits)[which].soft, expected.rlim_cur) << which;
    EXPECT_EQ((*limits)[which].hard, expected.rlim_max) << which;
  }
  EXPECT_FALSE(parse_limits("Limit  Soft  Hard\n"));
}

TEST(FdInfoFile, TakesPositionAndFlags) {
  const auto info = parse_fdinfo("pos:\t1234\nflags:\t0102001\nmnt_id:\t29\n");
  ASSERT_TRUE(info);
  EXPECT_EQ(info->position, 1234);
  EXPECT_EQ(info->flags, 0102001u);
  EXPECT_FALSE(parse_fdinfo("pos:\tx\n"));
}

TEST(TimersFile, TakesEachTimer) {
  const auto timers = parse_timers(
      "ID: 0\nsignal: 14/00007f5a3c001010\nnotify: signal/pid.4211\nClockID: 1\n"
      "ID: 3\nsignal: 34/0\nnotify: none/tid.4212\nClockID: 0\n");
  ASSERT_TRUE(timers) << timers.error().message();
  ASSERT_EQ(timers->size(), 2u);
  EXPECT_EQ((*timers)[0].signal, 14);
  EXPECT_EQ((*timers)[0].value_pointer, 0x7f5a3c001010u);
  EXPECT_EQ((*timers)[0].notify, 0);
  EXPECT_EQ((*timers)[0].clock, 1);
  EXPECT_EQ((*timers)[1].id, 3);
  EXPECT_EQ((*timers)[1].notify, 1 | 4);
  EXPECT_EQ((*timers)[1].notify_tid, 4212);
  EXPECT_FALSE(parse_timers("signal: 1/2\n"));
}

TEST(PageEntries, AreChosenByTheirBits) {
  const std::uint64_t present = 1ull << 63, swapped = 1ull << 62, file = 1ull << 61;
  EXPECT_FALSE(is_chosen(0, PageChoice::present));
  EXPECT_TRUE(is_chosen(present, PageChoice::own_copy));
  EXPECT_TRUE(is_chosen(swapped, PageChoice::own_copy));
  EXPECT_TRUE(is_chosen(present | file, PageChoice::present));
  EXPECT_FALSE(is_chosen(present | file, PageChoice::own_copy));
  EXPECT_FALSE(is_chosen(swapped | (1ull << 58), PageChoice::present));  // a guard page
}

TEST(SyscallFile, TellsTheStack) {
  EXPECT_EQ(parse_syscall_stack("202 0x1 0x80 0x0 0x0 0x0 0xffffffff 0x200000001000 0x7f00\n"),
            0x200000001000u);
  EXPECT_EQ(parse_syscall_stack("-1 0x7ffc1000 0x401000\n"), 0x7ffc1000u);
  EXPECT_EQ(parse_syscall_stack("running\n"), 0u);
}

// PAGEMAP_SCAN and the plain file must tell the same of pages that were written.
TEST(PageMapOfThisProcess, BothWaysAgree) {
  constexpr std::size_t kPages = 1000;
  auto* memory = static_cast<char*>(
      ::mmap(nullptr, kPages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(memory, MAP_FAILED);
  ::madvise(memory, kPages * 4096, MADV_NOHUGEPAGE);
  std::size_t written = 0;
  for (std::size_t page = 0; page < kPages; page += 3, ++written) memory[page * 4096] = 1;
  const auto start = reinterpret_cast<std::uint64_t>(memory), end = start + kPages * 4096;
  for (const bool plain : {false, true}) {
    auto pages = PageMap::open(::getpid());
    ASSERT_TRUE(pages);
    if (plain) pages->use_plain_pagemap();
    std::vector<PageRange> ranges;
    ASSERT_TRUE(pages->collect(start, end, PageChoice::present, ranges));
    std::size_t found = 0;
    for (const PageRange& range : ranges) {
      found += range.pages();
      EXPECT_EQ((range.start - start) / 4096 % 3, 0u);
    }
    EXPECT_EQ(found, written) << plain;
  }
  ::munmap(memory, kPages * 4096);
}

}  // namespace
}  // namespace ckpt::proc
