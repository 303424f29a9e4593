# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# Roots of other Debians, or of this one, to try things in: made once in a cache
# outside the tree, and read only for a run. For scripts that source this, whose
# $here is their folder, and whose --apart is run_apart.

readonly cache=${ATTEST_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/attest}
readonly mirror=${ATTEST_MIRROR:-http://deb.debian.org/debian}
readonly system_path=/usr/sbin:/usr/bin:/sbin:/bin
child=

say() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

say_where_roots_are() {
    cat <<END
Roots are in ${cache/#"${HOME:-}"/\~} (ATTEST_CACHE); remove them with rm -r.
They come from $mirror (ATTEST_MIRROR).
END
}

need_root() {
    ((EUID == 0)) || {
        say "only root can mount and chroot: sudo -E scripts/${0##*/}"
        exit 1
    }
}

# with_signals COMMAND...: what it started apart ends with it.
with_signals() {
    trap '[[ -z $child ]] || kill -KILL "$child" 2>/dev/null || true' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    "$@"
}

# apart FUNCTION ARGUMENT...: in mount and process namespaces of its own. They end
# with us, and with them all that was mounted and started there, even when we are
# killed: hence the two signals.
apart() {
    local status=0
    setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child=KILL \
        "$here/${0##*/}" --apart "$@" {lock}>&- &
    child=$!
    wait "$child" || status=$?
    child=
    return "$status"
}

run_apart() {
    declare -F "${1:?}" >/dev/null || exit 2
    "$@"
}

mount_kernel() {
    mount -t proc proc "$1/proc"
    mount --rbind /dev "$1/dev"
    mount --bind /etc/resolv.conf "$1/etc/resolv.conf"
}

install_packages() {
    mount_kernel "$1"
    chroot "$1" env -i PATH="$system_path" DEBIAN_FRONTEND=noninteractive \
        sh -ec 'printf "#!/bin/sh\nexit 101\n" >/usr/sbin/policy-rc.d # starts no daemon
            chmod 755 /usr/sbin/policy-rc.d
            apt-get update -qq
            apt-get install -qq -y --no-install-recommends "$@"
            apt-get clean' sh "${@:2}" </dev/null >/dev/null
}

bootstrap() {
    local release=$1 root=$2
    command -v debootstrap >/dev/null || {
        say 'debootstrap is missing: apt-get install debootstrap'
        return 1
    }
    say "making $root, which takes some minutes"
    rm -rf --one-file-system "$root"
    mkdir -p "$root"
    debootstrap --variant=minbase "$release" "$root" "$mirror" >"$root.log" 2>&1 || {
        tail -n 5 "$root.log" >&2
        return 1
    }
    : >"$root/bootstrapped"
}

# make_root RELEASE ROOT PACKAGE...: what was cut off is never taken for a whole
# root: each step leaves its mark when it is done. Joined by || and &&, as set -e
# does not hold for our callers.
make_root() {
    local release=$1 root=$2
    shift 2
    [[ $(cat "$root/packages" 2>/dev/null) != "$*" ]] || return 0
    [[ -e $root/bootstrapped ]] || bootstrap "$release" "$root" || return
    say "installing packages into $root"
    apart install_packages "$root" "$@" &&
        printf '%s\n' "$*" >"$root/packages"
}
