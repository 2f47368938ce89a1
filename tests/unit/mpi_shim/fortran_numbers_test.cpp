#include <gtest/gtest.h>

#include <vector>

#include "mpi_shim/objects/object_tables.hpp"

namespace ckpt::shim {
namespace {

Handle of_kind(HandleKind kind) {
  Handle handle;
  handle.kind = kind;
  return handle;
}

TEST(FortranNumbers, TheLowestFreeOneIsGiven) {
  std::vector<Handle> handles(4, of_kind(HandleKind::group));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(fortran_number(&handles[static_cast<std::size_t>(i)]), i);
  EXPECT_EQ(fortran_number(&handles[2]), 2);
  EXPECT_EQ(handle_of_fortran(HandleKind::group, 1), &handles[1]);
  forget_fortran(&handles[1]);
  EXPECT_EQ(handle_of_fortran(HandleKind::group, 1), nullptr);
  Handle another = of_kind(HandleKind::group);
  EXPECT_EQ(fortran_number(&another), 1);
  for (Handle* handle : {&handles[0], &handles[2], &handles[3], &another}) forget_fortran(handle);
}

TEST(FortranNumbers, KindsAreApart) {
  Handle info = of_kind(HandleKind::info), request = of_kind(HandleKind::request);
  EXPECT_EQ(fortran_number(&info), fortran_number(&request));
  EXPECT_EQ(handle_of_fortran(HandleKind::info, info.fortran), &info);
  forget_fortran(&info);
  forget_fortran(&request);
}

TEST(FortranNumbers, ManyHandles) {
  std::vector<Handle> handles(3 * kNearNumbers, of_kind(HandleKind::message));
  for (Handle& handle : handles) fortran_number(&handle);
  for (Handle& handle : handles)
    EXPECT_EQ(handle_of_fortran(HandleKind::message, handle.fortran), &handle);
  for (Handle& handle : handles) forget_fortran(&handle);
  EXPECT_EQ(handle_of_fortran(HandleKind::message, 2 * kNearNumbers), nullptr);
}

TEST(FortranNumbers, WhatIsNoNumber) {
  EXPECT_EQ(handle_of_fortran(HandleKind::win, -1), nullptr);
  EXPECT_EQ(handle_of_fortran(HandleKind::win, 1 << 30), nullptr);
}

}  // namespace
}  // namespace ckpt::shim
