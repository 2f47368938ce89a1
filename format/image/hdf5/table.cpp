#include "format/image/hdf5/table.hpp"

#include <algorithm>

#include "format/image/hdf5/dataset.hpp"
#include "format/image/hdf5/types.hpp"

namespace ckpt::image::hdf5 {
namespace {

Result<Handle> column_type(const Column& column, const std::string& subject) {
  switch (column.kind) {
    case ColumnKind::u8: return copy_type(H5T_STD_U8LE, subject);
    case ColumnKind::u32: return copy_type(H5T_STD_U32LE, subject);
    case ColumnKind::u64: return copy_type(H5T_STD_U64LE, subject);
    case ColumnKind::i32: return copy_type(H5T_STD_I32LE, subject);
    case ColumnKind::i64: return copy_type(H5T_STD_I64LE, subject);
    case ColumnKind::string: return string_type(column.size, subject);
    case ColumnKind::bytes: {
      const hsize_t width = column.size;
      return own(H5Tarray_create2(H5T_STD_U8LE, 1, &width), "H5Tarray_create", subject);
    }
    case ColumnKind::enumeration: break;
  }
  auto type = CKPT_TRY(own(H5Tenum_create(H5T_STD_U32LE), "H5Tenum_create", subject));
  for (const EnumName& entry : column.names) {
    CKPT_TRY(
        check(H5Tenum_insert(type.get(), entry.name, &entry.value), "H5Tenum_insert", subject));
  }
  return type;
}

Result<Handle> compound_type(const TableLayout& layout, const std::string& subject) {
  auto type = CKPT_TRY(own(H5Tcreate(H5T_COMPOUND, layout.row_size), "H5Tcreate", subject));
  for (const Column& column : layout.columns) {
    const auto member = CKPT_TRY(column_type(column, subject));
    CKPT_TRY(check(H5Tinsert(type.get(), column.name.c_str(), column.offset, member.get()),
                   "H5Tinsert", subject));
  }
  return type;
}

// Strings and bytes have the width of the file; all else must be as expected.
Status fit_column(Column& column, hid_t table_type, const std::string& subject) {
  const int index = H5Tget_member_index(table_type, column.name.c_str());
  if (index < 0) return fail("read", subject, "no column " + column.name);
  const auto position = static_cast<unsigned>(index);
  const auto type =
      CKPT_TRY(own(H5Tget_member_type(table_type, position), "H5Tget_member_type", subject));
  column.offset = H5Tget_member_offset(table_type, position);
  const Failure other = fail("read", subject, "column " + column.name + " has another type");
  const std::size_t size = H5Tget_size(type.get());
  switch (column.kind) {
    case ColumnKind::string:
      if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) != 0) {
        return other;
      }
      break;
    case ColumnKind::bytes: {
      if (H5Tget_class(type.get()) != H5T_ARRAY) return other;
      const auto base = CKPT_TRY(own(H5Tget_super(type.get()), "H5Tget_super", subject));
      if (H5Tequal(base.get(), H5T_STD_U8LE) <= 0) return other;
      break;
    }
    case ColumnKind::enumeration: {
      if (H5Tget_class(type.get()) != H5T_ENUM) return other;
      const auto base = CKPT_TRY(own(H5Tget_super(type.get()), "H5Tget_super", subject));
      if (H5Tequal(base.get(), H5T_STD_U32LE) <= 0) return other;
      break;
    }
    default: {
      const auto expected = CKPT_TRY(column_type(column, subject));
      if (H5Tequal(type.get(), expected.get()) <= 0) return other;
    }
  }
  column.size = size;
  return {};
}

}  // namespace

void LayoutCollector::note(const char* name, ColumnKind kind, std::size_t size,
                           std::span<const EnumName> names) {
  if (column_ == layout_.columns.size()) {
    layout_.columns.push_back({name, kind, std::max<std::size_t>(size, 1), 0, names});
  } else {
    auto& column = layout_.columns[column_];
    column.size = std::max(column.size, size);
  }
  ++column_;
}

TableLayout LayoutCollector::finish() {
  layout_.row_size = 0;
  for (Column& column : layout_.columns) {
    column.offset = layout_.row_size;
    layout_.row_size += column.size;
  }
  return layout_;
}

Status write_table_bytes(hid_t group, const char* name, const TableLayout& layout,
                         std::uint64_t rows, const std::vector<std::uint8_t>& bytes) {
  const auto type = CKPT_TRY(compound_type(layout, path_of(group, name)));
  return write_dataset(group, name, type.get(), {rows}, bytes.data(), bytes.size());
}

Result<TableBytes> read_table_bytes(hid_t group, const char* name, TableLayout expected) {
  const std::string subject = path_of(group, name);
  auto dataset = CKPT_TRY(read_dataset(group, name, 1));
  if (H5Tget_class(dataset.type.get()) != H5T_COMPOUND) {
    return fail("read", subject, "it is not a table");
  }
  expected.row_size = H5Tget_size(dataset.type.get());
  for (Column& column : expected.columns) {
    CKPT_TRY(fit_column(column, dataset.type.get(), subject));
  }
  return TableBytes{std::move(expected), dataset.extent[0], std::move(dataset.bytes)};
}

}  // namespace ckpt::image::hdf5
