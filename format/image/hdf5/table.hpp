// Tables: a vector of plain records <-> an HDF5 dataset of a compound type.
//
// Purpose: each record kind names its columns once, in a function template
//   `columns(visitor, row)` that calls visitor(schema::column::T::name, member);
//   writing and reading both go through it, so they cannot disagree.
// Ownership: values. Threads: under Session.
// Units: rows are stored packed, in the machine's (little-endian) layout; the
//   dataset's checksum covers those bytes.
// Errors: a missing column, another type, a checksum that differs, an enum
//   value without a name or a string with a NUL inside: an Error naming the
//   dataset and column. Row counts are bounded by the bytes stored.
// Source: SCHEMA.md.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "format/image/hdf5/handle.hpp"
#include "format/posix/try.hpp"

namespace ckpt::image::hdf5 {

struct EnumName {
  const char* name;
  std::uint32_t value;
};

enum class ColumnKind { u8, u32, u64, i32, i64, enumeration, string, bytes };

struct Column {
  std::string name;
  ColumnKind kind = ColumnKind::u8;
  std::size_t size = 0;    // string and bytes: the widest value, at least 1
  std::size_t offset = 0;  // in the packed row
  std::span<const EnumName> names;
};

struct TableLayout {
  std::vector<Column> columns;
  std::size_t row_size = 0;
};

struct TableBytes {
  TableLayout layout;
  std::uint64_t rows = 0;
  std::vector<std::uint8_t> bytes;
};

template <typename T>
constexpr ColumnKind integer_kind() {
  if constexpr (std::is_same_v<T, bool>)
    return ColumnKind::u8;
  else if constexpr (std::is_same_v<T, std::uint32_t>)
    return ColumnKind::u32;
  else if constexpr (std::is_same_v<T, std::uint64_t>)
    return ColumnKind::u64;
  else if constexpr (std::is_same_v<T, std::int32_t>)
    return ColumnKind::i32;
  else {
    static_assert(std::is_same_v<T, std::int64_t>, "no column type for this member");
    return ColumnKind::i64;
  }
}

// First visit: which columns there are and how wide.
class LayoutCollector {
 public:
  void next_row() { column_ = 0; }

  template <typename T>
  void operator()(const char* name, const T& member) {
    if constexpr (std::is_same_v<T, std::string>) {
      note(name, ColumnKind::string, member.size() + 1);
    } else {
      note(name, integer_kind<T>(), sizeof(T));
    }
  }
  template <typename E>
  void enumeration(const char* name, const E&, std::span<const EnumName> names) {
    static_assert(sizeof(E) == sizeof(std::uint32_t));
    note(name, ColumnKind::enumeration, sizeof(std::uint32_t), names);
  }
  void bytes(const char* size_name, const char* name, const std::vector<std::uint8_t>& member) {
    note(size_name, ColumnKind::u32, sizeof(std::uint32_t));
    note(name, ColumnKind::bytes, member.size());
  }

  TableLayout finish();

 private:
  void note(const char* name, ColumnKind kind, std::size_t size,
            std::span<const EnumName> names = {});
  TableLayout layout_;
  std::size_t column_ = 0;
};

// Second visit: the rows' bytes.
class RowPacker {
 public:
  RowPacker(const TableLayout& layout, std::uint64_t rows)
      : layout_(layout), bytes_(layout.row_size * rows) {}
  void next_row() {
    row_ = started_ ? row_ + layout_.row_size : 0;
    started_ = true;
    column_ = 0;
  }

  template <typename T>
  void operator()(const char* name, const T& member) {
    if constexpr (std::is_same_v<T, std::string>) {
      if (member.find('\0') != std::string::npos && bad_.empty()) bad_ = name;
      put(member.data(), member.size());
    } else {
      put(&member, sizeof member);
    }
  }
  template <typename E>
  void enumeration(const char*, const E& member, std::span<const EnumName>) {
    put(&member, sizeof member);
  }
  void bytes(const char*, const char*, const std::vector<std::uint8_t>& member) {
    const auto size = static_cast<std::uint32_t>(member.size());
    put(&size, sizeof size);
    put(member.data(), member.size());
  }

  const std::vector<std::uint8_t>& packed() const { return bytes_; }
  // The column with a string that cannot be stored as it is; "" = none.
  const std::string& bad_column() const { return bad_; }

 private:
  void put(const void* from, std::size_t size) {
    if (size > 0) std::memcpy(bytes_.data() + row_ + layout_.columns[column_].offset, from, size);
    ++column_;
  }
  const TableLayout& layout_;
  std::vector<std::uint8_t> bytes_;
  std::size_t row_ = 0, column_ = 0;
  bool started_ = false;
  std::string bad_;
};

// The way back. The layout is the expected one with the file's widths.
class RowUnpacker {
 public:
  explicit RowUnpacker(const TableBytes& table) : table_(table) {}
  void next_row() {
    row_ = started_ ? row_ + table_.layout.row_size : 0;
    started_ = true;
    column_ = 0;
  }

  template <typename T>
  void operator()(const char* name, T& member) {
    const std::uint8_t* from = cell();
    if constexpr (std::is_same_v<T, std::string>) {
      const auto* text = reinterpret_cast<const char*>(from);
      member.assign(text, strnlen(text, table_.layout.columns[column_].size));
    } else if constexpr (std::is_same_v<T, bool>) {
      if (*from > 1) note_bad(name);
      member = *from != 0;
    } else {
      std::memcpy(&member, from, sizeof member);
    }
    ++column_;
  }
  template <typename E>
  void enumeration(const char* name, E& member, std::span<const EnumName> names) {
    std::uint32_t value = 0;
    std::memcpy(&value, cell(), sizeof value);
    bool known = false;
    for (const EnumName& entry : names) known = known || entry.value == value;
    if (!known) note_bad(name);
    member = static_cast<E>(value);
    ++column_;
  }
  void bytes(const char* size_name, const char*, std::vector<std::uint8_t>& member) {
    std::uint32_t size = 0;
    std::memcpy(&size, cell(), sizeof size);
    ++column_;
    if (size > table_.layout.columns[column_].size) {
      note_bad(size_name);
      size = 0;
    }
    member.assign(cell(), cell() + size);
    ++column_;
  }

  const std::string& bad_column() const { return bad_; }

 private:
  const std::uint8_t* cell() const {
    return table_.bytes.data() + row_ + table_.layout.columns[column_].offset;
  }
  void note_bad(const char* name) {
    if (bad_.empty()) bad_ = name;
  }
  const TableBytes& table_;
  std::size_t row_ = 0, column_ = 0;
  bool started_ = false;
  std::string bad_;
};

// Names the dataset in errors by its whole path in the file.
std::string path_of(hid_t group, const char* name);

Status write_table_bytes(hid_t group, const char* name, const TableLayout& layout,
                         std::uint64_t rows, const std::vector<std::uint8_t>& bytes);
// `expected` has the columns; offsets and widths come from the file.
Result<TableBytes> read_table_bytes(hid_t group, const char* name, TableLayout expected);

template <typename Row, typename Columns>
Status write_table(hid_t group, const char* name, const std::vector<Row>& rows, Columns columns) {
  LayoutCollector collector;
  const Row blank{};
  if (rows.empty()) columns(collector, blank);
  for (const Row& row : rows) {
    collector.next_row();
    columns(collector, row);
  }
  const TableLayout layout = collector.finish();
  RowPacker packer(layout, rows.size());
  for (const Row& row : rows) {
    packer.next_row();
    columns(packer, row);
  }
  if (!packer.bad_column().empty()) {
    return fail("write", path_of(group, name), "a NUL inside of " + packer.bad_column());
  }
  return write_table_bytes(group, name, layout, rows.size(), packer.packed());
}

template <typename Row, typename Columns>
Result<std::vector<Row>> read_table(hid_t group, const char* name, Columns columns) {
  LayoutCollector collector;
  const Row blank{};
  columns(collector, blank);
  const TableBytes table = CKPT_TRY(read_table_bytes(group, name, collector.finish()));
  std::vector<Row> rows(table.rows);
  RowUnpacker unpacker(table);
  for (Row& row : rows) {
    unpacker.next_row();
    columns(unpacker, row);
  }
  if (!unpacker.bad_column().empty()) {
    return fail("read", path_of(group, name), "a value out of range in " + unpacker.bad_column());
  }
  return rows;
}

}  // namespace ckpt::image::hdf5
