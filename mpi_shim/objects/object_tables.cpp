#include "mpi_shim/objects/object_tables.hpp"

#include "mpi_shim/objects.hpp"

namespace ckpt::shim {

bool g_thread_multiple = false;
Handle* g_predefined[CKPT_PREDEFINED_COUNT];
AttachedBuffer g_attached_buffer;
Handle* g_near_numbers[kHandleKinds][kNearNumbers];

std::mutex& objects_mutex() {
  static constinit std::mutex mutex;
  return mutex;
}

ObjectTables& tables() {
  static ObjectTables* const all = new ObjectTables;
  return *all;
}

namespace {

// Numbers of one kind of handle.
struct Numbers {
  std::vector<Handle*> far;  // from kNearNumbers on
  std::size_t lowest = 0;    // no number below is free
};

Numbers& numbers_of(HandleKind kind) {
  static Numbers* const all = new Numbers[kHandleKinds];
  return all[static_cast<std::size_t>(kind)];
}

Handle*& slot(HandleKind kind, std::size_t number) {
  if (number < kNearNumbers) return g_near_numbers[static_cast<std::size_t>(kind)][number];
  auto& far = numbers_of(kind).far;
  if (far.size() <= number - kNearNumbers) far.resize(number - kNearNumbers + 1, nullptr);
  return far[number - kNearNumbers];
}

}  // namespace

void set_fortran_number(Handle* handle, int number) {
  slot(handle->kind, static_cast<std::size_t>(number)) = handle;
  handle->fortran = number;
}

int fortran_number(Handle* handle) {
  if (handle->fortran >= 0) return handle->fortran;
  ObjectsLock lock(objects_mutex());
  // Free numbers are used again, the lowest first, as Open MPI does.
  std::size_t& number = numbers_of(handle->kind).lowest;
  while (slot(handle->kind, number)) ++number;
  set_fortran_number(handle, static_cast<int>(number));
  return handle->fortran;
}

Handle* handle_of_far_number(HandleKind kind, int number) {
  if (number < kNearNumbers) return nullptr;
  ObjectsLock lock(objects_mutex());
  const auto& far = numbers_of(kind).far;
  const auto index = static_cast<std::size_t>(number - kNearNumbers);
  return index < far.size() ? far[index] : nullptr;
}

void forget_fortran_number(Handle* handle) {
  ObjectsLock lock(objects_mutex());
  const auto number = static_cast<std::size_t>(handle->fortran);
  slot(handle->kind, number) = nullptr;
  std::size_t& lowest = numbers_of(handle->kind).lowest;
  if (number < lowest) lowest = number;
  handle->fortran = -1;
}

const std::vector<Communicator*>& live_communicators() { return tables().communicators; }

Communicator* communicator_of_gid(std::uint64_t gid) {
  for (Communicator* comm : tables().communicators)
    if (comm->gid == gid) return comm;
  return nullptr;
}

}  // namespace ckpt::shim
