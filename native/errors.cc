#include "errors.h"

#include <cstring>
#include <vector>

#include "addon_data.h"
#include "compat.h"

namespace {

constexpr const char* kLogBegin = "-- BEGIN PROG LOAD LOG --\n";
constexpr const char* kLogEnd = "-- END PROG LOAD LOG --";

// Thread-local, not per environment: libbpf calls back on the thread that called it.
thread_local LibbpfLog* current_log = nullptr;

std::string ErrnoText(int err) {
  if (err == compat::kEnotsupp) return "operation not supported by this kernel";
  char buffer[128];
  std::string text = strerror_r(err, buffer, sizeof buffer);
  if (!text.empty()) text[0] = static_cast<char>(tolower(text[0]));
  return text;
}

}  // namespace

int LibbpfLog::Collect(libbpf_print_level level, const char* format, va_list args) {
  if (level == LIBBPF_DEBUG || current_log == nullptr) return 0;
  va_list again;
  va_copy(again, args);
  int size = vsnprintf(nullptr, 0, format, again);
  va_end(again);
  if (size <= 0) return 0;
  std::vector<char> line(static_cast<size_t>(size) + 1);
  vsnprintf(line.data(), line.size(), format, args);
  current_log->text_.append(line.data(), static_cast<size_t>(size));
  return 0;
}

void LibbpfLog::Install() {
  libbpf_set_print(Collect);
}

LibbpfLog::LibbpfLog() : outer_(current_log) {
  current_log = this;
}
LibbpfLog::~LibbpfLog() {
  current_log = outer_;
}

std::string LibbpfLog::VerifierLog() const {
  size_t begin = text_.find(kLogBegin);
  if (begin == std::string::npos) return {};
  begin += strlen(kLogBegin);
  size_t end = text_.find(kLogEnd, begin);
  return text_.substr(begin, end == std::string::npos ? end : end - begin);
}

std::string LibbpfLog::Messages() const {
  std::string rest = text_;
  size_t begin = rest.find(kLogBegin);
  if (begin != std::string::npos) {
    size_t line = rest.rfind('\n', begin == 0 ? 0 : begin - 1);
    size_t end = rest.find(kLogEnd, begin);
    size_t from = line == std::string::npos ? 0 : line + 1;
    rest.erase(from, end == std::string::npos ? end : end + strlen(kLogEnd) - from);
  }
  std::string out;
  size_t at = 0;
  while (at < rest.size()) {
    size_t end = rest.find('\n', at);
    if (end == std::string::npos) end = rest.size();
    std::string line = rest.substr(at, end - at);
    at = end + 1;
    if (line.rfind("libbpf: ", 0) == 0) line.erase(0, 8);
    if (line.empty()) continue;
    if (!out.empty()) out += "; ";
    out += line;
  }
  return out;
}

std::string ErrnoName(int err) {
  if (err == compat::kEnotsupp) return "ENOTSUPP";
  const char* name = strerrorname_np(err);
  return name != nullptr ? name : "E" + std::to_string(err);
}

Napi::Error ToJs(Napi::Env env, const KernelError& error) {
  Napi::Object plain = Napi::Object::New(env);
  std::string cause = error.detail.empty() ? ErrnoText(error.err) : error.detail;
  plain.Set("errno", error.err);
  plain.Set("code", ErrnoName(error.err));
  plain.Set("syscall", error.syscall);
  plain.Set("verb", error.verb);
  plain.Set("object", error.object);
  plain.Set("cause", cause);
  if (!error.log.empty()) plain.Set("log", error.log);
  if (error.processed >= 0) plain.Set("processed", error.processed);

  AddonData* data = AddonData::Of(env);
  if (data != nullptr && !data->make_error.IsEmpty()) {
    return Napi::Error(env, data->make_error.Call({plain}));
  }
  return Napi::Error::New(env, error.verb + " " + error.object + ": " + cause);
}
