# The cut's parts that need no MPI.
add_executable(mpi_shim_cut_test
  cut_agent_channel_test.cpp cut_agent_silence_test.cpp cut_agent_starts_test.cpp
  cut_channel_log_test.cpp
  cut_collective_clock_test.cpp cut_detached_process_test.cpp
  ${CMAKE_SOURCE_DIR}/mpi_shim/agent_channel.cpp ${CMAKE_SOURCE_DIR}/mpi_shim/channel_log.cpp
  ${CMAKE_SOURCE_DIR}/mpi_shim/collective_clock.cpp
  ${CMAKE_SOURCE_DIR}/mpi_shim/detached_process.cpp)
target_link_libraries(mpi_shim_cut_test PRIVATE ckpt_mpi_generated GTest::gtest_main)
gtest_discover_tests(mpi_shim_cut_test DISCOVERY_MODE PRE_TEST PROPERTIES LABELS mpi_shim)
