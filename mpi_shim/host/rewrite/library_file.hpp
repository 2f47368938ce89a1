// A shared library's file: its executable sections and function ranges.
//
// Ownership: holds the whole file in memory. Errors: Result with the reason.
// Source: elf(5); LSB 5.0 10.6 (.eh_frame); System V ABI x86-64 chapter 4.
#pragma once

#include <elf.h>

#include <cstdint>
#include <string>
#include <vector>

#include "format/posix/result.hpp"

namespace ckpt::rewrite {

struct CodeRange {
  std::uint64_t address = 0, end = 0;  // as linked
  std::uint64_t offset = 0;            // in the file, of `address`
  bool function = false;               // named by .eh_frame; else what lies between
};

class LibraryFile {
 public:
  static Result<LibraryFile> open(const std::string& path);

  const std::vector<std::uint8_t>& bytes() const { return bytes_; }
  const std::vector<Elf64_Phdr>& segments() const { return segments_; }
  // All executable sections, cut into functions and what lies between them.
  Result<std::vector<CodeRange>> code_ranges() const;

 private:
  struct Section {
    std::string name;
    Elf64_Shdr header;
  };
  Status read_headers();
  Result<std::vector<CodeRange>> frame_functions() const;

  std::string path_;
  std::vector<std::uint8_t> bytes_;
  std::vector<Elf64_Phdr> segments_;
  std::vector<Section> sections_;
};

}  // namespace ckpt::rewrite
