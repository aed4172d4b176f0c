#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What the sources make of what stands in the maps.
exec build/tests/sources
