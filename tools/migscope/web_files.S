/* SPDX-License-Identifier: GPL-2.0 */
/* What web.c hands out. */

.macro file name, path
	.globl	web_\name, web_\name\()_end
	.balign	8
web_\name:
	.incbin	"\path"
web_\name\()_end:
	.byte	0
.endm

	.section .rodata
	file	live_html, "tools/migscope/web/live.html"
	file	live_js, "tools/migscope/web/live.js"
	file	report_html, "tools/migscope/web/report.html"
	file	report_js, "tools/migscope/web/report.js"
	file	plots_js, "tools/migscope/web/plots.js"
	file	style_css, "tools/migscope/web/style.css"
	/* Debian's, MIT licensed, which it says at its beginning */
	file	dygraph_js, DYGRAPH
	.section .note.GNU-stack, "", @progbits
