// Attributes: keyvals, and the values cached on communicators and datatypes.
//
// Purpose: MPI's caching, callbacks included, for C and for Fortran.
// Ownership: a keyval lives until it was freed and no value uses it.
// Threads: keyvals under objects_mutex; callbacks run without it. An object's
//   attributes are used by one thread at a time.
// Errors: MPI error codes; a callback's own code is passed on.
// Source: MPI 3.1 section 6.7, 17.2.7.
#pragma once

#include <cstdint>

#include "mpi_shim/handles.hpp"

namespace ckpt::shim {

enum class AttributeLanguage : std::uint32_t { c, fortran_integer, fortran_address };
enum class AttributeOwner : std::uint32_t { communicator, datatype, win };

struct Keyval {
  AttributeOwner owner = AttributeOwner::communicator;
  AttributeLanguage language = AttributeLanguage::c;
  void (*copy)() = nullptr;
  void (*remove)() = nullptr;
  void* extra_state = nullptr;  // Fortran: the value itself
  bool freed = false;
  int values = 0;  // attributes that use it
};

// MPI_TAG_UB and the others on MPI_COMM_WORLD.
void init_predefined_attributes();
void update_last_used_code(int code);

int new_keyval(const Keyval& keyval);
int free_keyval(AttributeOwner owner, int* keyval);

// Communicator constructors: runs the copy callbacks; MPI_Comm_free, MPI_Finalize:
// the delete callbacks. The same for datatypes.
int copy_attributes(Communicator& from, Communicator& to);
int copy_attributes(Datatype& from, Datatype& to);
int delete_attributes(Communicator& comm);
int delete_attributes(Datatype& type);

// `object`: handle of a communicator or datatype. `value`: as the language has
// it (the pointer, or the integer widened).
int set_attribute(Handle* object, int keyval, void* value, AttributeLanguage language);
int delete_attribute(Handle* object, int keyval);
// What `language` sees; nullptr in *found's place stays untouched when there is none.
int get_attribute(Handle* object, int keyval, AttributeLanguage language, void** value, int* found);

}  // namespace ckpt::shim
