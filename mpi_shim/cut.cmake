# Sources of the cut: doors, requests, point to point, drain, the shim's thread.
set(CKPT_CUT_SOURCES
  agent_channel.cpp agent_starter.cpp cancel.cpp channel_log.cpp collective_clock.cpp
  completion.cpp completion_watch.cpp counted_barrier.cpp cut_state.cpp detached_process.cpp
  doors.cpp drain.cpp farewells.cpp
  inherited_sockets.cpp init.cpp logged_messages.cpp persistent.cpp point_to_point.cpp private_comms.cpp probe.cpp
  rank_cut.cpp requests.cpp restart_entry.cpp sendrecv.cpp shim_thread.cpp thread_state.cpp)
list(TRANSFORM CKPT_CUT_SOURCES PREPEND ${CMAKE_CURRENT_LIST_DIR}/)
