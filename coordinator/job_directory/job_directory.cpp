#include "coordinator/job_directory/job_directory.hpp"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "format/posix/durable_file.hpp"
#include "format/posix/host_name.hpp"
#include "format/posix/private_directory.hpp"

namespace ckpt::coordinator {
namespace {

using nlohmann::json;

constexpr const char* kJobFile = "job.json";
constexpr const char* kCoordinatorFile = "coordinator.json";

// Strings of the environment may be of any bytes; JSON wants UTF-8. What is not
// travels as "hex:..." so that nothing is lost.
bool is_utf8(const std::string& text) {
  try {
    static_cast<void>(json(text).dump());
    return true;
  } catch (const json::exception&) {
    return false;
  }
}

std::string to_json_text(const std::string& bytes) {
  if (is_utf8(bytes) && bytes.rfind("hex:", 0) != 0) return bytes;
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "hex:";
  for (const char c : bytes) {
    text += kDigits[static_cast<unsigned char>(c) >> 4];
    text += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

std::string from_json_text(const std::string& text) {
  if (text.rfind("hex:", 0) != 0) return text;
  std::string bytes;
  for (std::size_t i = 4; i + 1 < text.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

json to_json_list(const std::vector<std::string>& list) {
  json all = json::array();
  for (const std::string& each : list) all.push_back(to_json_text(each));
  return all;
}

std::vector<std::string> from_json_list(const json& all) {
  std::vector<std::string> list;
  for (const json& each : all) list.push_back(from_json_text(each.get<std::string>()));
  return list;
}

}  // namespace

Result<std::string> resolve_job_path(std::string_view job, const std::string& base) {
  if (job.find('/') != std::string_view::npos) {
    std::string path(job);
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    if (path.front() == '/') return path;
    char* cwd = ::getcwd(nullptr, 0);
    if (cwd == nullptr) return fail_errno("getcwd", "");
    path = std::string(cwd) + "/" + path;
    std::free(cwd);
    return path;
  }
  constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-+@";
  const bool good = !job.empty() && job.size() <= 128 && job.front() != '.' && job.front() != '-' &&
                    job.find_first_not_of(kAllowed) == std::string_view::npos;
  if (!good) {
    return fail("job name", "'" + std::string(job) + "'",
                "it is to be letters, digits and . _ - + @, not led by . or -", EINVAL);
  }
  return base + "/" + std::string(job);
}

std::string default_base_directory() {
  const char* set = std::getenv("CKPT_DIR");
  if (set != nullptr && *set != '\0') return set;
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') {
    const passwd* entry = ::getpwuid(::getuid());
    home = entry != nullptr ? entry->pw_dir : "/tmp";
  }
  return std::string(home) + "/.ckpt-coord";
}

Result<JobDirectory> JobDirectory::create(FileSystem& files, const std::string& path) {
  if (Status made = make_directories(files, path, 0700); !made) {
    return with_context(made.error(), "make job directory", path);
  }
  const auto ours = open_private_directory(path, OthersMayRead::end_it);
  if (!ours) return with_context(ours.error(), "job directory", path);
  if (::access(path.c_str(), W_OK | X_OK) != 0) return fail_errno("job directory", path);
  return JobDirectory(files, path);
}

Result<JobDirectory> JobDirectory::open(FileSystem& files, const std::string& path) {
  JobDirectory directory(files, path);
  const Result<FileStatus> there = files.stat(path);
  if (!there) return with_context(there.error(), "no such job", path);
  if (!there->directory) return fail("no such job", path, "not a directory", ENOTDIR);
  // root may look at the jobs of users; everybody else at his own.
  if (::geteuid() != 0) {
    const auto ours = open_private_directory(path, OthersMayRead::yes);
    if (!ours) return with_context(ours.error(), "job directory", path);
  }
  if (const Result<FileStatus> job = files.stat(directory.file(kJobFile)); !job) {
    return with_context(job.error(), "not a job directory", path);
  }
  return directory;
}

Result<JobDescription> parse_job(const std::string& text) {
  const json parsed = json::parse(text, nullptr, false);
  const json* value = &parsed;
  if (!value->is_object()) return fail("read", kJobFile, "not a JSON object", EINVAL);
  try {
    JobDescription job;
    job.name = value->at("job");
    job.command = from_json_list(value->at("command"));
    job.environment = from_json_list(value->at("environment"));
    job.cwd = from_json_text(value->at("cwd").get<std::string>());
    job.world_size = value->at("world_size");
    job.started_at_ns = value->at("started_at_ns");
    job.restarted_from = value->value("restarted_from", std::uint64_t{0});
    job.first_generation = value->value("first_generation", std::uint64_t{0});
    job.slurm_job = value->value("slurm_job", std::string());
    job.ran_s = value->value("ran_s", 0.0);
    job.failures = value->value("failures", std::uint64_t{0});
    const json& options = value->at("options");
    job.options.every_seconds = options.at("every_seconds");
    job.options.keep = options.at("keep");
    job.options.timeout_ms = options.at("timeout_ms");
    const JobOptions defaults;
    job.options.every_auto = options.value("every_auto", defaults.every_auto);
    job.options.mtbf_seconds = options.value("mtbf_seconds", defaults.mtbf_seconds);
    job.options.silence_ms = options.value("silence_ms", defaults.silence_ms);
    job.options.max_restarts = options.value("max_restarts", defaults.max_restarts);
    job.options.spare_hosts = options.value("spare_hosts", defaults.spare_hosts);
    job.options.on_unsupported = options.at("on_unsupported");
    job.options.listen = options.value("listen", job.options.listen);
    return job;
  } catch (const std::exception& problem) {
    return fail("read", kJobFile, problem.what(), EINVAL);
  }
}

std::string job_text(const JobDescription& job) {
  json value;
  value["job"] = job.name;
  value["command"] = to_json_list(job.command);
  value["environment"] = to_json_list(job.environment);
  value["cwd"] = to_json_text(job.cwd);
  value["world_size"] = job.world_size;
  value["started_at_ns"] = job.started_at_ns;
  value["restarted_from"] = job.restarted_from;
  value["first_generation"] = job.first_generation;
  value["slurm_job"] = job.slurm_job;
  value["ran_s"] = job.ran_s;
  value["failures"] = job.failures;
  value["options"] = {
      {"every_seconds", job.options.every_seconds},   {"keep", job.options.keep},
      {"timeout_ms", job.options.timeout_ms},         {"every_auto", job.options.every_auto},
      {"mtbf_seconds", job.options.mtbf_seconds},     {"silence_ms", job.options.silence_ms},
      {"max_restarts", job.options.max_restarts},     {"spare_hosts", job.options.spare_hosts},
      {"on_unsupported", job.options.on_unsupported}, {"listen", job.options.listen}};
  return value.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<JobDescription> JobDirectory::read_job() const {
  const std::string path = file(kJobFile);
  const auto text = read_whole(*files_, path);
  if (!text) return tl::unexpected(text.error());
  auto job = parse_job(*text);
  if (!job) return fail("read", path, job.error().cause, job.error().code);
  return job;
}

Status JobDirectory::write_job(const JobDescription& job) const {
  // The environment may hold secrets of the user: for the user's eyes only.
  return write_durably(*files_, file(kJobFile), job_text(job), 0600);
}

Result<CoordinatorAddress> JobDirectory::read_coordinator() const {
  return wire::read_coordinator_file(file(kCoordinatorFile));
}

Status JobDirectory::write_coordinator(const CoordinatorAddress& address) const {
  return write_durably(*files_, file(kCoordinatorFile), wire::coordinator_file_text(address), 0600);
}

bool JobDirectory::is_coordinator(std::int32_t pid) const {
  const auto address = read_coordinator();
  return address && address->pid == pid && address->node == host_name();
}

void JobDirectory::remove_coordinator(std::int32_t pid) const {
  if (!is_coordinator(pid)) return;
  // A stale one is found out by whoever connects.
  static_cast<void>(files_->unlink(file(kCoordinatorFile)));
}

std::string JobDirectory::lock_path(LockKind kind) const {
  switch (kind) {
    case LockKind::run: return file("run.lock");
    case LockKind::coordinator: return file("coordinator.lock");
    case LockKind::incarnation: break;
  }
  return file("incarnation.lock");
}

Result<JobLock> JobDirectory::lock(LockKind kind) const {
  const std::string path = lock_path(kind);
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return fail_errno("open", path);
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (::fcntl(fd.get(), F_OFD_SETLK, &whole) != 0) {
    if (errno != EAGAIN && errno != EACCES) return fail_errno("lock", path);
    return fail("lock", path,
                kind == LockKind::run ? "another ckpt-coord run or restart has this job"
                                      : "another coordinator serves this job",
                EWOULDBLOCK);
  }
  return JobLock(std::move(fd));
}

bool JobDirectory::is_locked(LockKind kind) const {
  const UniqueFd fd(::open(lock_path(kind).c_str(), O_RDWR | O_CLOEXEC));
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  return fd && ::fcntl(fd.get(), F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
}

}  // namespace ckpt::coordinator
