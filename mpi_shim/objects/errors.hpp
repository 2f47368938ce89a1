// Error classes, codes and texts.
//
// Purpose: what init needs beyond objects.hpp's raise_error.
// Threads: init_error_texts: one thread. The rest: any.
#pragma once

#include <string>

#include "mpi_shim/handles.hpp"

namespace ckpt::shim {

// Reads the texts of the predefined codes from the lower half.
void init_error_texts();

// The highest code in use: the value of MPI_LASTUSEDCODE.
int last_used_code();

// Text of a code; false when there is no such code.
bool error_text(int code, std::string& text);

Errhandler* new_errhandler(Errhandler::Kind kind, void (*function)(), bool fortran);

// Of files: MPI_FILE_NULL's.
const Errhandler* file_errhandler();

// A reference on the handler an object is to use from now on.
Errhandler* share(Errhandler* errhandler);
void release(Errhandler* errhandler);

}  // namespace ckpt::shim
