# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# What systemd makes of a unit before it starts its program (systemd.exec(5)),
# without systemd: rights and a mount namespace. (None of those tried here has User=.)

# Settings of a unit that confine nobody.
readonly unconfining='Type|PIDFile|Exec.*|Timeout.*|KillMode|Restart.*|Environment|EnvironmentFile|SuccessExitStatus|RemainAfterExit|OOM.*|SyslogIdentifier'

# unit_settings SERVICE: how it is confined as installed, a Key=value a line. A
# setting that is not known here is one that unit_mounts() refuses.
unit_settings() {
    sed -n '/^\[Service\]/,/^\[Install\]/s/^\([A-Za-z]\+=.*\)/\1/p' \
        "/lib/systemd/system/$1.service" | grep -Ev "^($unconfining)=" || true
}

# machine_mounts OWN AGENT PATH...: at each PATH what OWN has there, as if the
# machine were ours alone, and in /run the folder of the agent. Needs a mount
# namespace, like all below.
machine_mounts() {
    local own=$1 agent=$2 path
    shift 2
    for path; do
        mount --bind "$own$path" "$path" || return
    done
    mount --bind "$agent" /run/attest || return
    new_dev "$own/dev" || return
    # A TPM that only its group may use, as udev has it. It is none: what shall
    # not be opened need not work.
    mknod -m 660 "$own/dev/tpm0" c 1 3 && mknod -m 660 "$own/dev/tpmrm0" c 1 3 &&
        chgrp tss "$own/dev/tpm0" "$own/dev/tpmrm0" &&
        mount --move "$own/dev" /dev
}

# new_dev FOLDER: a /dev with what PrivateDevices= leaves.
new_dev() {
    local node
    mount -t tmpfs -o mode=755,nosuid dev "$1" || return
    for node in null zero full random urandom tty; do
        mknod -m 666 "$1/$node" c "$((0x$(stat -c %t "/dev/$node")))" \
            "$((0x$(stat -c %T "/dev/$node")))" || return
    done
    mkdir "$1/pts" "$1/mqueue" && mkdir -m 1777 "$1/shm" || return
    mount --bind /dev/pts "$1/pts" && mount -t tmpfs -o mode=1777 shm "$1/shm" || return
    ln -s /proc/self/fd "$1/fd" && ln -s pts/ptmx "$1/ptmx" &&
        ln -s /proc/self/fd/0 "$1/stdin" && ln -s /proc/self/fd/1 "$1/stdout" &&
        ln -s /proc/self/fd/2 "$1/stderr" && ln -s /run/systemd/journal/dev-log "$1/log"
}

# unit_mounts STAGE REACHABLE SETTING...: REACHABLE is what programs need of /tmp
# in spite of everything, folders with : between; STAGE an empty folder.
unit_mounts() {
    local stage=$1 reachable=$2 setting
    local -a writable=(/dev /proc /sys)
    shift 2
    for setting; do
        case $setting in
        PrivateDevices=yes | PrivateDevices=true)
            new_dev "$stage" && mount -o remount,bind,ro,noexec "$stage" &&
                mount --move "$stage" /dev || return
            ;;
        PrivateTmp=yes | PrivateTmp=true) new_tmp "$stage" "$reachable" || return ;;
        BindReadOnlyPaths=*) bind_read_only "${setting#*=}" || return ;;
        ProtectHome=yes | ProtectHome=true) hide_homes "$reachable" || return ;;
        ReadWritePaths=*) writable+=("${setting#*=}") ;;
        ProtectSystem=strict | NoNewPrivileges=yes | NoNewPrivileges=true) ;;
        *)
            echo "this setting cannot be reproduced: $setting" >&2
            return 1
            ;;
        esac
    done
    [[ " $* " != *' ProtectSystem=strict '* ]] || protect_system "${writable[@]}"
}

# /var/tmp is not ours to look at, as well.
new_tmp() {
    local folder
    mount -t tmpfs -o mode=1777 tmp "$1" || return
    # Folders before what is in them, which is there with them.
    while IFS= read -r folder; do
        [[ $folder == /tmp/* && ! -e $1${folder#/tmp} ]] || continue
        mkdir -p "$1${folder#/tmp}" && mount --rbind "$folder" "$1${folder#/tmp}" || return
    done < <(tr : '\n' <<<"$2" | LC_ALL=C sort)
    mount --move "$1" /tmp && mount -t tmpfs -o mode=1777 tmp /var/tmp
}

# bind_read_only [-]SOURCE[:DESTINATION]
bind_read_only() {
    local source=${1%%:*} destination=${1#*:}
    if [[ $source == -* ]]; then
        source=${source#-} destination=${destination#-}
        [[ -e $source ]] || return 0
    fi
    if [[ -d $source ]]; then
        mkdir -p "$destination" || return
    else
        [[ -e $destination ]] || { mkdir -p "${destination%/*}" && : >"$destination"; } || return
    fi
    mount --bind "$source" "$destination" && mount -o remount,bind,ro "$destination"
}

hide_homes() {
    local home
    for home in /home /root /run/user; do
        [[ ! -d $home || ":$1" == *":$home"* ]] ||
            mount -t tmpfs -o mode=0,ro home "$home" || return
    done
}

# protect_system WRITABLE...: all else read-only. What was mounted over is listed, too,
# and nobody's to reach.
protect_system() {
    local path mounted
    for path; do
        mountpoint -q "$path" || mount --bind "$path" "$path" || return
    done
    while IFS= read -r mounted; do
        for path; do
            [[ $mounted != "$path" && $mounted != "$path"/* ]] || continue 2
        done
        mountpoint -q "$mounted" || continue
        mount -o remount,bind,ro "$mounted" || return
    done < <(findmnt --raw --noheadings --output TARGET)
}

# unit_rights SETTING...: the options of setpriv(1) that go with them.
unit_rights() {
    local setting
    for setting; do
        case $setting in
        NoNewPrivileges=yes | NoNewPrivileges=true) printf '%s\n' --no-new-privs ;;
        PrivateDevices=yes | PrivateDevices=true)
            printf '%s\n' --bounding-set=-mknod,-sys_rawio
            ;;
        esac
    done
}
