#include "mpi_shim/objects/info.hpp"

#include <algorithm>
#include <cstring>

#include "calls.hpp"
#include "lower_calls.hpp"
#include "mpi_shim/objects.hpp"
#include "mpi_shim/objects/object_tables.hpp"

namespace ckpt::shim {

InfoEntries* info_entries(MPI_Info info) {
  Handle* handle = handle_of(info);
  if (!handle || handle->kind != HandleKind::info || !handle->state) return nullptr;
  return &static_cast<Info*>(handle->state)->entries;
}

MPI_Info new_info(InfoEntries entries) {
  auto* info = new Info;
  info->own.kind = HandleKind::info;
  info->own.state = info;
  info->entries = std::move(entries);
  return reinterpret_cast<MPI_Info>(&info->own);
}

void init_info_env() {
  const auto lower = static_cast<MPI_Info>(lower_predefined(CKPT_HANDLE_MPI_INFO_ENV));
  InfoEntries& entries = *info_entries(predefined<MPI_Info>(CKPT_HANDLE_MPI_INFO_ENV));
  entries.clear();
  int count = 0;
  if (lower::Info_get_nkeys(lower, &count) != MPI_SUCCESS) return;
  for (int i = 0; i < count; ++i) {
    char key[MPI_MAX_INFO_KEY + 1] = {}, value[MPI_MAX_INFO_VAL + 1] = {};
    int found = 0;
    lower::Info_get_nthkey(lower, i, key);
    lower::Info_get(lower, key, MPI_MAX_INFO_VAL, value, &found);
    if (found) entries.emplace_back(key, value);
  }
}

namespace {

InfoEntries::iterator find(InfoEntries& entries, const char* key) {
  return std::find_if(entries.begin(), entries.end(),
                      [key](const auto& entry) { return entry.first == key; });
}

bool valid_key(const char* key) { return key && *key && std::strlen(key) <= MPI_MAX_INFO_KEY; }

int bad_info(const char* function) { return raise_error(kNoHandle, MPI_ERR_INFO, function); }

int bad_key(const char* function) { return raise_error(kNoHandle, MPI_ERR_INFO_KEY, function); }

}  // namespace

namespace calls {

int Info_create(MPI_Info* info) {
  *info = new_info({});
  return MPI_SUCCESS;
}

int Info_dup(MPI_Info info, MPI_Info* newinfo) {
  const InfoEntries* entries = info_entries(info);
  if (!entries) return bad_info("MPI_Info_dup");
  *newinfo = new_info(*entries);
  return MPI_SUCCESS;
}

int Info_free(MPI_Info* info) {
  Handle* handle = handle_of(*info);
  if (!info_entries(*info) || is_predefined(handle)) return bad_info("MPI_Info_free");
  forget_fortran(handle);
  delete static_cast<Info*>(handle->state);
  *info = predefined<MPI_Info>(CKPT_HANDLE_MPI_INFO_NULL);
  return MPI_SUCCESS;
}

int Info_set(MPI_Info info, const char* key, const char* value) {
  InfoEntries* entries = info_entries(info);
  if (!entries) return bad_info("MPI_Info_set");
  if (!valid_key(key)) return bad_key("MPI_Info_set");
  if (!value || !*value || std::strlen(value) > MPI_MAX_INFO_VAL)
    return raise_error(kNoHandle, MPI_ERR_INFO_VALUE, "MPI_Info_set");
  const auto place = find(*entries, key);
  if (place == entries->end())
    entries->emplace_back(key, value);
  else
    place->second = value;
  return MPI_SUCCESS;
}

int Info_get(MPI_Info info, const char* key, int valuelen, char* value, int* flag) {
  InfoEntries* entries = info_entries(info);
  if (!entries) return bad_info("MPI_Info_get");
  if (!valid_key(key)) return bad_key("MPI_Info_get");
  if (valuelen < 0) return raise_error(kNoHandle, MPI_ERR_ARG, "MPI_Info_get");
  const auto place = find(*entries, key);
  *flag = place != entries->end();
  if (*flag) {
    const auto length = place->second.copy(value, static_cast<std::size_t>(valuelen));
    value[length] = '\0';  // valuelen does not count it
  }
  return MPI_SUCCESS;
}

int Info_get_valuelen(MPI_Info info, const char* key, int* valuelen, int* flag) {
  InfoEntries* entries = info_entries(info);
  if (!entries) return bad_info("MPI_Info_get_valuelen");
  if (!valid_key(key)) return bad_key("MPI_Info_get_valuelen");
  const auto place = find(*entries, key);
  *flag = place != entries->end();
  if (*flag) *valuelen = static_cast<int>(place->second.size());
  return MPI_SUCCESS;
}

int Info_get_nkeys(MPI_Info info, int* nkeys) {
  const InfoEntries* entries = info_entries(info);
  if (!entries) return bad_info("MPI_Info_get_nkeys");
  *nkeys = static_cast<int>(entries->size());
  return MPI_SUCCESS;
}

int Info_get_nthkey(MPI_Info info, int n, char* key) {
  const InfoEntries* entries = info_entries(info);
  if (!entries) return bad_info("MPI_Info_get_nthkey");
  if (n < 0 || n >= static_cast<int>(entries->size()))
    return raise_error(kNoHandle, MPI_ERR_ARG, "MPI_Info_get_nthkey");
  std::strcpy(key, (*entries)[static_cast<std::size_t>(n)].first.c_str());
  return MPI_SUCCESS;
}

int Info_delete(MPI_Info info, const char* key) {
  InfoEntries* entries = info_entries(info);
  if (!entries) return bad_info("MPI_Info_delete");
  if (!valid_key(key)) return bad_key("MPI_Info_delete");
  const auto place = find(*entries, key);
  if (place == entries->end()) return raise_error(kNoHandle, MPI_ERR_INFO_NOKEY, "MPI_Info_delete");
  entries->erase(place);
  return MPI_SUCCESS;
}

}  // namespace calls

}  // namespace ckpt::shim
