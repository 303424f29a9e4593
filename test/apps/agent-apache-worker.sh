#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck source=lib-agent-apache.bash
. "${0%/*}/lib-agent-apache.bash"

mpm=worker
run_apache_tests "$@"
