// MPI_Op_*. The lower half calls a trampoline with its own datatype handle; the
// trampoline of an op finds the op by its number and passes the program's handle.
#include "mpi_shim/objects/ops.hpp"

#include <array>
#include <deque>
#include <utility>

#include "calls.hpp"
#include "lower_calls.hpp"
#include "mpi_shim/doors.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/objects/object_tables.hpp"

namespace ckpt::shim {

namespace {

constexpr int kTrampolines = 512;

Op* g_op_of_trampoline[kTrampolines];

// Freed ops, the oldest first. A pending nonblocking collective may still use
// one, so a trampoline goes to another op as late as possible.
struct Retired {
  std::deque<Op*> ops;
  int never_used = 0;  // trampolines from here on
};

Retired& retired() {
  static Retired* const all = new Retired;
  return *all;
}

Handle* upper_datatype(MPI_Datatype lower) {
  ObjectsLock lock(objects_mutex());
  const auto& upper = tables().upper_datatypes;
  const auto found = upper.find(lower);
  return found == upper.end() ? g_predefined[CKPT_HANDLE_MPI_DATATYPE_NULL] : found->second;
}

void run(const Op& op, void* in, void* inout, int* count, MPI_Datatype lower) {
  Handle* type = upper_datatype(lower);
  if (op.own.op_flags & kOpIsFortran) {
    MPI_Fint number = fortran_number(type);
    using FortranFunction = void (*)(void*, void*, MPI_Fint*, MPI_Fint*);
    const auto function = reinterpret_cast<FortranFunction>(reinterpret_cast<void*>(op.function));
    function(in, inout, count, &number);
    return;
  }
  auto handle = reinterpret_cast<MPI_Datatype>(type);
  if (op.cxx_function) {
    using Interceptor = void (*)(void*, void*, int*, MPI_Datatype*, void*);
    const auto interceptor = reinterpret_cast<Interceptor>(reinterpret_cast<void*>(op.function));
    interceptor(in, inout, count, &handle, op.cxx_function);
    return;
  }
  op.function(in, inout, count, &handle);
}

template <int kNumber>
void trampoline(void* in, void* inout, int* count, MPI_Datatype* type) {
  run(*g_op_of_trampoline[kNumber], in, inout, count, *type);
}

template <int... kNumbers>
constexpr auto make_trampolines(std::integer_sequence<int, kNumbers...>) {
  return std::array<MPI_User_function*, sizeof...(kNumbers)>{&trampoline<kNumbers>...};
}
constexpr auto kEntryPoints = make_trampolines(std::make_integer_sequence<int, kTrampolines>());

bool take_trampoline(Op& op) {
  ObjectsLock lock(objects_mutex());
  Retired& old = retired();
  if (old.never_used < kTrampolines) {
    op.trampoline = old.never_used++;
  } else {
    if (old.ops.empty()) return false;
    op.trampoline = old.ops.front()->trampoline;
    delete old.ops.front();
    old.ops.pop_front();
  }
  g_op_of_trampoline[op.trampoline] = &op;
  return true;
}

Op* checked(MPI_Op op) {
  Handle* handle = handle_of(op);
  if (!handle || handle->kind != HandleKind::op) return nullptr;
  return static_cast<Op*>(handle->state);
}

}  // namespace

int build_lower(Op& op) {
  MPI_Op lower;
  const int code =
      lower::Op_create(kEntryPoints[static_cast<std::size_t>(op.trampoline)], op.commutes, &lower);
  if (code == MPI_SUCCESS) op.own.lower = lower;
  return code;
}

void release(Op* op) {
  if (is_predefined(op->handle) || !drop_reference(op->handle)) return;
  forget_fortran(op->handle);
  {
    Door door("MPI_Op_free");
    auto lower = static_cast<MPI_Op>(op->own.lower);
    if (lower) lower::Op_free(&lower);
    op->own.lower = nullptr;
  }
  ObjectsLock lock(objects_mutex());
  delist(tables().ops, op);
  retired().ops.push_back(op);
}

namespace calls {

int Op_create(MPI_User_function* function, int commute, MPI_Op* op) {
  auto* made = new Op;
  made->own.kind = HandleKind::op;
  made->own.state = made;
  made->handle = &made->own;
  made->function = function;
  made->commutes = commute != 0;
  if (!take_trampoline(*made)) {
    delete made;
    return raise_error(kNoHandle, MPI_ERR_NO_MEM, "MPI_Op_create");
  }
  int code;
  {
    Door door("MPI_Op_create");
    code = build_lower(*made);
  }
  {
    ObjectsLock lock(objects_mutex());
    if (code == MPI_SUCCESS)
      enlist(tables().ops, made);
    else
      retired().ops.push_back(made);
  }
  if (code != MPI_SUCCESS) return raise_error(kNoHandle, code, "MPI_Op_create");
  *op = reinterpret_cast<MPI_Op>(made->handle);
  return MPI_SUCCESS;
}

int Op_free(MPI_Op* op) {
  Op* state = checked(*op);
  if (!state || is_predefined(state->handle))
    return raise_error(kNoHandle, MPI_ERR_OP, "MPI_Op_free");
  release(state);
  *op = predefined<MPI_Op>(CKPT_HANDLE_MPI_OP_NULL);
  return MPI_SUCCESS;
}

int Op_commutative(MPI_Op op, int* commute) {
  const Op* state = checked(op);
  if (!state) return raise_error(kNoHandle, MPI_ERR_OP, "MPI_Op_commutative");
  *commute = state->commutes;
  return MPI_SUCCESS;
}

}  // namespace calls

}  // namespace ckpt::shim
