// What an agent inherits from the rank that starts it, and must not keep.
//
// Purpose: a rank is bound to its core and its memory node, and its program may
//   have set any umask, limit, directory or scheduling class; the agent works for the
//   whole node. (Hard limits and the nice value stay: nobody can take them back.)
// Ownership: the process. Threads: before any other thread is made.
// Errors: none: what cannot be changed stays as it is.
// Source: sched_setaffinity(2), sched_setscheduler(2), set_mempolicy(2), setrlimit(2).
#pragma once

namespace ckpt::relay {

// `rank_pid`: the rank that started it; 0: none did.
void leave_the_rank(int rank_pid);

}  // namespace ckpt::relay
