/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the simulated VFIO device does: changes of its state, DMA, state that is
 * transferred.
 *
 * @device is its name, the UUID of the mediated device. Durations are in
 * nanoseconds. @result is 0 or an error number.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vfio_sim

#if !defined(_TRACE_VFIO_SIM_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_VFIO_SIM_H

#include <linux/tracepoint.h>

/* enum vfio_device_mig_state is part of the user API: its values do not change. */
#define show_vfio_sim_state(state)		\
	__print_symbolic(state,			\
		{ 0, "error" },			\
		{ 1, "stop" },			\
		{ 2, "running" },		\
		{ 3, "stop_copy" },		\
		{ 4, "resuming" },		\
		{ 5, "running_p2p" },		\
		{ 6, "pre_copy" },		\
		{ 7, "pre_copy_p2p" })

/* Whoever had it open gave it back. */
TRACE_EVENT(vfio_sim_close,
	TP_PROTO(const char *device),

	TP_ARGS(device),

	TP_STRUCT__entry(
		__string(device,	device)
	),

	TP_fast_assign(
		__assign_str(device);
	),

	TP_printk("%s", __get_str(device))
);

/*
 * One step, of which a request may need several. @protocol is 1 for the migration
 * region, 2 for VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, 0 for a reset. The step took
 * @duration; the device was in the state that it left for @stayed. A step that failed
 * leaves it there.
 */
TRACE_EVENT(vfio_sim_state,
	TP_PROTO(const char *device, u32 protocol, u32 from, u32 to, u64 duration,
		 u64 stayed, int result),

	TP_ARGS(device, protocol, from, to, duration, stayed, result),

	TP_STRUCT__entry(
		__string(device,	device)
		__field(u32,		protocol)
		__field(u32,		from)
		__field(u32,		to)
		__field(int,		result)
		__field(u64,		duration)
		__field(u64,		stayed)
	),

	TP_fast_assign(
		__assign_str(device);
		__entry->protocol = protocol;
		__entry->from	  = from;
		__entry->to	  = to;
		__entry->result	  = result;
		__entry->duration = duration;
		__entry->stayed	  = stayed;
	),

	TP_printk("device %s protocol %u %s -> %s duration %llu stayed %llu result %d",
		  __get_str(device), __entry->protocol,
		  show_vfio_sim_state(__entry->from), show_vfio_sim_state(__entry->to),
		  __entry->duration, __entry->stayed, __entry->result)
);

/*
 * A piece of a command: at most what is done without a break. @pages is how many
 * pages of guest memory it wrote, wholly or in part; @bytes what it moved. @pinned
 * is how many pages it pinned for that. After an error they are 0, and some of it may have
 * been done all the same.
 */
TRACE_EVENT(vfio_sim_dma,
	TP_PROTO(const char *device, u32 command, u64 iova, u32 pages, u32 pinned,
		 u64 bytes, u64 duration, int result),

	TP_ARGS(device, command, iova, pages, pinned, bytes, duration, result),

	TP_STRUCT__entry(
		__string(device,	device)
		__field(u32,		command)
		__field(u32,		pages)
		__field(u64,		iova)
		__field(u64,		bytes)
		__field(u64,		duration)
		__field(u32,		pinned)
		__field(int,		result)
	),

	TP_fast_assign(
		__assign_str(device);
		__entry->command  = command;
		__entry->pages	  = pages;
		__entry->iova	  = iova;
		__entry->bytes	  = bytes;
		__entry->duration = duration;
		__entry->pinned	  = pinned;
		__entry->result	  = result;
	),

	TP_printk("device %s command 0x%x iova 0x%llx pages %u pinned %u bytes %llu duration %llu result %d",
		  __get_str(device), __entry->command, __entry->iova, __entry->pages,
		  __entry->pinned, __entry->bytes, __entry->duration, __entry->result)
);

/*
 * A record of the state went out or came in whole. @bytes is its size, @total all so far. One
 * that is refused may be so before it is there: @bytes is what of it is, and @type that of the
 * record before if that is not even its head.
 */
TRACE_EVENT(vfio_sim_data,
	TP_PROTO(const char *device, bool saving, u32 type, u32 bytes, u64 total, int result),

	TP_ARGS(device, saving, type, bytes, total, result),

	TP_STRUCT__entry(
		__string(device,	device)
		__field(bool,		saving)
		__field(u32,		type)
		__field(u32,		bytes)
		__field(int,		result)
		__field(u64,		total)
	),

	TP_fast_assign(
		__assign_str(device);
		__entry->saving	= saving;
		__entry->type	= type;
		__entry->bytes	= bytes;
		__entry->result	= result;
		__entry->total	= total;
	),

	TP_printk("device %s %s %s bytes %u total %llu result %d",
		  __get_str(device), __entry->saving ? "saved" : "resumed",
		  __print_symbolic(__entry->type,
				   { 1, "hello" },
				   { 2, "memory" },
				   { 3, "state" },
				   { 4, "pins" },
				   { 5, "end" }),
		  __entry->bytes, __entry->total, __entry->result)
);

#endif /* _TRACE_VFIO_SIM_H */

#include <trace/define_trace.h>
