#include <string.h>

#include "adversary.h"

uint64_t mix(uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdull;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ull;
  return x ^ (x >> 33);
}

void plan_open(struct plan* plan, uint64_t seed, int source, int ranks) {
  memset(plan, 0, sizeof *plan);
  plan->seed = seed;
  plan->source = source;
  plan->ranks = ranks;
}

struct message plan_next(struct plan* plan) {
  uint64_t h = mix(plan->seed ^ mix(((uint64_t)plan->source << 48) + plan->next++));
  struct message m;
  m.source = plan->source;
  m.destination = (int)(h % (uint64_t)plan->ranks);
  uint32_t lane = (uint32_t)(h >> 16) % 16;
  m.lane = lane < 5    ? LANE_EXACT
           : lane < 10 ? LANE_WILDCARD
           : lane < 14 ? LANE_PROBED
                       : LANE_PERSISTENT;
  m.tag = m.lane == LANE_PERSISTENT ? 0 : (int)((h >> 24) % kTags);
  uint32_t kind = (uint32_t)(h >> 40) % 16;
  m.kind = kind == 0 ? SEND_SYNCHRONOUS : kind == 1 ? SEND_BUFFERED : SEND_NORMAL;
  m.sequence = plan->sequence[m.destination][m.lane][m.tag]++;
  m.size = message_size(plan->seed, &m);
  if (m.kind == SEND_BUFFERED && m.size > 4096) m.kind = SEND_NORMAL;
  return m;
}

uint64_t message_key(uint64_t seed, const struct message* m) {
  uint64_t channel = ((uint64_t)m->source << 40) | ((uint64_t)m->destination << 24) |
                     ((uint64_t)m->lane << 16) | (uint64_t)m->tag;
  return mix(seed ^ mix(channel) ^ mix(0x5bd1e995u + (uint64_t)m->sequence));
}

/* Most are small (eager), some rendezvous, few of several megabytes: the
 * exponent is drawn, not the size, so that all protocols are in use. */
uint32_t message_size(uint64_t seed, const struct message* m) {
  uint64_t h = mix(message_key(seed, m) + 1);
  if (m->lane == LANE_PERSISTENT) return 1500;
  uint32_t draw = (uint32_t)(h % 1000);
  int bits = draw < 400   ? (int)(draw % 9)
             : draw < 800 ? 8 + (int)(draw % 5)
             : draw < 960 ? 12 + (int)(draw % 5)
             : draw < 997 ? 16 + (int)(draw % 4)
                          : 22;
  uint32_t size = (1u << bits) + (uint32_t)((h >> 20) % (1u << bits));
  uint32_t limit = m->lane == LANE_WILDCARD ? kWildcardLimit : kLargest;
  return size > limit ? limit : size;
}

static uint64_t word_of(uint64_t key, size_t index) {
  uint64_t x = key + index * 0x9e3779b97f4a7c15ull;
  x ^= x >> 29;
  return x * 0xbf58476d1ce4e5b9ull;
}

void message_fill(uint64_t key, void* buffer, size_t size) {
  char* to = buffer;
  for (size_t i = 0; i * 8 < size; i++) {
    uint64_t word = word_of(key, i);
    memcpy(to + i * 8, &word, size - i * 8 < 8 ? size - i * 8 : 8);
  }
}

long message_check(uint64_t key, const void* buffer, size_t size) {
  const char* from = buffer;
  for (size_t i = 0; i * 8 < size; i++) {
    uint64_t word = word_of(key, i);
    size_t length = size - i * 8 < 8 ? size - i * 8 : 8;
    if (memcmp(from + i * 8, &word, length) == 0) continue;
    for (size_t k = 0; k < length; k++)
      if (from[i * 8 + k] != ((const char*)&word)[k]) return (long)(i * 8 + k);
  }
  return -1;
}
