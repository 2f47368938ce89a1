#include "mpi_shim/objects/attributes.hpp"

#include <algorithm>
#include <memory>
#include <vector>

#include "lower_calls.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/objects/errors.hpp"
#include "mpi_shim/objects/object_tables.hpp"

namespace ckpt::shim {

namespace {

constexpr int kFirstUserKeyval = IMPI_HOST_COLOR + 1;

std::map<int, Keyval>& keyvals() {
  static auto* const all = new std::map<int, Keyval>;
  return *all;
}

std::uint64_t next_order() {
  static std::uint64_t order = 0;
  return ++order;
}

Attributes* attributes_of(Handle* object, AttributeOwner& owner) {
  if (!object || !object->state) return nullptr;
  if (object->kind == HandleKind::communicator) {
    owner = AttributeOwner::communicator;
    return &static_cast<Communicator*>(object->state)->attributes;
  }
  if (object->kind == HandleKind::datatype) {
    owner = AttributeOwner::datatype;
    return &static_cast<Datatype*>(object->state)->attributes;
  }
  return nullptr;
}

// A usable keyval of this kind of object, as a copy: callbacks run unlocked.
bool find_keyval(int number, AttributeOwner owner, Keyval& keyval) {
  ObjectsLock lock(objects_mutex());
  const auto found = keyvals().find(number);
  if (found == keyvals().end() || found->second.owner != owner) return false;
  keyval = found->second;
  return true;
}

void count_value(int number, int by) {
  ObjectsLock lock(objects_mutex());
  const auto found = keyvals().find(number);
  if (found == keyvals().end()) return;
  found->second.values += by;
  if (found->second.freed && found->second.values == 0) keyvals().erase(found);
}

// The attribute as a language sees it (MPI 3.1, 17.2.7): C gets a pointer to an
// integer that Fortran set, Fortran gets the value of a pointer that C set.
void* as_seen_by(AttributeLanguage reader, Attribute& attribute) {
  const auto writer = static_cast<AttributeLanguage>(attribute.set_by);
  if (reader == AttributeLanguage::c && writer != AttributeLanguage::c) return &attribute.value;
  if (reader == AttributeLanguage::fortran_integer)
    return reinterpret_cast<void*>(static_cast<std::intptr_t>(
        static_cast<MPI_Fint>(reinterpret_cast<std::intptr_t>(attribute.value))));
  return attribute.value;
}

using CopyC = int (*)(void*, int, void*, void*, void*, int*);
using DeleteC = int (*)(void*, int, void*, void*);
template <typename Integer>
using CopyFortran = void (*)(MPI_Fint*, MPI_Fint*, Integer*, Integer*, Integer*, MPI_Fint*,
                             MPI_Fint*);
template <typename Integer>
using DeleteFortran = void (*)(MPI_Fint*, MPI_Fint*, Integer*, Integer*, MPI_Fint*);

template <typename Integer>
int copy_fortran(const Keyval& keyval, Handle* from, int number, void* in, void** out, int* keep) {
  MPI_Fint object = fortran_number(from), key = number, flag = 0, error = MPI_SUCCESS;
  auto extra = static_cast<Integer>(reinterpret_cast<std::intptr_t>(keyval.extra_state));
  auto value_in = static_cast<Integer>(reinterpret_cast<std::intptr_t>(in));
  Integer value_out = 0;
  reinterpret_cast<CopyFortran<Integer>>(keyval.copy)(&object, &key, &extra, &value_in, &value_out,
                                                      &flag, &error);
  *out = reinterpret_cast<void*>(static_cast<std::intptr_t>(value_out));
  *keep = flag;
  return error;
}

template <typename Integer>
int delete_fortran(const Keyval& keyval, Handle* object, int number, void* value) {
  MPI_Fint handle = fortran_number(object), key = number, error = MPI_SUCCESS;
  auto extra = static_cast<Integer>(reinterpret_cast<std::intptr_t>(keyval.extra_state));
  auto old = static_cast<Integer>(reinterpret_cast<std::intptr_t>(value));
  reinterpret_cast<DeleteFortran<Integer>>(keyval.remove)(&handle, &key, &old, &extra, &error);
  return error;
}

int run_copy(const Keyval& keyval, Handle* from, int number, Attribute& attribute, void** out,
             int* keep) {
  *keep = 0;
  if (!keyval.copy) return MPI_SUCCESS;
  void* in = as_seen_by(keyval.language, attribute);
  switch (keyval.language) {
    case AttributeLanguage::fortran_integer:
      return copy_fortran<MPI_Fint>(keyval, from, number, in, out, keep);
    case AttributeLanguage::fortran_address:
      return copy_fortran<MPI_Aint>(keyval, from, number, in, out, keep);
    default:
      return reinterpret_cast<CopyC>(keyval.copy)(from, number, keyval.extra_state, in, out, keep);
  }
}

int run_delete(const Keyval& keyval, Handle* object, int number, Attribute& attribute) {
  if (!keyval.remove) return MPI_SUCCESS;
  void* value = as_seen_by(keyval.language, attribute);
  switch (keyval.language) {
    case AttributeLanguage::fortran_integer:
      return delete_fortran<MPI_Fint>(keyval, object, number, value);
    case AttributeLanguage::fortran_address:
      return delete_fortran<MPI_Aint>(keyval, object, number, value);
    default:
      return reinterpret_cast<DeleteC>(keyval.remove)(object, number, value, keyval.extra_state);
  }
}

std::vector<int> in_order_of_setting(const Attributes& attributes) {
  std::vector<int> numbers;
  for (const auto& [number, attribute] : attributes) numbers.push_back(number);
  std::sort(numbers.begin(), numbers.end(),
            [&](int a, int b) { return attributes.at(a).order < attributes.at(b).order; });
  return numbers;
}

int copy_all(Handle* from, Attributes& old, Attributes& fresh, AttributeOwner owner) {
  for (const int number : in_order_of_setting(old)) {
    Keyval keyval;
    if (!find_keyval(number, owner, keyval)) continue;
    Attribute made;
    made.set_by = static_cast<std::uint32_t>(keyval.language);
    int keep = 0;
    if (const int code = run_copy(keyval, from, number, old.at(number), &made.value, &keep))
      return code;
    if (!keep) continue;
    made.order = next_order();
    fresh[number] = made;
    count_value(number, 1);
  }
  return MPI_SUCCESS;
}

int delete_all(Handle* object, Attributes& attributes, AttributeOwner owner) {
  std::vector<int> numbers = in_order_of_setting(attributes);
  std::reverse(numbers.begin(), numbers.end());
  for (const int number : numbers) {
    Keyval keyval;
    if (find_keyval(number, owner, keyval))
      if (const int code = run_delete(keyval, object, number, attributes.at(number))) return code;
    attributes.erase(number);
    count_value(number, -1);
  }
  return MPI_SUCCESS;
}

void set_predefined(int number, int value) {
  auto& world = *communicator(predefined<MPI_Comm>(CKPT_HANDLE_MPI_COMM_WORLD));
  keyvals()[number] = Keyval{};
  Attribute& attribute = world.attributes[number];
  attribute.value = reinterpret_cast<void*>(static_cast<std::intptr_t>(value));
  attribute.set_by = static_cast<std::uint32_t>(AttributeLanguage::fortran_integer);
}

}  // namespace

void init_predefined_attributes() {
  const auto lower_world = static_cast<MPI_Comm>(lower_predefined(CKPT_HANDLE_MPI_COMM_WORLD));
  for (const int number : {MPI_TAG_UB, MPI_HOST, MPI_IO, MPI_WTIME_IS_GLOBAL, MPI_APPNUM,
                           MPI_UNIVERSE_SIZE, MPI_LASTUSEDCODE}) {
    int* value = nullptr;
    int found = 0;
    lower::Comm_get_attr(lower_world, number, &value, &found);
    if (found) set_predefined(number, *value);
  }
}

void update_last_used_code(int code) {
  if (g_predefined[CKPT_HANDLE_MPI_COMM_WORLD]) set_predefined(MPI_LASTUSEDCODE, code);
}

int new_keyval(const Keyval& keyval) {
  ObjectsLock lock(objects_mutex());
  int number = kFirstUserKeyval;
  while (keyvals().count(number)) ++number;
  keyvals()[number] = keyval;
  return number;
}

int free_keyval(AttributeOwner owner, int* number) {
  ObjectsLock lock(objects_mutex());
  const auto found = keyvals().find(*number);
  if (*number < kFirstUserKeyval || found == keyvals().end() || found->second.owner != owner ||
      found->second.freed)
    return MPI_ERR_KEYVAL;
  found->second.freed = true;
  if (found->second.values == 0) keyvals().erase(found);
  *number = MPI_KEYVAL_INVALID;
  return MPI_SUCCESS;
}

int copy_attributes(Communicator& from, Communicator& to) {
  return copy_all(from.handle, from.attributes, to.attributes, AttributeOwner::communicator);
}

int copy_attributes(Datatype& from, Datatype& to) {
  return copy_all(from.handle, from.attributes, to.attributes, AttributeOwner::datatype);
}

int delete_attributes(Communicator& comm) {
  return delete_all(comm.handle, comm.attributes, AttributeOwner::communicator);
}

int delete_attributes(Datatype& type) {
  return delete_all(type.handle, type.attributes, AttributeOwner::datatype);
}

int set_attribute(Handle* object, int number, void* value, AttributeLanguage language) {
  AttributeOwner owner;
  Attributes* attributes = attributes_of(object, owner);
  if (!attributes) return MPI_ERR_ARG;
  Keyval keyval;
  if (number < kFirstUserKeyval || !find_keyval(number, owner, keyval) || keyval.freed)
    return MPI_ERR_KEYVAL;
  const auto old = attributes->find(number);
  if (old != attributes->end()) {
    if (const int code = run_delete(keyval, object, number, old->second)) return code;
  } else {
    count_value(number, 1);
  }
  (*attributes)[number] = {value, static_cast<std::uint32_t>(language), next_order()};
  return MPI_SUCCESS;
}

int delete_attribute(Handle* object, int number) {
  AttributeOwner owner;
  Attributes* attributes = attributes_of(object, owner);
  if (!attributes) return MPI_ERR_ARG;
  Keyval keyval;
  if (number < kFirstUserKeyval || !find_keyval(number, owner, keyval)) return MPI_ERR_KEYVAL;
  const auto old = attributes->find(number);
  if (old == attributes->end()) return MPI_ERR_KEYVAL;
  if (const int code = run_delete(keyval, object, number, old->second)) return code;
  attributes->erase(old);
  count_value(number, -1);
  return MPI_SUCCESS;
}

int get_attribute(Handle* object, int number, AttributeLanguage language, void** value,
                  int* found) {
  AttributeOwner owner;
  Attributes* attributes = attributes_of(object, owner);
  if (!attributes) return MPI_ERR_ARG;
  *found = 0;
  const auto attribute = attributes->find(number);
  if (attribute == attributes->end()) {
    Keyval keyval;
    const bool known = number >= 0 && number < kFirstUserKeyval;
    return known || find_keyval(number, owner, keyval) ? MPI_SUCCESS : MPI_ERR_KEYVAL;
  }
  *found = 1;
  *value = as_seen_by(language, attribute->second);
  return MPI_SUCCESS;
}

void finalize_objects() {
  // MPI 3.1, 8.7.1: the callbacks of MPI_COMM_SELF run first of all.
  auto& self = *communicator(predefined<MPI_Comm>(CKPT_HANDLE_MPI_COMM_SELF));
  delete_attributes(self);
}

}  // namespace ckpt::shim
