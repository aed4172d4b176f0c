#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What is forecast of a VM, from sample to sample.
exec build/tests/outlook
