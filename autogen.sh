#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Make configure from a checkout.
cd "$(dirname "$0")" && exec autoreconf --force --install --warnings=all,no-portability
