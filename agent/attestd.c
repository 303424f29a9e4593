/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>

int main(void)
{
    fputs("attestd: being built\n", stderr);
    return 2;
}
