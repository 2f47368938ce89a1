// tracee_shared_and_files DIRECTORY: shared memory of each kind, mapped files,
// and open descriptors with their positions. What it writes after the snapshot
// must be undone by the restart. DIRECTORY.taken-N tells it that snapshot N was taken.
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstdint>
#include <string>

#include "tests/tracees/tracee.hpp"

namespace {

constexpr std::size_t kSize = 64 << 10;

std::uint64_t pattern(std::size_t i, std::uint64_t seed) {
  return (i + seed) * 0x9e3779b97f4a7c15ull;
}

void fill(std::uint64_t* words, std::uint64_t seed) {
  for (std::size_t i = 0; i < kSize / 16; ++i) words[i] = pattern(i, seed);
}
void check(const std::uint64_t* words, std::uint64_t seed) {
  for (std::size_t i = 0; i < kSize / 16; ++i) EXPECT(words[i] == pattern(i, seed));
  for (std::size_t i = kSize / 16; i < kSize / 8; ++i) EXPECT(words[i] == 0);
}

std::uint64_t* map(int flags, int fd) {
  void* at = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, flags, fd, 0);
  EXPECT(at != MAP_FAILED);
  return static_cast<std::uint64_t*>(at);
}

int make(const std::string& path, int flags) {
  const int fd = open(path.c_str(), flags | O_CREAT | O_TRUNC, 0600);
  EXPECT(fd >= 0);
  return fd;
}

int open_descriptors() {
  int count = 0;
  for (int i = 0; i < 4096; ++i) count += fcntl(i, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

// From the snapshot (`taken` names a file that tells of it) until the process is
// killed: changes that must not last.
void spoil_until_restarted(std::uint64_t* file, std::uint64_t* named, int append,
                           const std::string& taken, int number) {
  const long pid = syscall(SYS_getpid);
  for (;;) {
    // In this order: a restart between the two must not end in a change.
    const bool after_snapshot = access(taken.c_str(), F_OK) == 0;
    if (syscall(SYS_getpid) != pid) break;
    if (!after_snapshot) continue;
    file[kSize / 8 - 1] = 1;
    named[kSize / 8 - 1] = 1;
    if (lseek(append, 0, SEEK_END) < 4096) EXPECT(write(append, "lost\n", 5) == 5);
  }
  std::printf("restarted %d\n", number);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  EXPECT(argc > 1);
  const std::string directory = argv[1];
  const int open_before = open_descriptors();
  const std::string shm_name = "/tracee-" + std::to_string(getpid());
  const std::string removed_name = shm_name + "-removed";

  int fd = make(directory + "/shared", O_RDWR);
  EXPECT(ftruncate(fd, kSize) == 0);
  std::uint64_t* file = map(MAP_SHARED, fd);
  close(fd);
  fd = shm_open(shm_name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
  EXPECT(fd >= 0 && ftruncate(fd, kSize) == 0);
  std::uint64_t* named = map(MAP_SHARED, fd);
  std::uint64_t* named_again = map(MAP_SHARED, fd);
  close(fd);
  fd = shm_open(removed_name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
  EXPECT(fd >= 0 && ftruncate(fd, kSize) == 0);
  std::uint64_t* removed = map(MAP_SHARED, fd);
  close(fd);
  shm_unlink(removed_name.c_str());
  std::uint64_t* nameless = map(MAP_SHARED | MAP_ANONYMOUS, -1);
  fd = make(directory + "/private", O_RDWR);
  for (std::size_t i = 0; i < kSize / 8; ++i) {
    const std::uint64_t word = i < kSize / 16 ? pattern(i, 5) : 0;
    EXPECT(write(fd, &word, 8) == 8);
  }
  std::uint64_t* copied = map(MAP_PRIVATE, fd);
  close(fd);
  fill(file, 1);
  fill(named, 2);
  fill(removed, 3);
  fill(nameless, 4);
  copied[kSize / 8 - 1] = 99;
  EXPECT(named_again[3] == named[3]);

  const int append = make(directory + "/append", O_WRONLY | O_APPEND);
  EXPECT(write(append, "first\n", 6) == 6);
  const int reader = make(directory + "/data", O_RDWR);
  EXPECT(write(reader, "0123456789", 10) == 10 && lseek(reader, 4, SEEK_SET) == 4);
  const int shared_position = dup(reader);
  const int other = open((directory + "/data").c_str(), O_RDONLY | O_CLOEXEC);
  EXPECT(fcntl(other, F_DUPFD, 200) == 200);
  const int null = open("/dev/null", O_WRONLY);
  DIR* list = opendir(directory.c_str());
  EXPECT(readdir(list) != nullptr);
  umask(027);
  EXPECT(chdir(directory.c_str()) == 0);

  std::printf("ready\n");
  std::fflush(stdout);
  for (int i = 1; i <= restarts_wanted(); ++i) {
    spoil_until_restarted(file, named, append, directory + ".taken-" + std::to_string(i), i);
    check(file, 1);
    check(named, 2);
    EXPECT(lseek(append, 0, SEEK_END) == 6);
  }
  check(removed, 3);
  check(nameless, 4);
  EXPECT(copied[kSize / 8 - 1] == 99);
  copied[kSize / 8 - 1] = 0;
  check(copied, 5);
  named[5] = 77;
  EXPECT(named_again[5] == 77);

  EXPECT(write(append, "second\n", 7) == 7);
  char bytes[3] = {};
  EXPECT(read(shared_position, bytes, 2) == 2 && std::strcmp(bytes, "45") == 0);
  EXPECT(lseek(reader, 0, SEEK_CUR) == 6);
  EXPECT(lseek(other, 0, SEEK_CUR) == 0 && (fcntl(other, F_GETFD) & FD_CLOEXEC) != 0);
  EXPECT(read(200, bytes, 2) == 2 && lseek(other, 0, SEEK_CUR) == 2);
  EXPECT((fcntl(200, F_GETFD) & FD_CLOEXEC) == 0);
  EXPECT((fcntl(append, F_GETFL) & O_APPEND) != 0);
  EXPECT(write(null, "x", 1) == 1);
  int entries = 1;
  while (readdir(list) != nullptr) ++entries;
  EXPECT(entries == 6);
  EXPECT(umask(027) == 027);
  char here[4096];
  EXPECT(getcwd(here, sizeof here) != nullptr);
  EXPECT(access("append", F_OK) == 0);
  EXPECT(open_descriptors() == open_before + 7);  // none of the restore's own
  shm_unlink(shm_name.c_str());
  good();
}
