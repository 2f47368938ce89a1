#include "format/image/generation_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "format/image/hdf5/attribute.hpp"
#include "format/image/hdf5/dataset.hpp"
#include "format/image/payload.hpp"
#include "format/image/records/job.hpp"
#include "format/image/schema.hpp"
#include "format/posix/try.hpp"

namespace ckpt::image {
namespace {

namespace root = schema::attribute::root;

constexpr std::array<unsigned char, 8> kHdf5Signature = {0x89, 'H',  'D',  'F',
                                                         '\r', '\n', 0x1a, '\n'};

// Tells apart what HDF5 would call alike: missing, empty, cut off, foreign.
Result<std::uint64_t> check_signature(FileSystem& files, const std::string& path) {
  const auto file = CKPT_TRY(files.open(path, O_RDONLY));
  const auto status = CKPT_TRY(file->status());
  if (!status.regular) return fail("open generation", path, "it is not a regular file");
  std::array<unsigned char, 8> start{};
  const auto got = CKPT_TRY(file->pread(start.data(), start.size(), 0));
  if (got == 0) return fail("open generation", path, "the file is empty");
  if (!std::equal(start.begin(), start.begin() + static_cast<std::ptrdiff_t>(got),
                  kHdf5Signature.begin())) {
    return fail("open generation", path, "it is not an HDF5 file");
  }
  if (got < start.size()) return fail("open generation", path, "the file is truncated");
  return status.size;
}

Status check_root(GenerationFile& generation) {
  const hid_t file = generation.file.get();
  const std::string& path = generation.path;
  const bool marked = H5Aexists(file, root::format) > 0;
  const auto format =
      marked ? hdf5::read_attribute<std::string>(file, root::format) : Result<std::string>("");
  if (!format || *format != schema::kFormat) {
    return fail("open generation", path, "it is an HDF5 file, but not of ckpt-coord");
  }
  const auto version = CKPT_TRY(hdf5::read_attribute<std::uint32_t>(file, root::schema_version));
  if (version != schema::kVersion) {
    return fail("open generation", path,
                fmt::format("its schema version is {}, this program reads version {}", version,
                            schema::kVersion));
  }
  if (!CKPT_TRY(hdf5::read_attribute<bool>(file, root::complete))) {
    return fail("open generation", path, "it is unfinished: its writer did not complete it");
  }
  const auto part = CKPT_TRY(hdf5::read_attribute<std::string>(file, root::part));
  if (part != schema::kPartWhole && part != schema::kPartNode) {
    return fail("open generation", path, "it is neither whole nor a node's part: " + part);
  }
  generation.part = part == schema::kPartWhole ? GenerationPart::whole : GenerationPart::node;
  return {};
}

Result<std::string> external_file(hid_t group, const char* name, std::size_t size,
                                  const std::string& path) {
  std::vector<char> value(size);
  CKPT_TRY(hdf5::check(H5Lget_val(group, name, value.data(), value.size(), H5P_DEFAULT),
                       "read link", hdf5::path_of(group, name)));
  const char *file = nullptr, *object = nullptr;
  CKPT_TRY(hdf5::check(H5Lunpack_elink_val(value.data(), value.size(), nullptr, &file, &object),
                       "read link", hdf5::path_of(group, name)));
  const std::string expected = fmt::format("/{}/{}", schema::kRanksGroup, name);
  if (object != expected) {
    return fail("open generation", path, fmt::format("{} links {} of {}", expected, object, file));
  }
  // Absolute links are for node-local files; others lie beside the generation.
  return file[0] == '/' ? std::string(file) : directory_of(path) + "/" + file;
}

herr_t collect_name(hid_t, const char* name, const H5L_info_t*, void* out) {
  static_cast<std::vector<std::string>*>(out)->emplace_back(name);
  return 0;
}

Status read_links(GenerationFile& generation) {
  const hid_t group = generation.ranks.get();
  std::vector<std::string> names;
  hsize_t position = 0;
  CKPT_TRY(
      hdf5::check(H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, &position, collect_name, &names),
                  "list ranks of", generation.path));
  for (const std::string& name : names) {
    RankLink link;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), link.rank);
    if (parsed.ec != std::errc() || rank_group_name(link.rank) != name || link.rank < 0 ||
        link.rank >= generation.job.world_size) {
      return fail("open generation", generation.path, "it has a rank named " + name);
    }
    H5L_info_t info{};
    CKPT_TRY(hdf5::check(H5Lget_info(group, name.c_str(), &info, H5P_DEFAULT), "read link",
                         hdf5::path_of(group, name.c_str())));
    if (info.type == H5L_TYPE_EXTERNAL) {
      link.file = CKPT_TRY(external_file(group, name.c_str(), info.u.val_size, generation.path));
    } else if (info.type != H5L_TYPE_HARD) {
      return fail("open generation", generation.path, "rank " + name + " is a soft link");
    }
    generation.links.push_back(std::move(link));
  }
  std::sort(generation.links.begin(), generation.links.end(),
            [](const RankLink& a, const RankLink& b) { return a.rank < b.rank; });
  if (generation.part == GenerationPart::whole &&
      generation.links.size() != static_cast<std::size_t>(generation.job.world_size)) {
    return fail(
        "open generation", generation.path,
        fmt::format("it has {} of {} ranks", generation.links.size(), generation.job.world_size));
  }
  return {};
}

Status write_root(GenerationFile& generation) {
  const hid_t file = generation.file.get();
  CKPT_TRY(hdf5::write_attribute(file, root::format, std::string(schema::kFormat)));
  CKPT_TRY(hdf5::write_attribute(file, root::schema_version, schema::kVersion));
  const char* part =
      generation.part == GenerationPart::whole ? schema::kPartWhole : schema::kPartNode;
  CKPT_TRY(hdf5::write_attribute(file, root::part, std::string(part)));
  CKPT_TRY(hdf5::write_attribute(file, root::complete, false));
  CKPT_TRY(records::write_job(file, generation.job));
  generation.ranks = CKPT_TRY(hdf5::create_group(file, schema::kRanksGroup));
  return {};
}

}  // namespace

Status GenerationFile::close() {
  if (!file.valid()) return {};
  ranks.reset();
  const herr_t closed = H5Fclose(file.release());
  if (closed < 0) return hdf5::failure("close", path);
  return {};
}

Result<std::unique_ptr<GenerationFile>> open_generation_file(FileSystem& files,
                                                             const std::string& path) {
  auto generation = std::make_unique<GenerationFile>(files);
  generation->path = path;
  generation->size = CKPT_TRY(check_signature(files, path));
  const auto access = CKPT_TRY(hdf5::access_list(generation->opened));
  generation->file = CKPT_TRY(
      hdf5::own(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), "open generation", path));
  CKPT_TRY(check_root(*generation));
  auto job = records::read_job(generation->file.get());
  if (!job) return with_context(job.error(), "open generation", path);
  generation->job = std::move(*job);
  if (generation->job.world_size < 1) {
    return fail("open generation", path, "its world size is not positive");
  }
  auto ranks = hdf5::open_group(generation->file.get(), schema::kRanksGroup);
  if (!ranks) return with_context(ranks.error(), "open generation", path);
  generation->ranks = std::move(*ranks);
  CKPT_TRY(read_links(*generation));
  return generation;
}

Result<std::unique_ptr<GenerationFile>> create_generation_file(FileSystem& files,
                                                               const std::string& path,
                                                               const JobRecord& job,
                                                               GenerationPart part) {
  auto generation = std::make_unique<GenerationFile>(files);
  generation->path = path;
  generation->job = job;
  generation->part = part;
  const auto access = CKPT_TRY(hdf5::access_list(generation->opened));
  const auto creation = CKPT_TRY(hdf5::own(H5Pcreate(H5P_FILE_CREATE), "H5Pcreate", path));
  CKPT_TRY(hdf5::check(H5Pset_attr_phase_change(creation.get(), 64, 32), "H5Pset_attr_phase_change",
                       path));
  generation->file =
      CKPT_TRY(hdf5::own(H5Fcreate(path.c_str(), H5F_ACC_EXCL, creation.get(), access.get()),
                         "create generation", path));
  if (auto written = write_root(*generation); !written) {
    discard_generation_file(*generation);
    return with_context(written.error(), "create generation", path);
  }
  return generation;
}

Status finish_generation_file(GenerationFile& generation) {
  CKPT_TRY(hdf5::overwrite_attribute(generation.file.get(), root::complete, true));
  CKPT_TRY(generation.close());
  if (generation.opened.error) return Failure(*generation.opened.error);
  const Status synced = generation.opened.file->fsync();
  generation.opened.file.reset();
  return synced;
}

void discard_generation_file(GenerationFile& generation) {
  generation.opened.drop_writes = true;
  // The file goes: that it could not be closed in good order changes nothing.
  (void)generation.close();
  generation.opened.file.reset();
  (void)generation.opened.files->unlink(generation.path);
}

}  // namespace ckpt::image
