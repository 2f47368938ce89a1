#include "format/image/payload.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "format/image/generation_reader.hpp"
#include "format/image/generation_writer.hpp"
#include "format/image/hdf5/attribute.hpp"
#include "format/image/hdf5/dataset.hpp"
#include "format/image/schema.hpp"
#include "format/posix/try.hpp"

namespace ckpt::image {
namespace {

constexpr std::uint32_t kEncodingVersion = 1;
constexpr std::uint64_t kMostPages = UINT64_MAX / 2 / kPageSize;

Result<hdf5::Handle> payload_creation_list(const std::string& subject) {
  auto list = CKPT_TRY(hdf5::own(H5Pcreate(H5P_DATASET_CREATE), "H5Pcreate", subject));
  // Room now, and not a byte written: the pages come by pwrite, from others.
  CKPT_TRY(hdf5::check(H5Pset_layout(list.get(), H5D_CONTIGUOUS), "H5Pset_layout", subject));
  CKPT_TRY(hdf5::check(H5Pset_alloc_time(list.get(), H5D_ALLOC_TIME_EARLY), "H5Pset_alloc_time",
                       subject));
  CKPT_TRY(
      hdf5::check(H5Pset_fill_time(list.get(), H5D_FILL_TIME_NEVER), "H5Pset_fill_time", subject));
  return list;
}

Failure bad_block(const RankImage& image, std::uint64_t block, std::string cause) {
  const std::uint64_t first = block * kChecksumBlockPages;
  const std::uint64_t last = std::min(first + kChecksumBlockPages, image.payload_pages) - 1;
  return fail("read",
              fmt::format("{} rank {} /{}/{}/{} block {} (pages {}-{})", image.payload_file,
                          image.rank, schema::kRanksGroup, rank_group_name(image.rank),
                          schema::dataset::pages, block, first, last),
              std::move(cause));
}

Status read_block(File& file, const RankImage& image, const std::vector<std::uint64_t>& checksums,
                  std::uint64_t block, std::uint8_t* buffer) {
  const std::uint64_t first = block * kChecksumBlockPages;
  const std::uint64_t size = std::min(kChecksumBlockPages, image.payload_pages - first) * kPageSize;
  const auto got = file.pread(buffer, size, image.payload_offset + first * kPageSize);
  if (!got) return bad_block(image, block, got.error().message());
  if (*got != size) return bad_block(image, block, "the file ends inside of it");
  if (block_checksum(buffer, size) != checksums[block]) {
    return bad_block(image, block, "checksum mismatch");
  }
  return {};
}

}  // namespace

std::string rank_group_name(std::int32_t rank) { return fmt::format("{:06}", rank); }

std::uint64_t blocks_of(std::uint64_t pages) {
  return pages / kChecksumBlockPages + (pages % kChecksumBlockPages != 0 ? 1 : 0);
}

std::uint64_t block_checksum(const void* bytes, std::uint64_t size) {
  return XXH3_64bits(bytes, size);
}

Result<std::uint64_t> create_payload(hid_t group, std::uint64_t pages) {
  const std::string subject = hdf5::path_of(group, schema::dataset::pages);
  if (pages > kMostPages) return fail("create", subject, "too many pages", EFBIG);
  const hsize_t extent[] = {pages, kPageSize};
  const auto space =
      CKPT_TRY(hdf5::own(H5Screate_simple(2, extent, nullptr), "H5Screate", subject));
  const auto list = CKPT_TRY(payload_creation_list(subject));
  const auto dataset =
      CKPT_TRY(hdf5::own(H5Dcreate2(group, schema::dataset::pages, H5T_STD_U8LE, space.get(),
                                    H5P_DEFAULT, list.get(), H5P_DEFAULT),
                         "create dataset", subject));
  CKPT_TRY(hdf5::write_attribute(dataset.get(), schema::attribute::pages::encoding,
                                 std::string(schema::kEncodingRaw)));
  CKPT_TRY(
      hdf5::write_attribute(dataset.get(), schema::attribute::pages::version, kEncodingVersion));
  if (pages == 0) return 0;
  const haddr_t offset = H5Dget_offset(dataset.get());
  if (offset == HADDR_UNDEF) return hdf5::failure("H5Dget_offset", subject);
  if (offset % kPageSize != 0) {
    return fail("create", subject, fmt::format("its offset {} is not page aligned", offset));
  }
  return offset;
}

Status write_payload_checksums(hid_t group, const std::vector<std::uint64_t>& checksums) {
  CKPT_TRY(hdf5::write_numbers(group, schema::dataset::page_checksums, checksums));
  const auto dataset =
      CKPT_TRY(hdf5::own(H5Dopen2(group, schema::dataset::page_checksums, H5P_DEFAULT),
                         "open dataset", hdf5::path_of(group, schema::dataset::page_checksums)));
  return hdf5::write_attribute(dataset.get(), schema::attribute::page_checksums::block_pages,
                               kChecksumBlockPages);
}

Status read_payload_place(hid_t group, RankImage& image) {
  const std::string subject = hdf5::path_of(group, schema::dataset::pages);
  const auto dataset = CKPT_TRY(
      hdf5::own(H5Dopen2(group, schema::dataset::pages, H5P_DEFAULT), "open dataset", subject));
  const auto encoding = CKPT_TRY(
      hdf5::read_attribute<std::string>(dataset.get(), schema::attribute::pages::encoding));
  const auto version = CKPT_TRY(
      hdf5::read_attribute<std::uint32_t>(dataset.get(), schema::attribute::pages::version));
  if (encoding != schema::kEncodingRaw || version != kEncodingVersion) {
    return fail(
        "read", subject,
        fmt::format("encoding {} version {} is not known to this program", encoding, version));
  }
  const auto space = CKPT_TRY(hdf5::own(H5Dget_space(dataset.get()), "H5Dget_space", subject));
  const auto type = CKPT_TRY(hdf5::own(H5Dget_type(dataset.get()), "H5Dget_type", subject));
  const auto list =
      CKPT_TRY(hdf5::own(H5Dget_create_plist(dataset.get()), "H5Dget_create_plist", subject));
  hsize_t extent[2] = {};
  if (H5Sget_simple_extent_ndims(space.get()) != 2 ||
      H5Sget_simple_extent_dims(space.get(), extent, nullptr) != 2 || extent[1] != kPageSize ||
      extent[0] > kMostPages || H5Tequal(type.get(), H5T_STD_U8LE) <= 0 ||
      H5Pget_layout(list.get()) != H5D_CONTIGUOUS) {
    return fail("read", subject, "it is not a contiguous array of pages");
  }
  image.payload_pages = extent[0];
  image.payload_offset = 0;
  if (image.payload_pages == 0) return {};
  const haddr_t offset = H5Dget_offset(dataset.get());
  if (offset == HADDR_UNDEF || offset % kPageSize != 0) {
    return fail("read", subject, "its pages are not at a page aligned place in the file");
  }
  image.payload_offset = offset;
  return {};
}

Result<std::vector<std::uint64_t>> read_payload_checksums(hid_t group, std::uint64_t pages) {
  const std::string subject = hdf5::path_of(group, schema::dataset::page_checksums);
  auto checksums = CKPT_TRY(hdf5::read_numbers(group, schema::dataset::page_checksums));
  const auto dataset = CKPT_TRY(hdf5::own(
      H5Dopen2(group, schema::dataset::page_checksums, H5P_DEFAULT), "open dataset", subject));
  const auto block_pages = CKPT_TRY(hdf5::read_attribute<std::uint64_t>(
      dataset.get(), schema::attribute::page_checksums::block_pages));
  if (block_pages != kChecksumBlockPages || checksums.size() != blocks_of(pages)) {
    return fail("read", subject, "it does not have one checksum a block of pages");
  }
  return checksums;
}

Status read_payload(File& file, const RankImage& image, const std::vector<std::uint64_t>& checksums,
                    std::uint64_t first, std::uint64_t pages, void* buffer) {
  if (first > image.payload_pages || pages > image.payload_pages - first ||
      checksums.size() != blocks_of(image.payload_pages)) {
    return fail("read", fmt::format("rank {} pages {}+{}", image.rank, first, pages),
                "the payload does not hold them");
  }
  auto* out = static_cast<std::uint8_t*>(buffer);
  std::vector<std::uint8_t> partly;
  const std::uint64_t end = first + pages;
  for (std::uint64_t at = first; at < end;) {
    const std::uint64_t block = at / kChecksumBlockPages;
    const std::uint64_t block_first = block * kChecksumBlockPages;
    const std::uint64_t block_end =
        std::min(block_first + kChecksumBlockPages, image.payload_pages);
    const std::uint64_t until = std::min(block_end, end);
    if (at == block_first && until == block_end) {
      CKPT_TRY(read_block(file, image, checksums, block, out));
    } else {
      partly.resize(kChecksumBlockBytes);
      CKPT_TRY(read_block(file, image, checksums, block, partly.data()));
      std::memcpy(out, partly.data() + (at - block_first) * kPageSize, (until - at) * kPageSize);
    }
    out += (until - at) * kPageSize;
    at = until;
  }
  return {};
}

}  // namespace ckpt::image
