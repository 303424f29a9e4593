/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/quoter_done.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/opening.h"

struct atls_done_list {
    int fd;
    pthread_mutex_t lock;
    /* Below: called with lock held. */
    TAILQ_HEAD(atls_done_links, atls_done_link) links;
};

enum atls_error atls_done_list_new(struct atls_reason *why,
                                   struct atls_done_list **ret_list)
{
    struct atls_done_list *list = OPENSSL_zalloc(sizeof(*list));

    if (list == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    list->fd = atls_open_eventfd();
    if (list->fd < 0) {
        OPENSSL_free(list);
        return atls_fail(why, ATLS_E_IO,
                         "cannot wait for quotes: %s; raise the limit of "
                         "descriptors (LimitNOFILE=)",
                         strerror(errno));
    }
    TAILQ_INIT(&list->links);
    (void)pthread_mutex_init(&list->lock, NULL); /* cannot fail on Linux */
    *ret_list = list;
    return ATLS_OK;
}

void atls_done_list_free(struct atls_done_list *list)
{
    if (list == NULL)
        return;
    close(list->fd);
    pthread_mutex_destroy(&list->lock);
    OPENSSL_free(list);
}

int atls_done_list_fd(const struct atls_done_list *list)
{
    return list->fd;
}

/* The descriptor is readable while the list is not empty: one write and one read
 * for all tickets of a batch. An eventfd that stands at zero takes a one and one
 * that stands at one gives it back, so neither can fail. All with lock held. */
static void raise_event(struct atls_done_list *list)
{
    const uint64_t one = 1;
    ssize_t n = write(list->fd, &one, sizeof(one));

    (void)n;
}

static void clear_event(struct atls_done_list *list)
{
    uint64_t count;
    ssize_t n = read(list->fd, &count, sizeof(count));

    (void)n;
}

static void insert(struct atls_done_list *list, struct atls_done_link *link)
{
    if (TAILQ_EMPTY(&list->links))
        raise_event(list);
    TAILQ_INSERT_TAIL(&list->links, link, entry);
    link->is_listed = true;
}

static void take_out(struct atls_done_list *list, struct atls_done_link *link)
{
    TAILQ_REMOVE(&list->links, link, entry);
    link->is_listed = false;
    if (TAILQ_EMPTY(&list->links))
        clear_event(list);
}

void atls_done_link_add(struct atls_done_link *link)
{
    if (link->list == NULL)
        return;
    pthread_mutex_lock(&link->list->lock);
    insert(link->list, link);
    pthread_mutex_unlock(&link->list->lock);
}

void atls_done_link_remove(struct atls_done_link *link)
{
    struct atls_done_list *list = link->list;

    if (list == NULL)
        return;
    pthread_mutex_lock(&list->lock);
    if (link->is_listed)
        take_out(list, link);
    pthread_mutex_unlock(&list->lock);
    link->list = NULL;
}

void *atls_done_list_pop(struct atls_done_list *list)
{
    struct atls_done_link *link;
    void *owner = NULL;

    pthread_mutex_lock(&list->lock);
    link = TAILQ_FIRST(&list->links);
    if (link != NULL) {
        owner = link->owner;
        take_out(list, link);
    }
    pthread_mutex_unlock(&list->lock);
    return owner;
}
