#pragma once
#include <napi.h>

#include <optional>
#include <utility>

#include "errors.h"

// Runs `execute` on the thread pool and settles a promise with what `complete` makes of its result
// on the environment's thread. The result is plain C++; if the environment ends first it is
// destroyed, so descriptors in it are closed.
template <typename Result, typename ExecuteFn, typename CompleteFn>
class AsyncWork : public Napi::AsyncWorker {
 public:
  static Napi::Promise Run(Napi::Env env, const char* name, ExecuteFn execute,
                           CompleteFn complete) {
    auto* work = new AsyncWork(env, name, std::move(execute), std::move(complete));
    Napi::Promise promise = work->deferred_.Promise();
    work->Queue();
    return promise;
  }

 private:
  AsyncWork(Napi::Env env, const char* name, ExecuteFn execute, CompleteFn complete)
      : Napi::AsyncWorker(env, name),
        deferred_(Napi::Promise::Deferred::New(env)),
        execute_(std::move(execute)),
        complete_(std::move(complete)) {}

  void Execute() override {
    try {
      result_.emplace(execute_());
    } catch (KernelError& error) {
      error_.emplace(std::move(error));
    }
  }
  void OnOK() override {
    Napi::Env env = Env();
    try {
      if (error_) {
        deferred_.Reject(ToJs(env, *error_).Value());
      } else {
        deferred_.Resolve(complete_(env, *result_));
      }
    } catch (const Napi::Error& error) {
      deferred_.Reject(error.Value());
    } catch (const KernelError& error) {
      deferred_.Reject(ToJs(env, error).Value());
    }
  }

  Napi::Promise::Deferred deferred_;
  ExecuteFn execute_;
  CompleteFn complete_;
  std::optional<Result> result_;
  std::optional<KernelError> error_;
};

template <typename Execute, typename Complete>
Napi::Promise RunAsync(Napi::Env env, const char* name, Execute execute, Complete complete) {
  using Result = decltype(execute());
  return AsyncWork<Result, Execute, Complete>::Run(env, name, std::move(execute),
                                                   std::move(complete));
}
