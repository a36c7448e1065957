/* SPDX-License-Identifier: GPL-2.0 */
/* Types that no map mentions (events, enums) vanish from BTF unless something in .rodata names
 * them; user space reads names and layouts from there.
 */
#pragma once
#include "service.h"
#include "flow.h"
#include "verdict.h"
#include "event.h"
#include "config.h"
#include "settings.h"

struct abi_anchors {
	struct lb_event event;
	enum lb_frontend_kind frontend_kind;
	enum lb_frontend_type frontend_type;
	enum lb_frontend_flags frontend_flags;
	enum lb_backend_state backend_state;
	enum lb_address_flags address_flags;
	enum ct_dir dir;
	enum ct_flow_flags flow_flags;
	enum sock_entry_kind sock_entry_kind;
	enum drop_reason drop_reason;
	enum lb_path path;
	enum lb_event_kind event_kind;
	enum lb_hook hook;
	enum lb_device_class device_class;
	enum lb_setting_flags setting_flags;
	enum drain drain;
};
