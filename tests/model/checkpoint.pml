/* The checkpoint protocol, small enough to look at every state. README.md says
 * what is modelled, what is not, and which variant breaks which property.
 *
 * A node is one rank with its shim and agent. A coordinator is one process; the
 * second one takes over when it likes, whether the first is dead or only out of
 * touch. Files are what a rename or unlink of the shared storage makes of them.
 */
#if defined(CASE_RELEASE)
#define N 4          /* nodes */
#define TERMS 1      /* coordinators */
#define RELEASES 3
#elif defined(CASE_OVERLAP)
#define N 3
#define TERMS 1
#define RELEASES 0   /* a raise alone must do */
#else                /* CASE_TAKEOVER */
#define N 2
#define TERMS 2
#define RELEASES 0
#endif
#ifndef DEATHS
#define DEATHS 0     /* of agents */
#endif
#ifndef ABORTS
#define ABORTS 0     /* passed deadlines */
#endif
#define GENERATIONS 2
#define NOBODY 255

/* ---- the programs: op 0, 1: collective on communicator A, B; */
#define SEND 2
#define RECV 3
#define END 9
#if defined(CASE_RELEASE)
/* 1 is behind on B and waits for what 0 sends once it is past the door of A. */
#define MEMBER(g, i) ((g == 0 && (i == 0 || i == 3)) || (g == 1 && (i == 1 || i == 2)))
#define OP(i, p) ((i == 0) -> ((p == 0) -> 0 : ((p == 1) -> SEND : END)) : \
                  ((i == 3) -> ((p == 0) -> 0 : END) : \
                  ((i == 1) -> ((p == 0) -> RECV : ((p == 1) -> 1 : END)) : \
                               ((p == 0) -> 1 : END))))
#define PEER(i) ((i == 0) -> 1 : NOBODY)
#elif defined(CASE_OVERLAP)
#define MEMBER(g, i) ((g == 0 && i <= 1) || (g == 1 && i >= 1))
#define OP(i, p) ((i == 0) -> ((p == 0) -> 0 : ((p == 1) -> SEND : ((p == 2) -> 0 : END))) : \
                  ((i == 1) -> ((p == 0) -> 0 : ((p == 1) -> 1 : ((p == 2) -> RECV : \
                               ((p == 3) -> 0 : END)))) : \
                               ((p == 0) -> 1 : END)))
#define PEER(i) ((i == 0) -> 1 : NOBODY)
#else
#define MEMBER(g, i) (g == 0)
#define OP(i, p) ((p == 0) -> SEND : ((p == 1) -> 0 : ((p == 2) -> RECV : END)))
#define PEER(i) (1 - i)
#endif
#define FROM(i) ((PEER(0) == i) -> 0 : ((PEER(1) == i) -> 1 : NOBODY))

mtype = { QUIESCE, CLOCKS, TARGETS, LEVEL, RAISE, RELEASE, CUT, SENT, DRAIN, DRAINED,
          SNAPSHOT, SNAPPED, RESUME, FLUSHED, COMMITTED, ABORTED };
mtype = { free, quiescing, closed, draining };              /* a rank's doors */
mtype = { idle, quiesce, level, cut, drain, snapshot, flush, commit };

chan down[TERMS * N] = [5] of { mtype, byte, byte, byte };  /* generation and two more */
chan up[TERMS * N] = [6] of { mtype, byte, byte, byte };
#define LINK(c, n) ((c) * N + (n))

/* ---- ranks */
typedef Rank {
  byte pc; byte begun[2]; bool inside; byte sent; byte received; byte log;
  mtype doors; byte gen; byte target[2]; byte version; byte reported;
  bool known; bool parked; bool released; byte expected;
  bool frozen; byte conn;
}
Rank r[N];

/* ---- storage: what was frozen goes with the file it is in */
typedef Image { byte begun[2]; bool inside; byte sent; byte received; byte gen; }
typedef Files {
  Image image[N]; bool part[N]; bool node_file[N]; bool generation_part; byte gen;
}
Files disk[TERMS];                 /* partial files carry their writer's term */
byte visible[GENERATIONS + 1];     /* by which term, NOBODY: not there */
byte term = 0;
bool looked = false;               /* the second coordinator has looked for the newest */

bool alive[TERMS]; bool lost[TERMS]; mtype st[TERMS];
byte releases = 0, deaths = DEATHS, aborts = ABORTS, cuts = 1;

/* ---- what must hold of a generation that can be seen */
inline check_cut(c) {
  n = 0;
  do
  :: n < N ->
     assert(disk[c].node_file[n]);                          /* whole */
     assert(disk[c].image[n].gen == disk[c].gen);           /* of one cut */
     assert(!disk[c].image[n].inside);
     if
     :: PEER(n) != NOBODY ->
        assert(disk[c].image[n].sent == disk[c].image[PEER(n)].received)
     :: else
     fi;
     n++
  :: else -> break
  od;
  n = 0;
  do
  :: n < N ->
     k = 0;
     do
     :: k < N ->
        g = 0;
        do
        :: g < 2 ->
           assert(!(MEMBER(g, n) && MEMBER(g, k)) ||
                  disk[c].image[n].begun[g] == disk[c].image[k].begun[g]);
           g++
        :: else -> break
        od;
        k++
     :: else -> break
     od;
     n++
  :: else -> break
  od;
  n = 0; k = 0; g = 0
}

/* ---- a node */
inline open_doors() {
#ifndef BROKEN_DOORS
  r[i].doors = free;
#else
  if :: r[i].doors != draining -> r[i].doors = free :: else fi;
#endif
  r[i].known = false; r[i].parked = false; r[i].released = false; r[i].version = 0;
  r[i].reported = 0; r[i].target[0] = 0; r[i].target[1] = 0; r[i].expected = 0
}

inline clear_link() {
  do
  :: nempty(down[LINK(was, i)]) -> down[LINK(was, i)]?m(x, y, z)
  :: empty(down[LINK(was, i)]) -> break
  od;
  do
  :: nempty(up[LINK(was, i)]) -> up[LINK(was, i)]?m(x, y, z)
  :: empty(up[LINK(was, i)]) -> break
  od;
  m = 0; x = 0; y = 0; z = 0
}
/* Its coordinator hears of it in its own time. */
inline change_link() { was = r[i].conn; clear_link(); lost[was] = true; r[i].conn = term; was = 0 }

/* Its agent gives the generation up: doors open, copy killed, partial file gone. */
inline give_up() {
  open_doors();
  if :: r[i].frozen -> r[i].frozen = false; disk[r[i].conn].part[i] = false :: else fi
}

#define BEHIND(i) (r[i].begun[0] < r[i].target[0] || r[i].begun[1] < r[i].target[1])
#define IS_LEVEL(i) (r[i].doors == quiescing && r[i].known && !BEHIND(i) && !r[i].inside && \
                     !r[i].released && r[i].reported != r[i].version)
#define AHEAD(g) (g < 2 && r[i].begun[g] >= r[i].target[g])
#define SAY(m, x, y) up[LINK(r[i].conn, i)]!m(r[i].gen, x, y)

inline handle() {
  down[LINK(r[i].conn, i)]?m(x, y, z);
  if
  :: m == QUIESCE ->
     give_up(); r[i].gen = x; r[i].doors = quiescing;
     r[i].target[0] = r[i].begun[0]; r[i].target[1] = r[i].begun[1];
     SAY(CLOCKS, r[i].begun[0], r[i].begun[1])
  :: m != QUIESCE && x != r[i].gen                          /* crossed with an abort */
  :: m != QUIESCE && x == r[i].gen ->
     if
     :: m == TARGETS && r[i].doors == quiescing ->
        r[i].known = true; r[i].version++; r[i].parked = false;
        if :: MEMBER(0, i) && y > r[i].target[0] -> r[i].target[0] = y :: else fi;
        if :: MEMBER(1, i) && z > r[i].target[1] -> r[i].target[1] = z :: else fi
     :: m == RELEASE && r[i].doors == quiescing -> r[i].released = r[i].parked
     :: m == CUT && r[i].doors == quiescing ->
        r[i].doors = closed; SAY(SENT, r[i].sent, 0)
     :: m == DRAIN && r[i].doors == closed -> r[i].doors = draining; r[i].expected = y
     :: m == SNAPSHOT && r[i].doors != free ->
        r[i].frozen = true;
        disk[r[i].conn].image[i].begun[0] = r[i].begun[0];
        disk[r[i].conn].image[i].begun[1] = r[i].begun[1];
        disk[r[i].conn].image[i].inside = r[i].inside;
        disk[r[i].conn].image[i].sent = r[i].sent;
        disk[r[i].conn].image[i].received = r[i].received;
        disk[r[i].conn].image[i].gen = r[i].gen;
        disk[r[i].conn].part[i] = true;
        SAY(SNAPPED, 0, 0)
     :: m == RESUME && r[i].frozen -> open_doors(); SAY(FLUSHED, 0, 0)
     :: m == COMMITTED -> r[i].frozen = false
     :: m == ABORTED -> give_up()
     :: else
     fi
  fi;
  m = 0; x = 0; y = 0; z = 0
}

/* A door: pass, raise, or park. */
inline begin_collective() {
  if
  :: r[i].doors == quiescing && r[i].begun[op] >= r[i].target[op] ->   /* beyond the target */
     r[i].target[op] = r[i].begun[op] + 1;
     SAY(RAISE, op, r[i].begun[op] + 1)
  :: else
  fi;
  r[i].begun[op]++; r[i].inside = true; r[i].parked = false; r[i].released = false
}

#define MAY_BEGIN(g) (r[i].doors == free || (r[i].doors == quiescing && \
    (r[i].begun[g] < r[i].target[g] || (r[i].known && (r[i].released || BEHIND(i))))))
#define ALL_BEGAN(g) \
    ((!MEMBER(g, 0) || r[0].begun[g] >= r[i].begun[g]) && (!MEMBER(g, 1) || \
      r[1].begun[g] >= r[i].begun[g]) && (N < 3 || !MEMBER(g, 2) || \
      r[2 % N].begun[g] >= r[i].begun[g]) && (N < 4 || !MEMBER(g, 3) || \
      r[3 % N].begun[g] >= r[i].begun[g]))
#define IN_NETWORK (FROM(i) != NOBODY && r[FROM(i) % N].sent > r[i].received)

proctype Node(byte i) {
  mtype m; byte x, y, z, op, was;
end:
  do
  :: atomic { nempty(down[LINK(r[i].conn, i)]) -> handle() }
  /* the program */
  :: atomic { r[i].inside && ALL_BEGAN(OP(i, r[i].pc)) -> r[i].inside = false; r[i].pc++ }
  :: atomic { !r[i].inside && OP(i, r[i].pc) < 2 && MAY_BEGIN(OP(i, r[i].pc)) ->
       op = OP(i, r[i].pc); begin_collective(); op = 0 }
  :: atomic { !r[i].inside && OP(i, r[i].pc) < 2 && r[i].doors == quiescing && r[i].known &&
       !MAY_BEGIN(OP(i, r[i].pc)) && !r[i].parked -> r[i].parked = true }
  :: atomic { OP(i, r[i].pc) == SEND && (r[i].doors == free || r[i].doors == quiescing) ->
       r[i].sent++; r[i].pc++ }
  :: atomic { OP(i, r[i].pc) == RECV && (r[i].doors == free || r[i].doors == quiescing) &&
       (r[i].log > 0 || IN_NETWORK) ->
       if :: r[i].log > 0 -> r[i].log-- :: else -> r[i].received++ fi;
       r[i].pc++ }
  /* its shim */
  :: atomic { IS_LEVEL(i) -> r[i].reported = r[i].version; SAY(LEVEL, r[i].version, 0) }
  :: atomic { r[i].doors == draining && r[i].received < r[i].expected ->
       assert(IN_NETWORK);                                  /* what is expected was sent */
       r[i].received++; r[i].log++ }
#ifndef BROKEN_DRAIN
  :: atomic { r[i].doors == draining && r[i].received >= r[i].expected ->
#else
  :: atomic { r[i].doors == draining ->
#endif
       r[i].doors = closed; SAY(DRAINED, 0, 0) }
  /* its agent dies: the shim opens the doors, the copy and what was written stay
     where they are; a new agent connects to whom the job directory names */
  :: atomic { deaths > 0 && alive[r[i].conn] ->
       deaths--; open_doors(); r[i].frozen = false; r[i].gen = 0;
       change_link() }
  /* its connection is cut, or its coordinator is gone */
  :: atomic { !alive[r[i].conn] && term != r[i].conn && alive[term] ->
       give_up(); r[i].gen = 0; change_link() }
  :: atomic { !alive[r[i].conn] && r[i].gen != 0 ->
       give_up(); r[i].gen = 0; was = r[i].conn; clear_link(); was = 0 }
#if TERMS > 1
  :: atomic { term != r[i].conn && alive[r[i].conn] && cuts > 0 ->
       cuts--; give_up(); r[i].gen = 0; change_link() }
  :: atomic { term != r[i].conn && alive[r[i].conn] && lost[r[i].conn] ->
       give_up(); r[i].gen = 0; change_link() }
#endif
  od
}

/* ---- a coordinator */
#define LINKED(n) (r[n].conn == c)
inline send_all(message, a, b) {
  n = 0;
  do
  :: n < N -> if :: LINKED(n) -> down[LINK(c, n)]!message(gen, a, b) :: else fi; n++
  :: else -> break
  od;
  n = 0
}
inline enter(state) { st[c] = state; done = 0 }
#define ALL ((1 << N) - 1)

/* Everybody is told; what was written goes. */
inline abort_generation() {
#ifndef BROKEN_ABORT
  send_all(ABORTED, 0, 0);
#endif
  n = 0;
  do :: n < N -> disk[c].part[n] = false; n++ :: else -> break od;
  n = 0; disk[c].generation_part = false;
  enter(idle); t[0] = 0; t[1] = 0; version = 0; exp[0] = 0; exp[1] = 0
}

inline new_targets() { version++; done = 0; send_all(TARGETS, t[0], t[1]) }

inline on_message(n0) {
  up[LINK(c, n0)]?m(x, y, z);
  if
  :: x != gen || st[c] == idle || st[c] == commit
  :: x == gen && st[c] != idle && st[c] != commit ->
     if
     :: m == CLOCKS && st[c] == quiesce ->
        if :: MEMBER(0, n0) && y > t[0] -> t[0] = y :: else fi;
        if :: MEMBER(1, n0) && z > t[1] -> t[1] = z :: else fi;
        done = done | (1 << n0);
        if :: done == ALL -> enter(level); new_targets() :: else fi
     :: m == RAISE && st[c] == level ->
#ifndef BROKEN_RAISE
        if :: z > t[y] -> t[y] = z; new_targets() :: else fi
#else
        skip
#endif
     :: m == RAISE && (st[c] == cut || st[c] == drain || st[c] == snapshot) ->
        abort_generation()
     :: m == LEVEL && st[c] == level ->
#ifndef BROKEN_LEVEL
        if :: y == version -> done = done | (1 << n0) :: else fi;
#else
        done = done | (1 << n0);                            /* of whichever version */
#endif
        if :: done == ALL -> enter(cut); send_all(CUT, 0, 0) :: else fi
     :: m == SENT && st[c] == cut ->
        if :: PEER(n0) != NOBODY -> exp[PEER(n0)] = y :: else fi;
        done = done | (1 << n0);
        if
        :: done == ALL ->
           enter(drain); n = 0;
           do
           :: n < N ->
              if
              :: LINKED(n) -> down[LINK(c, n)]!DRAIN(gen, ((n < 2) -> exp[n] : 0), 0)
              :: else
              fi;
              n++
           :: else -> break
           od;
           n = 0
        :: else
        fi
     :: m == DRAINED && st[c] == drain ->
        done = done | (1 << n0);
        if :: done == ALL -> enter(snapshot); disk[c].gen = gen; send_all(SNAPSHOT, 0, 0) :: else fi
     :: m == SNAPPED && st[c] == snapshot ->
        done = done | (1 << n0);
        if :: done == ALL -> enter(flush); send_all(RESUME, 0, 0) :: else fi
     :: m == FLUSHED && st[c] == flush ->
        done = done | (1 << n0);
        if :: done == ALL -> enter(commit); k = 0 :: else fi
     :: else
     fi
  fi;
  m = 0; x = 0; y = 0; z = 0
}

/* The nodes' files of the older coordinator that belong to no generation. */
inline drop_node_files() {
  assert(visible[disk[0].gen] == NOBODY);                   /* whole for good */
  k = 0;
  do :: k < N -> disk[0].node_file[k] = false; k++ :: else -> break od;
  k = 0
}
/* They belong to the generation now: out of the model. */
inline forget_files() {
  k = 0;
  do :: k < N -> disk[c].node_file[k] = false; k++ :: else -> break od;
  k = 0
}

/* A rename fails when the file is gone, or another has the name. */
#ifndef BROKEN_FENCE
#define IN_OFFICE (term == c)
#else
#define IN_OFFICE true
#endif
#define COMMITS (alive[c] && st[c] == commit)

proctype Coordinator(byte c) {
  mtype m; byte x, y, z, n, k, g; byte gen = 0, done, version; byte t[2]; byte exp[2];
  bool asked = false;
  if
  :: c == 0 -> skip
  :: c == 1 ->
     alive[TERMS - 1] = true;
     atomic { term = 1; lost[TERMS - 1] = false }
#ifndef BROKEN_SWEEP
     /* what is half written, first; then the nodes' files of no generation */
     do
     :: n < N -> atomic { disk[0].part[n] = false; n++ }
     :: else -> break
     od;
     atomic { n = 0; disk[0].generation_part = false }
     atomic {
       if
       :: disk[0].gen != 0 && visible[disk[0].gen] == NOBODY -> drop_node_files()
       :: else
       fi
     }
#else
     /* one list, made before anything is removed, in the order of the names */
     atomic { asked = (disk[0].gen != 0 && visible[disk[0].gen] == NOBODY) }
     atomic { if :: asked -> drop_node_files() :: else fi; asked = false }
     atomic { disk[0].generation_part = false }
     do
     :: n < N -> atomic { disk[0].part[n] = false; n++ }
     :: else -> break
     od;
     n = 0;
#endif
     looked = true
  fi;
end:
  do
  :: atomic { alive[c] && nempty(up[LINK(c, 0)]) -> on_message(0) }
  :: atomic { alive[c] && nempty(up[LINK(c, 1)]) -> on_message(1) }
#if N > 2
  :: atomic { alive[c] && nempty(up[LINK(c, 2)]) -> on_message(2) }
#endif
#if N > 3
  :: atomic { alive[c] && nempty(up[LINK(c, 3)]) -> on_message(3) }
#endif
  /* a request, all ranks present */
  :: atomic { alive[c] && st[c] == idle && gen < GENERATIONS && LINKED(0) && LINKED(1) &&
#if N > 2
       LINKED(2) &&
#endif
       true ->
       lost[c] = false;
       gen++;
       if
       :: visible[gen] != NOBODY && gen < GENERATIONS -> gen++
       :: else
       fi;
       if
       :: visible[gen] == NOBODY -> enter(quiesce); send_all(QUIESCE, 0, 0)
       :: else
       fi }
  /* nothing moves, or so it seems to it */
  :: atomic { alive[c] && st[c] == level && releases < RELEASES && timeout ->
       releases++; n = 0;
       send_all(RELEASE, 0, 0); new_targets() }
  :: atomic { alive[c] && st[c] != idle && st[c] != commit && lost[c] ->
       lost[c] = false; abort_generation() }
  :: atomic { alive[c] && st[c] != idle && st[c] != commit && aborts > 0 ->
       aborts--; abort_generation() }
  /* commit: each node's file, then the generation's; each step on its own */
  :: atomic { COMMITS && k < N && IN_OFFICE -> g = 1 }       /* asked, then a gap */
     atomic {
       if
       :: COMMITS && disk[c].part[k] ->
          disk[c].part[k] = false; disk[c].node_file[k] = true; k++
       :: COMMITS && !disk[c].part[k] -> abort_generation(); k = 0
       :: else
       fi; g = 0 }
  :: atomic { COMMITS && k == N -> disk[c].generation_part = true; k++ }
  :: atomic { COMMITS && k == N + 1 && IN_OFFICE -> g = 1 }
     atomic {
       if
       :: COMMITS && disk[c].generation_part && visible[gen] == NOBODY ->
          disk[c].generation_part = false; g = 0; k = 0;
          assert(c == 1 || !looked);     /* no commit behind the successor's back */
          check_cut(c);
          visible[gen] = c; send_all(COMMITTED, 0, 0); enter(idle);
          t[0] = 0; t[1] = 0; version = 0; exp[0] = 0; exp[1] = 0; forget_files()
       :: COMMITS && !(disk[c].generation_part && visible[gen] == NOBODY) ->
          abort_generation(); k = 0
       :: else
       fi; g = 0 }
  :: atomic { COMMITS && !IN_OFFICE -> abort_generation(); k = 0 }
  /* it dies at any step */
  :: atomic { c == 0 && TERMS > 1 && alive[c] -> alive[c] = false; break }
  od
}

/* When nothing can move any more: the job is through, and every door is open. */
#define WILL_RELEASE(c) (st[c] == level && alive[c] && releases < RELEASES)
proctype Monitor() {
  byte n;
end:
  timeout && !WILL_RELEASE(0) && !WILL_RELEASE(TERMS - 1);
  do
  :: n < N ->
     assert(OP(n, r[n].pc) == END);
     assert(r[n].doors == free);
     n++
  :: else -> break
  od
}

init {
  byte n;
  atomic {
    do :: n < N -> r[n].doors = free; n++ :: else -> break od;
    n = 0;
    do :: n <= GENERATIONS -> visible[n] = NOBODY; n++ :: else -> break od;
    n = 0;
    do :: n < TERMS -> st[n] = idle; n++ :: else -> break od;
    alive[0] = true;
    n = 0;
    do :: n < N -> run Node(n); n++ :: else -> break od;
    run Coordinator(0);
#if TERMS > 1
    run Coordinator(1);
#endif
    run Monitor()
  }
}
