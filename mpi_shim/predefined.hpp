// The table of predefined handles, as data (predefined_handles.tbl).
#pragma once

#include "mpi_shim/handles.hpp"

namespace ckpt::shim {

struct PredefinedRow {
  const char* name;    // as in mpi.h
  const char* symbol;  // of libmpi
  HandleKind kind;
  int fortran;  // -1: none
};
extern const PredefinedRow g_predefined_rows[CKPT_PREDEFINED_COUNT];

}  // namespace ckpt::shim
