// What a handle of the program is, and the state behind it.
//
// Purpose: the record every upper-half handle (MPI_Comm, MPI_Datatype, MPI_Op,
//   MPI_Group, MPI_Request, MPI_Message, MPI_Info, MPI_Errhandler, ...) points
//   to. Its first word is the handle of the lower half, so translation is one
//   load. Predefined handles are memory of the program's unused libmpi
//   (ompi_mpi_comm_world, ...): the shim writes a Handle there.
// Ownership: a user-made object owns its Handle (`own`); it lives until its
//   count of references is 0, so a freed datatype that a pending receive or
//   another datatype uses lives on. Predefined objects live for ever.
// Threads: contents are fixed after creation unless said otherwise; tables of
//   objects are guarded by objects_mutex(). Reference counts are atomic only
//   under MPI_THREAD_MULTIPLE. Collective clocks and channel logs: see
//   collective_clock.hpp and channel_log.hpp.
// Units: extents and sizes in bytes, ranks in MPI_COMM_WORLD where named so.
// Errors: MPI error codes.
// Source: MPI 3.1; Open MPI 4.1 mpi.h (handles are addresses of data symbols).
#pragma once

#include <mpi.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mpi_function_ids.h"

namespace ckpt::shim {

enum class HandleKind : std::uint32_t {
  none = 0,
  communicator,
  group,
  datatype,
  op,
  request,
  message,
  info,
  errhandler,
  win,
  file,
};

struct Handle {
  void* lower = nullptr;  // the lower half's handle
  void* state = nullptr;  // Communicator*, Datatype*, ...; nullptr for null handles
  HandleKind kind = HandleKind::none;
  std::uint32_t predefined = CKPT_NOT_PREDEFINED;  // enum ckpt_predefined
  std::int32_t references = 1;                     // user-made objects only
  // Open MPI's Fortran library takes a handle for a struct of its own and
  // touches two of its members: it sets a bit in a new op's flags, and reads
  // the Fortran number of a request that was not set to null.
  unsigned char unused[0x54 - 28] = {};
  std::uint32_t op_flags = 0;
  unsigned char unused_too[0x68 - 0x58] = {};
  std::int32_t fortran = -1;  // number in the f2c table, -1 = none yet
};
inline constexpr std::uint32_t kOpIsFortran = 2;  // in op_flags
static_assert(offsetof(Handle, op_flags) == 0x54 && offsetof(Handle, fortran) == 0x68);
static_assert(sizeof(Handle) == 0x70);

// True once the program asked for MPI_THREAD_MULTIPLE.
[[gnu::visibility("hidden")]] extern bool g_thread_multiple;

// Upper-half addresses of the predefined handles, by enum ckpt_predefined.
[[gnu::visibility("hidden")]] extern Handle* g_predefined[CKPT_PREDEFINED_COUNT];

template <typename T>  // T: MPI_Comm, MPI_Datatype, ...
inline Handle* handle_of(T handle) {
  return reinterpret_cast<Handle*>(handle);
}
inline constexpr Handle* kNoHandle = nullptr;
template <typename T>
inline T lower_of(T handle) {
  return static_cast<T>(reinterpret_cast<Handle*>(handle)->lower);
}
template <typename T>
inline T predefined(ckpt_predefined which) {
  return reinterpret_cast<T>(g_predefined[which]);
}
inline bool is_predefined(const Handle* handle) {
  return handle->predefined != CKPT_NOT_PREDEFINED;
}
inline void retain(Handle* handle) {
  if (g_thread_multiple)
    __atomic_add_fetch(&handle->references, 1, __ATOMIC_RELAXED);
  else
    ++handle->references;
}
// True when the last reference went.
inline bool drop_reference(Handle* handle) {
  if (g_thread_multiple) return __atomic_sub_fetch(&handle->references, 1, __ATOMIC_ACQ_REL) == 0;
  return --handle->references == 0;
}

// Collectives begun and completed on a communicator (collective_clock.hpp).
struct CollectiveClock {
  std::uint64_t begun = 0;
  std::uint64_t done = 0;
};

struct ChannelLog;  // channel_log.hpp

struct Errhandler;
struct Datatype;

struct Attribute {
  void* value = nullptr;     // what C sees: the pointer, or the Fortran integer widened
  std::uint32_t set_by = 0;  // enum class AttributeLanguage
  std::uint64_t order = 0;   // callbacks run in the reverse order of setting
};
using Attributes = std::map<int, Attribute>;  // by keyval

using InfoEntries = std::vector<std::pair<std::string, std::string>>;

struct Info {
  Handle own;
  InfoEntries entries;
};

struct CartTopology {
  std::vector<int> dims;
  std::vector<int> periods;
};

// The Fortran library passes the word at this offset from a communicator's (a
// datatype's) handle to the attribute functions: the handle's own address is put there.
inline constexpr std::size_t kCommAttributesOffset = 0x110;
inline constexpr std::size_t kTypeAttributesOffset = 0xd0;

struct Communicator {
  Handle own;
  unsigned char unused[kCommAttributesOffset - sizeof(Handle)] = {};
  Handle* attributes_of = &own;
  Handle* handle = nullptr;  // &own, or the predefined handle
  std::uint64_t gid = 0;     // equal at all members, unique in the job's life
  CollectiveClock clock;
  ChannelLog* log = nullptr;
  int rank = 0;
  int size = 0;
  std::vector<int> world_ranks;  // of the members, in order
  bool world_order = false;      // world_ranks[i] == i
  bool freed = false;            // by this rank; see farewells.hpp
  bool gone = false;             // by all members: lives while a receive on it is pending,
                                 // no restart makes it again
  std::size_t place = 0;         // in the table of live communicators
  Errhandler* errhandler = nullptr;
  std::string name;
  Attributes attributes;
  std::unique_ptr<CartTopology> cart;
  InfoEntries info;
};

struct Group {
  Handle own;
  Handle* handle = nullptr;
  std::vector<int> world_ranks;
  int rank = MPI_UNDEFINED;
};

struct Datatype {
  Handle own;
  unsigned char unused[kTypeAttributesOffset - sizeof(Handle)] = {};
  Handle* attributes_of = &own;
  Handle* handle = nullptr;
  std::size_t place = 0;  // in the table of live datatypes
  int combiner = MPI_COMBINER_NAMED;
  std::vector<int> ints;  // as MPI_Type_get_contents gives them
  std::vector<MPI_Aint> aints;
  std::vector<Datatype*> members;  // a reference on each
  bool committed = false;
  MPI_Count size = 0;
  MPI_Aint lb = 0, extent = 0;
  MPI_Aint true_lb = 0, true_extent = 0;
  bool contiguous = false;  // no gaps: size == extent == true_extent, lb == 0
  std::string name;
  Attributes attributes;
};

struct Op {
  Handle own;
  Handle* handle = nullptr;
  MPI_User_function* function = nullptr;
  void* cxx_function = nullptr;  // C++ bindings: `function` is their interceptor
  bool commutes = true;
  std::size_t place = 0;  // in the table of live ops
  int trampoline = -1;    // which entry point the lower half calls (ops.cpp)
};

struct Errhandler {
  Handle own;
  Handle* handle = nullptr;
  enum class Kind : std::uint32_t { fatal, returns, comm_function, win_function, file_function };
  Kind behaviour = Kind::fatal;
  bool fortran = false;  // function takes (MPI_Fint*, MPI_Fint*)
  void (*function)() = nullptr;
};

inline Communicator* communicator(MPI_Comm comm) {
  return static_cast<Communicator*>(handle_of(comm)->state);
}
inline Datatype* datatype(MPI_Datatype type) {
  return static_cast<Datatype*>(handle_of(type)->state);
}
inline Group* group(MPI_Group handle) { return static_cast<Group*>(handle_of(handle)->state); }
inline Op* op(MPI_Op handle) { return static_cast<Op*>(handle_of(handle)->state); }

// Gives a handle's number in Fortran back, before its memory goes.
void forget_fortran_number(Handle* handle);
inline void forget_fortran(Handle* handle) {
  if (handle->fortran >= 0) [[unlikely]]
    forget_fortran_number(handle);
}

// Frees what the last reference held (and the lower half's object). No lock may
// be held. Predefined objects are left alone.
void release(Communicator* comm);
void release(Datatype* type);
void release(Op* op);

inline void retain(Communicator* comm) {
  if (!is_predefined(comm->handle)) retain(comm->handle);
}
inline void retain(Datatype* type) {
  if (!is_predefined(type->handle)) retain(type->handle);
}
inline void retain(Op* op) {
  if (!is_predefined(op->handle)) retain(op->handle);
}

}  // namespace ckpt::shim
