#include "mpi_shim/objects/attributes.hpp"

#include <gtest/gtest.h>

namespace ckpt::shim {
namespace {

std::vector<long> g_deleted;

int copy_plus_one(void*, int, void*, void* in, void* out, int* keep) {
  *static_cast<void**>(out) = static_cast<char*>(in) + 1;
  *keep = 1;
  return MPI_SUCCESS;
}
int note_deleted(void*, int, void* value, void*) {
  g_deleted.push_back(reinterpret_cast<long>(value));
  return MPI_SUCCESS;
}

struct AttributeValues : testing::Test {
  Communicator comm, other;
  int keyval = MPI_KEYVAL_INVALID;

  void SetUp() override {
    for (Communicator* each : {&comm, &other}) {
      each->own.kind = HandleKind::communicator;
      each->own.state = each;
      each->handle = &each->own;
    }
    Keyval made;
    made.copy = reinterpret_cast<void (*)()>(&copy_plus_one);
    made.remove = reinterpret_cast<void (*)()>(&note_deleted);
    keyval = new_keyval(made);
    g_deleted.clear();
  }

  void* value_of(Communicator& of, AttributeLanguage language, int* found) {
    void* value = nullptr;
    EXPECT_EQ(get_attribute(of.handle, keyval, language, &value, found), MPI_SUCCESS);
    return value;
  }
};

void* pointer(long value) { return reinterpret_cast<void*>(value); }

TEST_F(AttributeValues, SetGetDelete) {
  int found = 1;
  value_of(comm, AttributeLanguage::c, &found);
  EXPECT_EQ(found, 0);
  EXPECT_EQ(set_attribute(comm.handle, keyval, pointer(7), AttributeLanguage::c), MPI_SUCCESS);
  EXPECT_EQ(value_of(comm, AttributeLanguage::c, &found), pointer(7));
  EXPECT_EQ(set_attribute(comm.handle, keyval, pointer(8), AttributeLanguage::c), MPI_SUCCESS);
  EXPECT_EQ(delete_attribute(comm.handle, keyval), MPI_SUCCESS);
  EXPECT_EQ(g_deleted, (std::vector<long>{7, 8}));
  EXPECT_EQ(delete_attribute(comm.handle, keyval), MPI_ERR_KEYVAL);
}

TEST_F(AttributeValues, CopyRunsTheCallback) {
  set_attribute(comm.handle, keyval, pointer(7), AttributeLanguage::c);
  EXPECT_EQ(copy_attributes(comm, other), MPI_SUCCESS);
  int found = 0;
  EXPECT_EQ(value_of(other, AttributeLanguage::c, &found), pointer(8));
  EXPECT_EQ(delete_attributes(other), MPI_SUCCESS);
  EXPECT_EQ(delete_attributes(comm), MPI_SUCCESS);
}

TEST_F(AttributeValues, WhatTheLanguagesSee) {
  int found = 0;
  set_attribute(comm.handle, keyval, pointer(-5), AttributeLanguage::fortran_integer);
  EXPECT_EQ(*static_cast<int*>(value_of(comm, AttributeLanguage::c, &found)), -5);
  EXPECT_EQ(value_of(comm, AttributeLanguage::fortran_address, &found), pointer(-5));
  const long big = 0x100000003;
  set_attribute(comm.handle, keyval, pointer(big), AttributeLanguage::fortran_address);
  EXPECT_EQ(*static_cast<long*>(value_of(comm, AttributeLanguage::c, &found)), big);
  EXPECT_EQ(value_of(comm, AttributeLanguage::fortran_integer, &found), pointer(3));
  delete_attributes(comm);
}

TEST_F(AttributeValues, AFreedKeyvalLivesWithItsValues) {
  set_attribute(comm.handle, keyval, pointer(1), AttributeLanguage::c);
  int number = keyval;
  EXPECT_EQ(free_keyval(AttributeOwner::communicator, &number), MPI_SUCCESS);
  EXPECT_EQ(number, MPI_KEYVAL_INVALID);
  number = keyval;
  EXPECT_EQ(free_keyval(AttributeOwner::communicator, &number), MPI_ERR_KEYVAL);
  EXPECT_EQ(set_attribute(other.handle, keyval, pointer(1), AttributeLanguage::c), MPI_ERR_KEYVAL);
  int found = 0;
  EXPECT_EQ(value_of(comm, AttributeLanguage::c, &found), pointer(1));
  EXPECT_EQ(delete_attributes(comm), MPI_SUCCESS);
  EXPECT_EQ(g_deleted, (std::vector<long>{1}));
  void* value = nullptr;
  EXPECT_EQ(get_attribute(comm.handle, keyval, AttributeLanguage::c, &value, &found),
            MPI_ERR_KEYVAL);
}

TEST_F(AttributeValues, OfTheWrongKind) {
  Datatype type;
  type.own.kind = HandleKind::datatype;
  type.own.state = &type;
  EXPECT_EQ(set_attribute(&type.own, keyval, pointer(1), AttributeLanguage::c), MPI_ERR_KEYVAL);
  EXPECT_EQ(set_attribute(nullptr, keyval, pointer(1), AttributeLanguage::c), MPI_ERR_ARG);
}

}  // namespace
}  // namespace ckpt::shim
