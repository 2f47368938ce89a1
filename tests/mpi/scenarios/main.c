/* scenario NAME | --list
 *
 * Runs one scenario on the number of ranks it asks for. Rank 0 prints
 * "scenario NAME: OK" when every check of every round held. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenario.h"

struct scenario {
  const char* name;
  int ranks, level;
  const char *kind, *what;
  void (*run)(void);
};

static const struct scenario kScenarios[] = {
#define ENTRY(name, ranks, level, kind, what) \
  {#name, ranks, MPI_THREAD_##level, #kind, what, scenario_##name},
    SCENARIOS(ENTRY)
#undef ENTRY
};
enum { kCount = sizeof kScenarios / sizeof *kScenarios };

static const struct scenario* find(const char* name) {
  for (int i = 0; i < kCount; i++)
    if (strcmp(kScenarios[i].name, name) == 0) return &kScenarios[i];
  return NULL;
}

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "--list") == 0) {
    for (int i = 0; i < kCount; i++)
      printf("%s\t%d\t%s\t%s\n", kScenarios[i].name, kScenarios[i].ranks, kScenarios[i].kind,
             kScenarios[i].what);
    return 0;
  }
  const struct scenario* scenario = argc >= 2 ? find(argv[1]) : NULL;
  if (!scenario) {
    fprintf(stderr, "usage: scenario NAME | --list\n");
    return 2;
  }
  int provided;
  if (scenario->level == MPI_THREAD_SINGLE) {
    MPI_Init(&argc, &argv);
  } else {
    MPI_Init_thread(&argc, &argv, scenario->level, &provided);
    if (provided < scenario->level) {
      fprintf(stderr, "scenario %s: thread level %d not provided (%d)\n", scenario->name,
              scenario->level, provided);
      MPI_Abort(MPI_COMM_WORLD, 2);
    }
  }
  here.name = scenario->name;
  here.argc = argc;
  here.argv = argv;
  MPI_Comm_rank(MPI_COMM_WORLD, &here.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &here.size);
  CHECK(here.size == scenario->ranks, "needs %d ranks, has %d", scenario->ranks, here.size);
  const char* rounds = getenv("SCENARIO_ROUNDS");
  int count = rounds ? atoi(rounds) : 1;
  for (here.round = 1; here.round <= count; here.round++) {
    scenario->run();
    wait_go(); /* a drained send ends early: its rank must not go ahead into a collective */
    MPI_Barrier(MPI_COMM_WORLD); /* no message of a round reaches the next one */
  }
  if (here.rank == 0) printf("scenario %s: OK\n", scenario->name);
  MPI_Finalize();
  return 0;
}
