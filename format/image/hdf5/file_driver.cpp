#include "format/image/hdf5/file_driver.hpp"

#include <cstring>
#include <new>

#include "format/image/model.hpp"
#include "format/posix/try.hpp"

namespace ckpt::image::hdf5 {
namespace {

thread_local std::optional<Error> last_error;

// HDF5 knows this by its first member only.
struct DriverFile {
  H5FD_t base;
  OpenedFile* opened;
  haddr_t end_of_allocation;
  haddr_t end_of_file;
  bool writable;
};

// Copied by HDF5 with each copy of the access list.
struct DriverInfo {
  OpenedFile* opened;
};

DriverFile& driver_file(H5FD_t* file) { return *reinterpret_cast<DriverFile*>(file); }
const DriverFile& driver_file(const H5FD_t* file) {
  return *reinterpret_cast<const DriverFile*>(file);
}

void keep_write_error(OpenedFile& opened, const Error& error) {
  if (!opened.error) opened.error = error;
  opened.drop_writes = true;
}

H5FD_t* driver_open(const char* name, unsigned flags, hid_t fapl, haddr_t) {
  const auto* info = static_cast<const DriverInfo*>(H5Pget_driver_info(fapl));
  if (info == nullptr) return nullptr;
  int open_flags = (flags & H5F_ACC_RDWR) != 0 ? O_RDWR : O_RDONLY;
  if ((flags & H5F_ACC_CREAT) != 0) open_flags |= O_CREAT;
  if ((flags & H5F_ACC_EXCL) != 0) open_flags |= O_EXCL;
  if ((flags & H5F_ACC_TRUNC) != 0) open_flags |= O_TRUNC;
  auto file = info->opened->files->open(name, open_flags, 0600);
  if (!file) {
    last_error = file.error();
    return nullptr;
  }
  const auto status = (*file)->status();
  if (!status) {
    last_error = status.error();
    return nullptr;
  }
  auto* opened = new (std::nothrow) DriverFile{};
  if (opened == nullptr) return nullptr;
  info->opened->file = std::move(*file);
  opened->opened = info->opened;
  opened->end_of_file = status->size;
  opened->writable = (flags & H5F_ACC_RDWR) != 0;
  return &opened->base;
}

herr_t driver_close(H5FD_t* file) {
  delete &driver_file(file);
  return 0;
}

herr_t driver_query(const H5FD_t*, unsigned long* flags) {
  if (flags != nullptr) {
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA |
             H5FD_FEAT_AGGREGATE_SMALLDATA | H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
  }
  return 0;
}

haddr_t driver_get_eoa(const H5FD_t* file, H5FD_mem_t) {
  return driver_file(file).end_of_allocation;
}

herr_t driver_set_eoa(H5FD_t* file, H5FD_mem_t, haddr_t address) {
  driver_file(file).end_of_allocation = address;
  return 0;
}

haddr_t driver_get_eof(const H5FD_t* file, H5FD_mem_t) { return driver_file(file).end_of_file; }

herr_t driver_read(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t address, std::size_t size,
                   void* buffer) {
  const auto got = driver_file(file).opened->file->pread(buffer, size, address);
  if (!got) {
    last_error = got.error();
    return -1;
  }
  // Allocated and not written yet: zeros, as in a sparse file.
  std::memset(static_cast<char*>(buffer) + *got, 0, size - *got);
  return 0;
}

herr_t driver_write(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t address, std::size_t size,
                    const void* buffer) {
  DriverFile& driver = driver_file(file);
  OpenedFile& opened = *driver.opened;
  driver.end_of_file = std::max(driver.end_of_file, address + size);
  if (opened.drop_writes) return 0;
  for (const auto& [start, end] : opened.payload) {
    if (address < end && address + size > start) {
      keep_write_error(opened, {"write metadata", opened.file->path(),
                                "it would overwrite payload at " + std::to_string(address), 0});
      return 0;
    }
  }
  if (const auto written = opened.file->pwrite(buffer, size, address); !written) {
    keep_write_error(opened, written.error());
  }
  return 0;
}

// Payload written by others may end before or (never) behind the allocation:
// the size is set to what the superblock will say, whatever HDF5 wrote itself.
herr_t driver_truncate(H5FD_t* file, hid_t, hbool_t) {
  DriverFile& driver = driver_file(file);
  OpenedFile& opened = *driver.opened;
  if (!driver.writable) return 0;
  if (!opened.drop_writes) {
    if (const auto cut = opened.file->truncate(driver.end_of_allocation); !cut) {
      keep_write_error(opened, cut.error());
    }
  }
  driver.end_of_file = driver.end_of_allocation;
  return 0;
}

H5FD_class_t driver_class() {
  H5FD_class_t driver{};
  driver.name = "ckpt_file_system";
  driver.maxaddr = static_cast<haddr_t>(INT64_MAX);
  driver.fc_degree = H5F_CLOSE_STRONG;
  driver.fapl_size = sizeof(DriverInfo);
  driver.open = driver_open;
  driver.close = driver_close;
  driver.query = driver_query;
  driver.get_eoa = driver_get_eoa;
  driver.set_eoa = driver_set_eoa;
  driver.get_eof = driver_get_eof;
  driver.read = driver_read;
  driver.write = driver_write;
  driver.truncate = driver_truncate;
  // As in HDF5's own single-file drivers: metadata together, raw data together.
  for (auto& list : driver.fl_map) list = H5FD_MEM_SUPER;
  driver.fl_map[H5FD_MEM_DEFAULT] = H5FD_MEM_SUPER;
  driver.fl_map[H5FD_MEM_DRAW] = H5FD_MEM_DRAW;
  driver.fl_map[H5FD_MEM_GHEAP] = H5FD_MEM_DRAW;
  return driver;
}

hid_t registered_driver() {
  static const H5FD_class_t driver = driver_class();
  static const hid_t id = H5FDregister(&driver);
  return id;
}

}  // namespace

Result<Handle> access_list(OpenedFile& opened) {
  const std::string subject = "file access list";
  auto list = CKPT_TRY(own(H5Pcreate(H5P_FILE_ACCESS), "H5Pcreate", subject));
  const DriverInfo info{&opened};
  CKPT_TRY(check(registered_driver(), "H5FDregister", subject));
  CKPT_TRY(check(H5Pset_driver(list.get(), registered_driver(), &info), "H5Pset_driver", subject));
  CKPT_TRY(check(H5Pset_libver_bounds(list.get(), H5F_LIBVER_LATEST, H5F_LIBVER_LATEST),
                 "H5Pset_libver_bounds", subject));
  // Payload, even of one page, must be page aligned; metadata objects are
  // nearly all smaller.
  CKPT_TRY(check(H5Pset_alignment(list.get(), kPageSize, kPageSize), "H5Pset_alignment", subject));
  CKPT_TRY(check(H5Pset_meta_block_size(list.get(), 64 << 10), "H5Pset_meta_block_size", subject));
  CKPT_TRY(
      check(H5Pset_fclose_degree(list.get(), H5F_CLOSE_STRONG), "H5Pset_fclose_degree", subject));
  return list;
}

std::optional<Error> take_driver_error() { return std::exchange(last_error, std::nullopt); }

}  // namespace ckpt::image::hdf5
