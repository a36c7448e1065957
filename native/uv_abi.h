// The few libuv calls this addon makes, declared here because the node-api-headers package carries
// no uv.h and a clean machine must not download one. Only opaque pointers and stable 1.x functions:
// a handle is allocated with the size that the running libuv reports, and its data pointer is
// reached by function, so nothing depends on the layout of uv_handle_t.
#pragma once
#include <cstddef>

extern "C" {
struct uv_loop_s;
struct uv_handle_s;
struct uv_poll_s;
using uv_loop_t = uv_loop_s;
using uv_handle_t = uv_handle_s;
using uv_poll_t = uv_poll_s;
using uv_poll_cb = void (*)(uv_poll_t* handle, int status, int events);
using uv_close_cb = void (*)(uv_handle_t* handle);

size_t uv_handle_size(int type);
int uv_poll_init(uv_loop_t* loop, uv_poll_t* handle, int fd);
int uv_poll_start(uv_poll_t* handle, int events, uv_poll_cb cb);
int uv_poll_stop(uv_poll_t* handle);
void uv_close(uv_handle_t* handle, uv_close_cb cb);
void uv_ref(uv_handle_t* handle);
void uv_unref(uv_handle_t* handle);
void* uv_handle_get_data(const uv_handle_t* handle);
void uv_handle_set_data(uv_handle_t* handle, void* data);
}

constexpr int kUvPollHandle = 8;  // UV_POLL in uv_handle_type, fixed for libuv 1.x
constexpr int kUvReadable = 1;    // UV_READABLE
