/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/root.h"

#include <errno.h>
#include <sys/stat.h>

void atls_root_note(struct atls_root *ret_root)
{
    struct stat st = {0};
    int saved = errno;

    (void)stat("/", &st);
    ret_root->device = st.st_dev;
    ret_root->inode = st.st_ino;
    errno = saved;
}

bool atls_root_has_changed(const struct atls_root *root)
{
    struct atls_root now;

    atls_root_note(&now);
    return now.device != root->device || now.inode != root->inode;
}
