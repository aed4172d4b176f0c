# SPDX-License-Identifier: GPL-2.0
##make bench_forecast	forecasts of nested migrations against what became of them; hours of a busy machine
.PHONY: bench_forecast
bench: bench_forecast
bench_forecast: all modules clients
	@tests/bench/forecast/run
