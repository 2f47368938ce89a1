/* More than one thread. */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "scenario.h"

static _Thread_local int own_number = -1;

struct worker {
  MPI_Comm comm;
  atomic_int stop;
  atomic_long exchanged;
  int number;
};

/* Plays ball with the other rank until rank 0 says it is enough: then the
 * ball is negative. */
static void* play(void* argument) {
  struct worker* w = argument;
  own_number = w->number;
  int other = 1 - here.rank;
  long ball = 0;
  for (;;) {
    if (here.rank == 0) {
      long send = atomic_load(&w->stop) ? -1 : ball;
      MPI_Send(&send, 1, MPI_LONG, other, 1, w->comm);
      if (send < 0) break;
      MPI_Recv(&ball, 1, MPI_LONG, other, 1, w->comm, MPI_STATUS_IGNORE);
      CHECK(ball == send + 1, "ball %ld after %ld", ball, send);
    } else {
      long got;
      MPI_Recv(&got, 1, MPI_LONG, other, 1, w->comm, MPI_STATUS_IGNORE);
      if (got < 0) break;
      CHECK(got == ball, "ball %ld, expected %ld", got, ball);
      ball = got + 1;
      MPI_Send(&ball, 1, MPI_LONG, other, 1, w->comm);
    }
    atomic_fetch_add(&w->exchanged, 1);
    CHECK(own_number == w->number, "thread-local variable is %d", own_number);
  }
  return NULL;
}

static void start(pthread_t* thread, void* (*body)(void*), void* argument) {
  CHECK(pthread_create(thread, NULL, body, argument) == 0, "pthread_create");
}

void scenario_helper_thread(void) {
  enum { kWorkers = 2 };
  struct worker workers[kWorkers];
  pthread_t threads[kWorkers];
  for (int i = 0; i < kWorkers; i++) {
    workers[i] = (struct worker){.number = i};
    MPI_Comm_dup(MPI_COMM_WORLD, &workers[i].comm);
    start(&threads[i], play, &workers[i]);
    while (atomic_load(&workers[i].exchanged) == 0) usleep(1000);
  }
  hold();
  MPI_Barrier(MPI_COMM_WORLD);
  for (int i = 0; i < kWorkers; i++) {
    atomic_store(&workers[i].stop, 1);
    pthread_join(threads[i], NULL);
    long own = atomic_load(&workers[i].exchanged), counts[2];
    MPI_Allgather(&own, 1, MPI_LONG, counts, 1, MPI_LONG, MPI_COMM_WORLD);
    CHECK(counts[0] == counts[1] && counts[0] > 0, "%ld and %ld exchanges", counts[0], counts[1]);
    MPI_Comm_free(&workers[i].comm);
  }
}

static void* receive_one(void* argument) {
  int* got = argument;
  MPI_Recv(got, 1, MPI_INT, 1 - here.rank, 21, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  return NULL;
}

void scenario_thread_blocked(void) {
  pthread_t thread;
  int got = -1, value = here.rank + 100;
  start(&thread, receive_one, &got);
  hold();
  MPI_Send(&value, 1, MPI_INT, 1 - here.rank, 21, MPI_COMM_WORLD);
  pthread_join(thread, NULL);
  CHECK(got == 101 - here.rank, "received %d", got);
}

static void* send_many(void* argument) {
  int number = *(int*)argument;
  for (int i = 0; i < 200; i++) {
    int out = number * 1000 + i, in;
    MPI_Sendrecv(&out, 1, MPI_INT, 1 - here.rank, number, &in, 1, MPI_INT, 1 - here.rank, number,
                 MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK(in == out, "thread %d: %d", number, in);
  }
  return NULL;
}

void scenario_thread_new_after(void) {
  enum { kThreads = 4 };
  pthread_t threads[kThreads];
  int numbers[kThreads], provided, main_thread;
  hold();
  for (int i = 0; i < kThreads; i++) {
    numbers[i] = i + 1;
    start(&threads[i], send_many, &numbers[i]);
  }
  for (int i = 0; i < kThreads; i++) pthread_join(threads[i], NULL);
  MPI_Query_thread(&provided);
  MPI_Is_thread_main(&main_thread);
  CHECK(provided == MPI_THREAD_MULTIPLE && main_thread, "level %d main %d", provided, main_thread);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int turn, finish;
static atomic_long naps;

static void* wait_for_turn(void* argument) {
  int number = *(int*)argument;
  own_number = number;
  pthread_mutex_lock(&mutex);
  while (turn != number) pthread_cond_wait(&changed, &mutex);
  CHECK(own_number == number, "thread-local variable is %d", own_number);
  turn++;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
  return argument;
}

static void* sleep_often(void* argument) {
  (void)argument;
  for (;;) {
    pthread_mutex_lock(&mutex);
    int end = finish;
    pthread_mutex_unlock(&mutex);
    if (end) return NULL;
    struct timespec pause = {0, 3000000};
    CHECK(nanosleep(&pause, NULL) == 0, "nanosleep was interrupted");
    atomic_fetch_add(&naps, 1);
  }
}

void scenario_threads_without_mpi(void) {
  enum { kThreads = 3 };
  pthread_t threads[kThreads], sleeper;
  int numbers[kThreads] = {1, 2, 3};
  turn = finish = 0;
  for (int i = 0; i < kThreads; i++) start(&threads[i], wait_for_turn, &numbers[i]);
  start(&sleeper, sleep_often, NULL);
  hold();
  long before = atomic_load(&naps);
  pthread_mutex_lock(&mutex);
  turn = 1;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
  for (int i = 0; i < kThreads; i++) {
    void* result;
    pthread_join(threads[i], &result);
    CHECK(result == &numbers[i], "result of thread %d", i);
  }
  while (atomic_load(&naps) < before + 3) usleep(1000);
  pthread_mutex_lock(&mutex);
  finish = 1;
  pthread_mutex_unlock(&mutex);
  pthread_join(sleeper, NULL);
  MPI_Barrier(MPI_COMM_WORLD);
}
