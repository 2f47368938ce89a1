// schema.hpp, SCHEMA.md and a written file say the same.
#include "format/image/schema.hpp"

#include <hdf5.h>

#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "tests/unit/format_image/sample_generation.hpp"

namespace ckpt::image {
namespace {

using Names = std::set<std::string>;

std::vector<std::string> document_rows() {
  std::ifstream file(CKPT_SCHEMA_DOCUMENT);
  EXPECT_TRUE(file) << CKPT_SCHEMA_DOCUMENT;
  std::vector<std::string> rows;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("| `")) rows.push_back(line);
  }
  return rows;
}

std::string row_of(const schema::Name& name) {
  std::string row = "| `" + std::string(name.name) + "` | " + std::string(name.type) + " | ";
  row += name.meaning.empty() ? "|" : std::string(name.meaning) + " |";
  return row;
}

TEST(Schema, DocumentHasTheTableAndNothingElse) {
  std::multiset<std::string> expected;
  for (const auto& name : schema::kAttributes) expected.insert(row_of(name));
  for (const auto& name : schema::kDatasets) expected.insert(row_of(name));
  for (const auto& name : schema::kColumns) expected.insert(row_of(name));
  const auto rows = document_rows();
  const std::multiset<std::string> actual(rows.begin(), rows.end());
  std::vector<std::string> missing, surplus;
  std::set_difference(expected.begin(), expected.end(), actual.begin(), actual.end(),
                      std::back_inserter(missing));
  std::set_difference(actual.begin(), actual.end(), expected.begin(), expected.end(),
                      std::back_inserter(surplus));
  EXPECT_EQ(missing, std::vector<std::string>{});
  EXPECT_EQ(surplus, std::vector<std::string>{});
}

// "a.b" of each name with its owner, as the table has them.
template <typename Table>
Names names_of(const Table& table) {
  Names names;
  for (const auto& entry : table)
    names.insert(std::string(entry.owner) + "." + std::string(entry.name));
  return names;
}

struct Found {
  Names attributes, datasets, columns;
  std::string owner;
};

std::string owner_of(const std::string& path) {
  if (path == ".") return "root";
  if (path == "job" || path.starts_with("job/")) return "job";
  return path == "ranks" ? "" : "rank";
}

herr_t note_attribute(hid_t, const char* name, const H5A_info_t*, void* out) {
  auto& found = *static_cast<Found*>(out);
  std::string owner = found.owner;
  if (std::string_view(name) == schema::attribute::any::xxh3_64) owner = "any";
  found.attributes.insert(owner + "." + name);
  return 0;
}

void note_dataset(Found& found, const std::string& path, hid_t object) {
  const std::string name = base_name_of(path);
  found.datasets.insert(owner_of(path) + "." + name);
  const bool strings = name == schema::dataset::command || name == schema::dataset::environment;
  found.owner = strings ? "strings" : name;
  const hid_t type = H5Dget_type(object);
  if (H5Tget_class(type) == H5T_COMPOUND) {
    for (int i = 0; i < H5Tget_nmembers(type); ++i) {
      char* column = H5Tget_member_name(type, static_cast<unsigned>(i));
      found.columns.insert(name + "." + column);
      H5free_memory(column);
    }
  }
  H5Tclose(type);
}

herr_t note_object(hid_t file, const char* name, const H5O_info_t* info, void* out) {
  auto& found = *static_cast<Found*>(out);
  const std::string path = name;
  const hid_t object = H5Oopen(file, name, H5P_DEFAULT);
  found.owner = owner_of(path);
  if (info->type == H5O_TYPE_DATASET) note_dataset(found, path, object);
  hsize_t position = 0;
  H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, &position, note_attribute, out);
  H5Oclose(object);
  return 0;
}

TEST(Schema, AWrittenFileHasTheTableAndNothingElse) {
  const sample::TemporaryDirectory directory;
  const std::string path = directory / "gen-000012.h5";
  ASSERT_TRUE(sample::write(linux_file_system(), path, sample::job(), 3));
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  ASSERT_GE(file, 0);
  Found found;
  EXPECT_GE(H5Ovisit(file, H5_INDEX_NAME, H5_ITER_INC, note_object, &found), 0);
  H5Fclose(file);
  EXPECT_EQ(found.attributes, names_of(schema::kAttributes));
  EXPECT_EQ(found.datasets, names_of(schema::kDatasets));
  EXPECT_EQ(found.columns, names_of(schema::kColumns));
}

// The enums' names, as their columns' text in the table lists them.
std::string enum_text(hid_t file, const char* dataset, const char* column) {
  const hid_t data = H5Dopen2(file, (std::string("/ranks/000000/") + dataset).c_str(), H5P_DEFAULT);
  const hid_t table = H5Dget_type(data);
  const int index = H5Tget_member_index(table, column);
  const hid_t type = H5Tget_member_type(table, static_cast<unsigned>(index));
  std::ostringstream text;
  for (int i = 0; i < H5Tget_nmembers(type); ++i) {
    std::uint32_t value = 0;
    H5Tget_member_value(type, static_cast<unsigned>(i), &value);
    char* name = H5Tget_member_name(type, static_cast<unsigned>(i));
    text << (i > 0 ? ", " : "") << name << " " << value;
    H5free_memory(name);
  }
  for (const hid_t id : {type, table}) H5Tclose(id);
  H5Dclose(data);
  return text.str();
}

TEST(Schema, EnumsHaveTheNamesOfTheTable) {
  const sample::TemporaryDirectory directory;
  const std::string path = directory / "gen-000012.h5";
  ASSERT_TRUE(sample::write(linux_file_system(), path, sample::job(), 3));
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  ASSERT_GE(file, 0);
  int enums = 0;
  for (const auto& column : schema::kColumns) {
    if (column.type != "enum") continue;
    ++enums;
    EXPECT_EQ(enum_text(file, column.owner.data(), column.name.data()), column.meaning);
  }
  EXPECT_EQ(enums, 2);
  H5Fclose(file);
}

}  // namespace
}  // namespace ckpt::image
