# SPDX-License-Identifier: GPL-2.0
##make bench_forecast	forecasts of nested migrations against what became of them; half an hour
.PHONY: bench_forecast
bench: bench_forecast
bench_forecast: check-build
	@tests/bench/forecast/run
