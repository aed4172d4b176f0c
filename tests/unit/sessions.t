#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What is taken for a migration, and what is not.
exec build/tests/sessions
