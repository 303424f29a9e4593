/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Digest of a component. A file: SHA-256 of its octets, what sha256sum(1)
 * prints. A folder, the tree hash of doc/PROTOCOL.md:
 *
 *   tree  = SHA-256("attest tree v1" || entry*)
 *   entry = type || flags || uint32 path_len || path || body
 *     type   one octet: 'd' folder, 'f' regular file, 'l' symbolic link
 *     flags  one octet: 0x01 for a regular file that its owner may execute,
 *            else 0x00
 *     path   relative to the folder, '/' between names, neither at its start nor
 *            at its end; octets as the file system has them
 *     body   'd': nothing; 'f': SHA-256 of the octets;
 *            'l': uint32 target_len || target
 *
 * Entries for everything below the folder, not for the folder itself, in rising
 * order of their paths' octets, as memcmp(3) orders them, a shorter one before
 * what it begins. Numbers are in network order. Owners, times, other mode bits,
 * extended attributes and hard links do not count; other mounts do.
 *
 * Every name is opened relative to its folder's descriptor and never through a
 * symbolic link, so whoever may rename things meanwhile cannot lead the walk
 * out of the tree; what changes while it is read is refused.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attester/measure.h"
#include "base/digest.h"
#include "base/opening.h"

#define TREE_LABEL "attest tree v1"
/* Each level of folders holds two descriptors, of the usual 1,024. */
#define DEPTH_MAX 64u
#define READ_SIZE 65536u

#define FLAG_EXECUTABLE 0x01u

#define CHANGED "changed while it was read: stop what writes there"

struct entry {
    char type;
    uint8_t flags;
    uint8_t digest[ATLS_SHA256_LEN]; /* of 'f' */
    char *path;                      /* owned */
    char *target;                    /* of 'l', owned */
};

struct walk {
    const char *root; /* as the user wrote it, for messages */
    struct atls_reason *why;
    EVP_MD *sha256;
    EVP_MD_CTX *md;
    uint8_t *buffer; /* READ_SIZE octets */
    size_t count;
    size_t room;
    struct entry *entries;
};

/* What is being read, for messages: ROOT or ROOT/PATH. */
static enum atls_error fail_at(const struct walk *w, const char *path,
                               enum atls_error code, const char *what)
{
    return atls_fail(w->why, code, "%s%s%s: %s", w->root,
                     *path != '\0' ? "/" : "", path, what);
}

static bool is_same_state(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec
           && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec
           && a->st_ctim.tv_sec == b->st_ctim.tv_sec
           && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static enum atls_error check_unchanged(const struct walk *w, int fd,
                                       const char *path,
                                       const struct stat *before)
{
    struct stat after;

    if (fstat(fd, &after) < 0)
        return fail_at(w, path, ATLS_E_IO, strerror(errno));
    if (!is_same_state(before, &after))
        return fail_at(w, path, ATLS_E_IO, CHANGED);
    return ATLS_OK;
}

/* Reads to the end without ever holding more than a buffer of it. */
static enum atls_error hash_octets(const struct walk *w, int fd,
                                   const char *path,
                                   uint8_t ret_digest[ATLS_SHA256_LEN])
{
    if (!EVP_DigestInit_ex2(w->md, w->sha256, NULL))
        return fail_at(w, path, ATLS_E_CRYPTO, "cannot be hashed");
    for (;;) {
        ssize_t n = read(fd, w->buffer, READ_SIZE);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_at(w, path, ATLS_E_IO, strerror(errno));
        if (n == 0)
            break;
        if (!EVP_DigestUpdate(w->md, w->buffer, (size_t)n))
            return fail_at(w, path, ATLS_E_CRYPTO, "cannot be hashed");
    }
    if (!EVP_DigestFinal_ex(w->md, ret_digest, NULL))
        return fail_at(w, path, ATLS_E_CRYPTO, "cannot be hashed");
    return ATLS_OK;
}

static enum atls_error hash_file(const struct walk *w, int fd, const char *path,
                                 const struct stat *st,
                                 uint8_t ret_digest[ATLS_SHA256_LEN])
{
    enum atls_error r = hash_octets(w, fd, path, ret_digest);

    if (r != ATLS_OK)
        return r;
    return check_unchanged(w, fd, path, st);
}

/* A new entry at the end, which owns the path then; NULL when out of memory. */
static struct entry *add_entry(struct walk *w, char *path)
{
    if (w->count == w->room) {
        size_t room = w->room == 0 ? 64 : 2 * w->room;
        struct entry *grown =
            OPENSSL_realloc(w->entries, room * sizeof(*grown));

        if (grown == NULL)
            return NULL;
        w->entries = grown;
        w->room = room;
    }
    w->entries[w->count] = (struct entry){.path = path};
    return &w->entries[w->count++];
}

static enum atls_error take_link(struct walk *w, int folder, const char *name,
                                 struct entry *entry)
{
    char target[PATH_MAX];
    ssize_t len = readlinkat(folder, name, target, sizeof(target));

    if (len < 0)
        return fail_at(w, entry->path, ATLS_E_IO, strerror(errno));
    /* The kernel's own maximum is one less. */
    if ((size_t)len == sizeof(target))
        return fail_at(w, entry->path, ATLS_E_LIMIT, "link target too long");
    entry->type = 'l';
    entry->target = OPENSSL_strndup(target, (size_t)len);
    if (entry->target == NULL)
        return atls_fail(w->why, ATLS_E_NOMEM, NULL);
    return ATLS_OK;
}

static enum atls_error walk_folder(struct walk *w, int fd, const char *path,
                                   unsigned depth);

/*
 * A file or folder, opened.
 *   seen  what its name stood for just before
 * entry is of no use once a folder was walked: the array may have moved.
 */
static enum atls_error take_opened(struct walk *w, int fd,
                                   const struct stat *seen, struct entry *entry,
                                   unsigned depth)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return fail_at(w, entry->path, ATLS_E_IO, strerror(errno));
    if (st.st_dev != seen->st_dev || st.st_ino != seen->st_ino)
        return fail_at(w, entry->path, ATLS_E_IO, CHANGED);
    if (S_ISDIR(st.st_mode)) {
        entry->type = 'd';
        return walk_folder(w, fd, entry->path, depth + 1);
    }
    entry->type = 'f';
    entry->flags = (st.st_mode & S_IXUSR) != 0 ? FLAG_EXECUTABLE : 0;
    return hash_file(w, fd, entry->path, &st, entry->digest);
}

static enum atls_error take_entry(struct walk *w, int folder, const char *name,
                                  struct entry *entry, unsigned depth)
{
    struct stat st;
    enum atls_error r;
    int fd;

    /* Looked at before it is opened: opening a device or FIFO has effects. */
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return fail_at(w, entry->path, ATLS_E_IO, strerror(errno));
    if (S_ISLNK(st.st_mode))
        return take_link(w, folder, name, entry);
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return fail_at(w, entry->path, ATLS_E_IO,
                       "neither file, folder nor symbolic link: a component "
                       "holds no devices, sockets or FIFOs");
    fd = atls_open_at(folder, name,
                      O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return fail_at(w, entry->path, ATLS_E_IO, strerror(errno));
    r = take_opened(w, fd, &st, entry, depth);
    close(fd);
    return r;
}

static enum atls_error take_name(struct walk *w, int folder, const char *path,
                                 const char *name, unsigned depth)
{
    size_t size = strlen(path) + strlen(name) + 2;
    char *joined = OPENSSL_malloc(size);
    struct entry *entry = NULL;

    if (joined != NULL) {
        snprintf(joined, size, "%s%s%s", path, *path != '\0' ? "/" : "", name);
        entry = add_entry(w, joined);
    }
    if (entry == NULL) {
        OPENSSL_free(joined);
        return atls_fail(w->why, ATLS_E_NOMEM, NULL);
    }
    return take_entry(w, folder, name, entry, depth);
}

static enum atls_error take_names(struct walk *w, DIR *names, int folder,
                                  const char *path, unsigned depth)
{
    for (;;) {
        const struct dirent *name;
        enum atls_error r;

        errno = 0;
        name = readdir(names);
        if (name == NULL && errno != 0)
            return fail_at(w, path, ATLS_E_IO, strerror(errno));
        if (name == NULL)
            return ATLS_OK;
        if (strcmp(name->d_name, ".") == 0 || strcmp(name->d_name, "..") == 0)
            continue;
        r = take_name(w, folder, path, name->d_name, depth);
        if (r != ATLS_OK)
            return r;
    }
}

static enum atls_error walk_folder(struct walk *w, int fd, const char *path,
                                   unsigned depth)
{
    DIR *names = NULL;
    enum atls_error r;
    struct stat st;
    int copy;

    if (depth > DEPTH_MAX)
        return fail_at(w, path, ATLS_E_LIMIT, "more than 64 folders deep");
    if (fstat(fd, &st) < 0)
        return fail_at(w, path, ATLS_E_IO, strerror(errno));
    copy = atls_open_copy(fd);
    if (copy >= 0)
        names = fdopendir(copy);
    if (names == NULL) {
        r = fail_at(w, path, ATLS_E_IO, strerror(errno));
        if (copy >= 0)
            close(copy);
        return r;
    }
    r = take_names(w, names, fd, path, depth);
    closedir(names);
    if (r != ATLS_OK)
        return r;
    return check_unchanged(w, fd, path, &st);
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *left = a;
    const struct entry *right = b;

    /* strcmp() compares as unsigned octets; no path holds a NUL. */
    return strcmp(left->path, right->path);
}

static int update_string(EVP_MD_CTX *md, const char *text)
{
    size_t len = strlen(text);
    uint32_t prefix = htonl((uint32_t)len);

    return EVP_DigestUpdate(md, &prefix, sizeof(prefix))
           && EVP_DigestUpdate(md, text, len);
}

static int update_entry(EVP_MD_CTX *md, const struct entry *entry)
{
    if (!EVP_DigestUpdate(md, &entry->type, 1)
        || !EVP_DigestUpdate(md, &entry->flags, 1)
        || !update_string(md, entry->path))
        return 0;
    if (entry->type == 'f')
        return EVP_DigestUpdate(md, entry->digest, sizeof(entry->digest));
    if (entry->type == 'l')
        return update_string(md, entry->target);
    return 1;
}

static enum atls_error hash_tree(struct walk *w, int fd,
                                 uint8_t ret_digest[ATLS_SHA256_LEN])
{
    enum atls_error r = walk_folder(w, fd, "", 0);
    int good;

    if (r != ATLS_OK)
        return r;
    if (w->count > 0)
        qsort(w->entries, w->count, sizeof(*w->entries), compare_entries);
    good = EVP_DigestInit_ex2(w->md, w->sha256, NULL)
           && EVP_DigestUpdate(w->md, TREE_LABEL, strlen(TREE_LABEL));
    for (size_t i = 0; good && i < w->count; i++)
        good = update_entry(w->md, &w->entries[i]);
    if (!good || !EVP_DigestFinal_ex(w->md, ret_digest, NULL))
        return fail_at(w, "", ATLS_E_CRYPTO, "cannot be hashed");
    return ATLS_OK;
}

static enum atls_error hash_component(struct walk *w, int fd,
                                      uint8_t ret_digest[ATLS_SHA256_LEN])
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return fail_at(w, "", ATLS_E_IO, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return hash_tree(w, fd, ret_digest);
    if (!S_ISREG(st.st_mode))
        return fail_at(w, "", ATLS_E_IO,
                       "neither file nor folder: for a device, give its "
                       "digest (dm-verity root hash) instead");
    return hash_file(w, fd, "", &st, ret_digest);
}

static void walk_clear(struct walk *w)
{
    for (size_t i = 0; i < w->count; i++) {
        OPENSSL_free(w->entries[i].path);
        OPENSSL_free(w->entries[i].target);
    }
    OPENSSL_free(w->entries);
    OPENSSL_free(w->buffer);
    EVP_MD_CTX_free(w->md);
    EVP_MD_free(w->sha256);
}

static enum atls_error walk_init(struct walk *w)
{
    w->sha256 = EVP_MD_fetch(atls_libctx(), "SHA2-256", NULL);
    w->md = EVP_MD_CTX_new();
    w->buffer = OPENSSL_malloc(READ_SIZE);
    if (w->sha256 == NULL || w->md == NULL || w->buffer == NULL)
        return atls_fail(w->why, ATLS_E_NOMEM, NULL);
    return ATLS_OK;
}

enum atls_error atls_component_digest(const char *path, struct atls_reason *why,
                                      uint8_t ret_digest[ATLS_SHA256_LEN])
{
    struct walk w = {.root = path, .why = why};
    enum atls_error r;
    int fd;

    fd = atls_open_file(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0)
        return atls_fail(why, ATLS_E_IO, "cannot open %s: %s", path,
                         strerror(errno));
    ERR_set_mark();
    r = walk_init(&w);
    if (r == ATLS_OK)
        r = hash_component(&w, fd, ret_digest);
    walk_clear(&w);
    ERR_pop_to_mark();
    close(fd);
    return r;
}
