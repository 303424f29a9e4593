/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader.h"

#include <dlfcn.h>
#include <link.h>
#include <openssl/crypto.h>
#include <openssl/opensslv.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "deny.h"
#include "base/opening.h"
#include "base/root.h"

#define SONAME_OF_LIBSSL_(major) "libssl.so." #major
#define SONAME_OF_LIBSSL(major) SONAME_OF_LIBSSL_(major)

/* Reasons are never freed, as contexts that refuse may ask for one at any time: so many
 * different ones are kept. */
#define REASONS_MAX 8u

__attribute__((used)) static const char interface_mark[] = ATLS_INTERFACE_MARK;

static _Atomic(const struct atls_core *) core;     /* NULL: not mapped (yet) */
static _Atomic(struct atls_reason *) inner_reason; /* why not */
static atomic_uint reason_count;

/* Both as they were when the module was loaded. */
static struct atls_root first_root;
static struct stat own_file;

/* Where the inner object's libssl lies; end 0: not known. */
static atomic_uintptr_t libssl_start, libssl_end;

/* --- where things lie ------------------------------------------------------ */

/* The path of attest.so where it was found by a relative one; else NULL. Never freed. */
static char *absolute_path;

/* The path that the dynamic linker has for it, borrowed; NULL: none. */
static const char *path_as_found(void)
{
    Dl_info self;

    if (dladdr(&core, &self) == 0 || self.dli_fname == NULL
        || strchr(self.dli_fname, '/') == NULL)
        return NULL;
    return self.dli_fname;
}

static const char *own_path(void)
{
    return absolute_path != NULL ? absolute_path : path_as_found();
}

static void note_absolute_path(void)
{
    const char *path = path_as_found();
    char *folder;

    if (path == NULL || path[0] == '/')
        return;
    folder = getcwd(NULL, 0);
    if (folder != NULL && asprintf(&absolute_path, "%s/%s", folder, path) < 0)
        absolute_path = NULL;
    free(folder);
}

void atls_loader_begin(void)
{
    const char *path;

    note_absolute_path();
    atls_root_note(&first_root);
    path = own_path();
    if (path == NULL || stat(path, &own_file) != 0)
        own_file = (struct stat){0};
}

/* Is the attest.so on disk another file than the one that is mapped? */
static bool was_upgraded(const char *path)
{
    struct stat st;

    return own_file.st_ino != 0 && stat(path, &st) == 0
           && (st.st_ino != own_file.st_ino || st.st_dev != own_file.st_dev
               || st.st_mtim.tv_sec != own_file.st_mtim.tv_sec
               || st.st_mtim.tv_nsec != own_file.st_mtim.tv_nsec);
}

struct object {
    uintptr_t address; /* one that lies in it */
    uintptr_t start, end;
};

/* Find the object in which an address lies, from its first segment to its last. */
static int find_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct object *object = arg;
    uintptr_t start = UINTPTR_MAX, end = 0;

    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t at = info->dlpi_addr + segment->p_vaddr;

        if (segment->p_type != PT_LOAD)
            continue;
        start = at < start ? at : start;
        end = at + segment->p_memsz > end ? at + segment->p_memsz : end;
    }
    if (object->address < start || object->address >= end)
        return 0;
    object->start = start;
    object->end = end;
    return 1;
}

static struct object object_of(const void *address)
{
    struct object object = {.address = (uintptr_t)address};

    (void)dl_iterate_phdr(find_object, &object);
    return object;
}

/* --- the inner object ------------------------------------------------------ */

/* The message of dlopen(3) begins with the name of a file, which may be any library that
 * the inner object needs. */
static enum atls_error fail_to_open(const char *said, struct atls_reason *why)
{
    static const char unopened[] = ": cannot open shared object file: ";
    const char *end = strstr(said, unopened);
    const struct atls_reason *before = atomic_load(&inner_reason);
    bool is_in_chroot = atls_root_has_changed(&first_root);

    if (is_in_chroot && before != NULL)
        return atls_fail_as(why, before); /* it failed outside, too */
    if (is_in_chroot)
        return atls_fail(why, ATLS_E_CONFIG,
                         "this program cannot load attest in its chroot: write "
                         "map = start in openssl.cnf" ATLS_MORE
                         ", into attest's section, then attest is ready before "
                         "that (%s)",
                         said);
    if (end == NULL)
        return atls_fail(
            why, ATLS_E_CONFIG,
            "cannot load attest's second part: %s; reinstall attest", said);
    return atls_fail(why, ATLS_E_CONFIG,
                     "cannot load attest's second part: %.*s: %s" ATLS_MORE
                     "; install it where this program runs, in its container "
                     "too, or reinstall attest",
                     (int)(end - said), said, end + sizeof(unopened) - 1);
}

/* attest.so and its second part are of two versions that do not fit. Either the
 * mapped attest.so is from before an upgrade, or the two files on disk are from two
 * packages. */
static enum atls_error fail_to_fit(const char *own, const char *second,
                                   struct atls_reason *why)
{
    if (was_upgraded(own))
        return atls_fail(why, ATLS_E_CONFIG,
                         "attest was upgraded since this program began: "
                         "restart this program" ATLS_MORE
                         " (it has the attest.so of before, which does not fit "
                         "%s)",
                         second);
    return atls_fail(why, ATLS_E_CONFIG,
                     "%s is of another version than attest.so; reinstall "
                     "attest",
                     second);
}

static void keep_libssl(const struct atls_libssl *libssl)
{
    struct object object = object_of(libssl->any_method());

    atomic_store(&libssl_start, object.start);
    atomic_store(&libssl_end, object.end);
}

/* As of dlopen(3). */
static void *open_object(const char *name, int mode)
{
    struct atls_opening opening;
    void *object;

    atls_opening_begin(&opening);
    object = dlopen(name, mode);
    atls_opening_end(&opening);
    return object;
}

/* It lies beside attest.so, by whatever name or path openssl.cnf has found that. */
static enum atls_error map_inner(struct atls_reason *why)
{
    const char *self = own_path();
    char path[4096];
    void *object;
    const struct atls_core *found;
    int length;

    if (self == NULL)
        return atls_fail(
            why, ATLS_E_CONFIG,
            "attest.so cannot find its own folder to load " ATLS_INNER_NAME);
    length = snprintf(path, sizeof(path), "%.*s/" ATLS_INNER_NAME,
                      (int)(strrchr(self, '/') - self), self);
    if (length < 0 || (size_t)length >= sizeof(path))
        return atls_fail(why, ATLS_E_CONFIG,
                         "the path of attest.so is too long");
    object = open_object(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (object == NULL)
        return fail_to_open(dlerror(), why);
    found = dlsym(object, ATLS_CORE_SYMBOL);
    if (found == NULL || strcmp(found->interface, interface_mark) != 0)
        return fail_to_fit(self, path, why);
    keep_libssl(found->libssl);
    atomic_store(&core, found);
    return ATLS_OK;
}

/* Keep why it cannot be mapped; the last reason counts. */
static void keep_reason(const struct atls_reason *why)
{
    const struct atls_reason *kept = atomic_load(&inner_reason);
    struct atls_reason *copy;

    if (kept != NULL && strcmp(kept->text, why->text) == 0)
        return;
    if (atomic_load(&reason_count) >= REASONS_MAX)
        return;
    copy = OPENSSL_memdup(why, sizeof(*why));
    if (copy == NULL)
        return;
    atomic_fetch_add(&reason_count, 1);
    atomic_store(&inner_reason, copy);
}

/* Several threads may map it at once: it is the same object. */
const struct atls_core *atls_loader_core(void)
{
    struct atls_reason why;

    if (atomic_load(&core) == NULL && map_inner(&why) != ATLS_OK)
        keep_reason(&why);
    return atomic_load(&core);
}

const struct atls_reason *atls_loader_reason(void)
{
    static const struct atls_reason no_memory = {
        .code = ATLS_E_NOMEM, .text = "no memory to load attest's second part"};
    const struct atls_reason *why = atomic_load(&inner_reason);

    return why != NULL ? why : &no_memory;
}

/* --- libssl ---------------------------------------------------------------- */

static bool find_function(void *object, const char *name, void *ret_function)
{
    void *symbol = dlsym(object, name);

    /* POSIX's way to make a function pointer of dlsym()'s result. */
    memcpy(ret_function, &symbol, sizeof(symbol));
    return symbol != NULL;
}

static bool find_functions(void *object, struct atls_libssl *ret)
{
    bool found = true;

#define FIND(member, name) \
    found = find_function(object, name, &ret->member) && found;
    ATLS_LIBSSL(FIND)
#undef FIND
    return found;
}

/* libssl is not linked here, but a program that makes an SSL_CTX has it: find it by
 * name, without loading it. First look where the inner object's symbols would be bound,
 * as a program may export a libssl of its own. */
static const struct atls_libssl *find_libssl(void)
{
    static _Atomic(struct atls_libssl *) kept;
    struct atls_libssl found, *copy = atomic_load(&kept), *none = NULL;

    if (copy != NULL)
        return copy;
    if (!find_functions(RTLD_DEFAULT, &found)
        && !find_functions(open_object(SONAME_OF_LIBSSL(OPENSSL_SHLIB_VERSION),
                                       RTLD_NOW | RTLD_NOLOAD),
                           &found))
        return NULL;
    copy = OPENSSL_memdup(&found, sizeof(found));
    if (!atomic_compare_exchange_strong(&kept, &none, copy)) {
        OPENSSL_free(copy); /* another thread was faster */
        copy = none;
    }
    return copy;
}

const struct atls_libssl *atls_loader_libssl(void)
{
    const struct atls_core *mapped = atomic_load(&core);

    return mapped != NULL ? mapped->libssl : find_libssl();
}

bool atls_loader_is_in_libssl(uintptr_t address)
{
    uintptr_t start = atomic_load(&libssl_start);
    uintptr_t end = atomic_load(&libssl_end);

    if (atomic_load(&core) == NULL) {
        const struct atls_libssl *libssl = find_libssl();
        struct object object = {0};

        if (libssl != NULL)
            object = object_of(libssl->any_method());
        start = object.start;
        end = object.end;
    }
    return address >= start && address < end;
}

void atls_loader_deny(SSL_CTX *ctx)
{
    const struct atls_libssl *libssl = atls_loader_libssl();

    if (libssl != NULL) {
        atls_deny(libssl, atls_loader_reason(), ctx);
        return;
    }
    /* A libssl that we cannot reach would go on unattested. */
    fputs("attest: cannot enforce its policy in this program; stopping it\n",
          stderr);
    abort();
}
