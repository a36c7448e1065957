#pragma once
#include <napi.h>

#include <cstdint>
#include <string>

#include "errors.h"

// Arguments as native code reads them. Ranges and defaults are checked in TypeScript; these only
// refuse what would make C++ read the wrong memory.

struct Bytes {
  uint8_t* data = nullptr;
  size_t size = 0;
};

inline Bytes BytesArg(const Napi::Value& value, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    throw Napi::TypeError::New(value.Env(), std::string(name) + " must be a Uint8Array");
  }
  auto array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.ByteLength()};
}

// Bytes of exactly `size`, since the kernel will read that many.
inline Bytes SizedArg(const Napi::Value& value, const char* name, size_t size,
                      const std::string& object) {
  Bytes bytes = BytesArg(value, name);
  if (bytes.size != size) {
    throw Napi::RangeError::New(value.Env(), std::string(name) + " of " + object + " must be " +
                                                 std::to_string(size) + " bytes, got " +
                                                 std::to_string(bytes.size));
  }
  return bytes;
}

inline uint32_t Uint32Arg(const Napi::Value& value, uint32_t otherwise = 0) {
  return value.IsNumber() ? value.As<Napi::Number>().Uint32Value() : otherwise;
}

inline uint64_t Uint64Arg(const Napi::Value& value, uint64_t otherwise = 0) {
  return value.IsNumber() ? static_cast<uint64_t>(value.As<Napi::Number>().Int64Value())
                          : otherwise;
}

inline std::string StringArg(const Napi::Value& value, const char* name) {
  if (!value.IsString()) {
    throw Napi::TypeError::New(value.Env(), std::string(name) + " must be a string");
  }
  return value.As<Napi::String>().Utf8Value();
}

// A fresh Uint8Array that JavaScript owns, to be filled by the caller.
inline Napi::Uint8Array NewBytes(Napi::Env env, size_t size) {
  return Napi::Uint8Array::New(env, size);
}

inline Napi::Uint8Array CopyBytes(Napi::Env env, const void* data, size_t size) {
  Napi::Uint8Array bytes = NewBytes(env, size);
  if (size > 0) memcpy(bytes.Data(), data, size);
  return bytes;
}
