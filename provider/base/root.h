/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_BASE_ROOT_H
#define ATLS_BASE_ROOT_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * The root folder of this process. A program that calls chroot(2) after it has
 * loaded us finds none of its files under their paths any more: a reason then
 * names the chroot and not the file. Both keep errno.
 */
struct atls_root {
    dev_t device;
    ino_t inode;
};

void atls_root_note(struct atls_root *ret_root);

/* Has the process another root than when that was noted? */
bool atls_root_has_changed(const struct atls_root *root);

#endif
