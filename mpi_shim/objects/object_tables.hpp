// Tables of the program's MPI objects.
//
// Purpose: the lists a rebuild walks, Fortran's numbers of handles, and the
//   lower datatypes' way back to the program's (for user-defined operations).
// Ownership: the tables hold no references. They are made at first use and
//   never destroyed: programs call MPI from their exit handlers.
// Threads: all but the lock itself under objects_mutex(). No door may be
//   entered with the lock held.
// Errors: handle_of_fortran gives nullptr for a number that is not in use.
#pragma once

#include <cstddef>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "mpi_shim/handles.hpp"

namespace ckpt::shim {

inline constexpr std::size_t kHandleKinds = static_cast<std::size_t>(HandleKind::file) + 1;

struct ObjectTables {
  std::vector<Communicator*> communicators;
  std::vector<Datatype*> datatypes;  // user-made and alive, members of others included
  std::vector<Op*> ops;              // user-made and alive
  std::unordered_map<void*, Handle*> upper_datatypes;  // by lower handle
};

std::mutex& objects_mutex();
using ObjectsLock = std::lock_guard<std::mutex>;
ObjectTables& tables();

// Gives the predefined handles the lower handles of the lower half in use.
void take_lower_predefined();

// Lists whose elements know their place, so that removal is quick.
template <typename T>
void enlist(std::vector<T*>& list, T* object) {
  object->place = list.size();
  list.push_back(object);
}
template <typename T>
void delist(std::vector<T*>& list, T* object) {
  list[object->place] = list.back();
  list[object->place]->place = object->place;
  list.pop_back();
}

// Number of a handle in Fortran (given at the first request), and back. The way
// back takes no lock for the first numbers: every Fortran call goes it.
int fortran_number(Handle* handle);
inline constexpr int kNearNumbers = 1024;
[[gnu::visibility("hidden")]] extern Handle* g_near_numbers[kHandleKinds][kNearNumbers];
Handle* handle_of_far_number(HandleKind kind, int number);
inline Handle* handle_of_fortran(HandleKind kind, int number) {
  if (static_cast<unsigned>(number) < kNearNumbers)
    return g_near_numbers[static_cast<std::size_t>(kind)][number];
  return handle_of_far_number(kind, number);
}
// For predefined handles: the number is fixed.
void set_fortran_number(Handle* handle, int number);

}  // namespace ckpt::shim
