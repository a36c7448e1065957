#pragma once
#include <napi.h>

#include "errors.h"

// Enters JavaScript from a libuv callback. What is thrown there becomes an uncaughtException, as
// from any event handler; nothing may unwind into libuv.
template <typename Body>
void CallJs(Napi::Env env, Body&& body) {
  Napi::HandleScope scope(env);
  napi_value thrown = nullptr;
  try {
    body(env);
    return;
  } catch (const Napi::Error& error) {
    thrown = error.Value();
  } catch (const KernelError& error) {
    try {
      thrown = ToJs(env, error).Value();
    } catch (const Napi::Error& inner) {
      thrown = inner.Value();
    }
  }
  // In a worker that is being terminated there may be nothing left to tell.
  if (thrown != nullptr) napi_fatal_exception(env, thrown);
}
