#pragma once
#include <bpf/libbpf.h>
#include <napi.h>

#include <cstdarg>
#include <string>
#include <utility>

// A failed kernel or libbpf call, as plain data: made on any thread, turned into a JavaScript
// BpfError on the environment's own.
struct KernelError {
  int err = 0;          // positive errno
  std::string syscall;  // "bpf(BPF_LINK_CREATE)", "bpf_map_update_elem", ...
  std::string verb;     // "attach", "load"
  std::string object;   // "map lb_slots", "program tc_in to eth0"
  std::string
      detail{};        // overrides strerror when it says more (libbpf's own words, both sizes, ...)
  std::string log{};   // verifier log, complete
  int processed = -1;  // elements done before a batch failed
};

// The BpfError for it, made by the factory that src/native/errors.ts registered.
Napi::Error ToJs(Napi::Env env, const KernelError& error);

// Runs a method body; what it throws as KernelError becomes a JavaScript exception.
template <typename Body>
auto Guard(Napi::Env env, Body&& body) -> decltype(body()) {
  try {
    return body();
  } catch (const KernelError& error) {
    throw ToJs(env, error);
  }
}

// "ENOENT" for 2; also for the numbers that only the kernel knows.
std::string ErrnoName(int err);

// libbpf reports to one process-wide callback. This collects what it says on the current thread
// while the collector lives, so that two threads which load at once do not mix their logs.
class LibbpfLog {
 public:
  LibbpfLog();
  ~LibbpfLog();
  LibbpfLog(const LibbpfLog&) = delete;
  LibbpfLog& operator=(const LibbpfLog&) = delete;

  // The text between libbpf's markers around a verifier log; empty when no program was refused.
  std::string VerifierLog() const;
  // What libbpf said beside that, without its "libbpf: " prefixes, lines joined by "; ".
  std::string Messages() const;
  // Installs the process-wide callback. Idempotent.
  static void Install();

 private:
  static int Collect(libbpf_print_level level, const char* format, va_list args);
  std::string text_;
  LibbpfLog* outer_;
};
