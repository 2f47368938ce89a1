// PROTOCOL.md lists the messages of messages.def, between its markers, exactly.
// To bring it up to date: CKPT_UPDATE_PROTOCOL=1 test_format_wire
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

namespace {

constexpr const char* kBegin = "<!-- messages.def begins -->\n";
constexpr const char* kEnd = "<!-- messages.def ends -->\n";

std::string plain_type(std::string type) {
  const std::pair<const char*, const char*> names[] = {
      {"std::vector<", "list of "}, {">", ""},  {"std::uint", "u"},         {"std::int", "i"},
      {"std::string", "string"},    {"_t", ""}, {"ChannelList", "channels"}};
  for (const auto& [from, to] : names) {
    for (std::size_t at; (at = type.find(from)) != std::string::npos;) {
      type.replace(at, std::string(from).size(), to);
    }
  }
  return type;
}

std::string expected_tables() {
  std::ostringstream out;
#define CKPT_HEADING out << "\n| field | type | meaning |\n|---|---|---|\n"
#define CKPT_ENTRY_BEGIN(Name, meaning)                       \
  out << "### " #Name " (list entry)\n" << (meaning) << "\n"; \
  CKPT_HEADING;
#define CKPT_ENTRY_END(Name) out << "\n";
#define CKPT_MESSAGE_BEGIN(Name, number, sender, receiver, meaning)                        \
  out << "### " #number " " #Name ": " #sender " to " #receiver "\n" << (meaning) << "\n"; \
  CKPT_HEADING;
#define CKPT_MESSAGE_END(Name) out << "\n";
#define CKPT_FIELD(type, name, meaning) \
  out << "| `" #name "` | " << plain_type(#type) << " | " << (meaning) << " |\n";
#include "format/wire/messages.def"
  return out.str();
}

std::string read_all(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST(ProtocolDocument, ListsEveryMessageAsTheTableHasIt) {
  const std::string path = std::string(CKPT_SOURCE_DIR) + "/format/wire/PROTOCOL.md";
  const std::string text = read_all(path);
  const std::size_t begin = text.find(kBegin);
  const std::size_t end = text.find(kEnd);
  ASSERT_NE(begin, std::string::npos);
  ASSERT_NE(end, std::string::npos);
  const std::size_t start = begin + std::string(kBegin).size();
  const std::string expected = expected_tables();
  if (std::getenv("CKPT_UPDATE_PROTOCOL") != nullptr) {
    std::ofstream(path) << text.substr(0, start) << expected << text.substr(end);
    return;
  }
  EXPECT_EQ(text.substr(start, end - start), expected);
}

}  // namespace
