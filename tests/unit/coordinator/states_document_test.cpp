// checkpoint_fsm.md has the rows of states.def.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace {

TEST(StatesDocument, HasTheTablesRows) {
  std::ifstream in(std::string(CKPT_SOURCE_DIR) + "/coordinator/checkpoint_fsm/checkpoint_fsm.md");
  std::ostringstream text;
  text << in.rdbuf();
#define CKPT_STATE(name, entry, waits_for, next, lost)                                         \
  {                                                                                            \
    const std::string row = "| " #name " | " entry " | " waits_for " | " next " | " lost " |"; \
    EXPECT_NE(text.str().find(row), std::string::npos) << row;                                 \
  }
#include "coordinator/checkpoint_fsm/states.def"
#undef CKPT_STATE
}

}  // namespace
