# The fake file system, for whichever unit test includes this first.
if(NOT TARGET ckpt_fake_file_system)
  add_library(ckpt_fake_file_system STATIC ${CMAKE_CURRENT_LIST_DIR}/fake_file_system.cpp)
  target_link_libraries(ckpt_fake_file_system PUBLIC ckpt_format_posix)
endif()
