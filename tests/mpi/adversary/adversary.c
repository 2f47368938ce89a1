/* adversary [ROUNDS [MESSAGES [SEED [WINDOW]]]]    defaults 60 400 1 300
 *
 * ROUNDS 0: until the file $ADVERSARY_STOP exists. Each round every rank sends MESSAGES messages of
 * 1 byte to 8 megabytes, with up to WINDOW of them under way, and checks every byte and the order
 * of all that it receives. Prints "adversary: OK rounds=R messages=N bytes=B digest=D". */
#include "adversary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* All ranks agree on it, as rank 0 sees it. */
static int stop_asked(int rank) {
  const char* path = getenv("ADVERSARY_STOP");
  int stop = rank == 0 && path && access(path, F_OK) == 0;
  MPI_Bcast(&stop, 1, MPI_INT, 0, MPI_COMM_WORLD);
  return stop;
}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rounds = argc > 1 ? atoi(argv[1]) : 60;
  int per_round = argc > 2 ? atoi(argv[2]) : 400;
  uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 0) : 1;
  int window = argc > 4 ? atoi(argv[4]) : 300;
  int rank, ranks;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  if (ranks > kMaxRanks || rounds < 0 || per_round < 1 || window < 1) {
    if (rank == 0) fprintf(stderr, "adversary: at most %d ranks, positive numbers\n", kMaxRanks);
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  struct traffic* traffic = traffic_open(mix(seed), window);
  int round = 0, endless = rounds == 0;
  while (endless ? round % 4 || !stop_asked(rank) : round < rounds)
    traffic_round(traffic, round++, per_round);
  uint64_t messages, bytes, digest;
  traffic_close(traffic, &messages, &bytes, &digest);
  uint64_t expected = (uint64_t)round * (uint64_t)per_round * (uint64_t)ranks;
  if (rank == 0 && messages == expected)
    printf("adversary: OK rounds=%d messages=%" PRIu64 " bytes=%" PRIu64 " digest=%016" PRIx64 "\n",
           round, messages, bytes, digest);
  if (rank == 0 && messages != expected)
    printf("adversary: FAILED messages=%" PRIu64 " of %" PRIu64 "\n", messages, expected);
  MPI_Finalize();
  return messages == expected ? 0 : 1;
}
