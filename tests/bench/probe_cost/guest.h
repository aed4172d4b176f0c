/* SPDX-License-Identifier: GPL-2.0 */
#ifndef PROBE_COST_GUEST_H
#define PROBE_COST_GUEST_H

/* guest.S; the four bytes before guest_words say how many words of a page are written */
extern const char guest_code[], guest_words[], guest_code_end[];

#endif
