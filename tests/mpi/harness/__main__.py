"""End-to-end tests: real MPI jobs are checkpointed, killed and restarted.

    /usr/bin/python3 tests/mpi/harness [--quick | --all] [--list] [CASE ...]

CASE is a name, its beginning, or a pattern (quote the *). Ends with
"N passed, N failed, N skipped"; exit status 0 when none failed.
"""
import sys

import cases_adversary
import cases_failures
import cases_image
import cases_native
import cases_programs
import cases_restarts
import cases_scenarios
import cases_storage
import cases_user
import command_line

MODULES = (cases_native, cases_programs, cases_scenarios, cases_adversary, cases_failures,
           cases_image, cases_restarts, cases_storage, cases_user)

sys.exit(command_line.run(__doc__, MODULES))
