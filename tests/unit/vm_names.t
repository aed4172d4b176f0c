#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Names of VMs from command lines that nobody should trust.
exec build/tests/vm_names "${MIGSCOPE_SEED:-1}"
