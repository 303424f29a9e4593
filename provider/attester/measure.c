/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PCR and log move together. Under the lock, for one measurement:
 *
 *   step                      crash after it leaves      the next run
 *   1 write-ahead record      PCR `before`, log without  extends, appends
 *   2 (systemd's sticky bit)  the same                   the same
 *   3 extend                  PCR `after`, log without   appends
 *   4 append, fsync           PCR `after`, log with it   removes the record
 *   5 (clear sticky bit)      the same                   the same
 *   6 remove the record       nothing                    nothing
 *
 * Half a record (in 4) is written over, from the log's size of 1. Any other
 * value of the PCR means that somebody else extended it: said, never mended,
 * because a log that was made to fit proves nothing.
 */
#include "attester/measure.h"

#include <openssl/crypto.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attester/file.h"
#include "attester/log_lock.h"
#include "attester/log_state.h"
#include "attester/measure_wal.h"
#include "attester/measured_log.h"
#include "evidence/codec.h"
#include "evidence/eventlog.h"

struct atls_measuring {
    struct atls_tpm *tpm;
    const char *path;
    unsigned pcr;
    const struct atls_evidence *outline;
    struct atls_log_lock lock;
    struct atls_reason *why;
};

const char *atls_measure_default_log(void)
{
    if (access(ATLS_SYSTEMD_LOG, F_OK) == 0)
        return ATLS_SYSTEMD_LOG;
    return ATLS_OWN_LOG;
}

/* One PCR in every active bank. */
static enum atls_error read_pcr(const struct atls_measuring *m, unsigned pcr,
                                struct atls_pcr_values *ret_values)
{
    struct atls_pcr_selection banks;
    enum atls_error r;

    r = atls_tpm_banks(m->tpm, pcr, m->why, &banks);
    if (r != ATLS_OK)
        return r;
    return atls_tpm_read_pcrs(m->tpm, &banks, m->why, ret_values);
}

static enum atls_error extend(const struct atls_measuring *m,
                              const struct atls_wal *wal)
{
    const struct atls_span content = {(const uint8_t *)wal->content,
                                      strlen(wal->content)};

    return atls_tpm_extend(m->tpm, wal->pcr, content, m->why, NULL);
}

/* The record of a write-ahead record's event: the same octets at every try. */
static enum atls_error encode_record(const struct atls_measuring *m,
                                     const struct atls_wal *wal,
                                     char **ret_record, size_t *ret_len)
{
    struct atls_pcr_selection banks = {.count = wal->before.count};

    for (size_t i = 0; i < banks.count; i++)
        banks.banks[i].alg = wal->before.banks[i].alg;
    return atls_measured_record(wal->pcr, &banks, wal->content, m->why,
                                ret_record, ret_len);
}

static enum atls_error append(const struct atls_measuring *m,
                              const struct atls_wal *wal)
{
    char *record = NULL;
    enum atls_error r;
    size_t len = 0;

    r = encode_record(m, wal, &record, &len);
    if (r != ATLS_OK)
        return r;
    r = atls_file_write(m->lock.log_fd, m->path, (off_t)wal->log_size, record,
                        len, m->why);
    OPENSSL_free(record);
    return r;
}

/* Steps 5 and 6: the event is in both, or in neither. */
static enum atls_error conclude(const struct atls_measuring *m)
{
    enum atls_error r = atls_log_mark(&m->lock, m->path, false, m->why);

    if (r != ATLS_OK)
        return r;
    return atls_wal_remove(m->path, m->why);
}

/* Steps 2 to 6, with or without the extend. */
static enum atls_error carry_out(const struct atls_measuring *m,
                                 const struct atls_wal *wal, bool is_extended)
{
    enum atls_error r;

    r = atls_log_mark(&m->lock, m->path, true, m->why);
    if (r == ATLS_OK && !is_extended)
        r = extend(m, wal);
    if (r == ATLS_OK)
        r = append(m, wal);
    if (r != ATLS_OK)
        return r;
    return conclude(m);
}

/*
 * A failed extend that left the PCR as it was needs no repair: the TPM refused,
 * and would refuse at every repair, too. The first reason stays.
 */
static void forget_if_not_extended(struct atls_measuring *m,
                                   const struct atls_wal *wal,
                                   enum atls_error failure)
{
    struct atls_reason *why = m->why;
    struct atls_pcr_values now;

    /* Nobody knows, and the connection is of no more use (tpm.h). */
    if (failure == ATLS_E_TIMEOUT || failure == ATLS_E_TPM_UNAVAILABLE)
        return;
    m->why = NULL;
    if (read_pcr(m, wal->pcr, &now) == ATLS_OK
        && atls_wal_values_equal(&now, &wal->before, wal->pcr)) {
        /* If this fails, the next run repairs. */
        enum atls_error ignored = conclude(m);
        (void)ignored;
    }
    m->why = why;
}

/*
 * Look at what follows log_size in the log: the whole record (nothing is left
 * to do but step 6; systemd may have gone on behind it), or a part of it or
 * nothing (the PCR decides). Anything else was not written under the lock.
 */
static enum atls_error check_tail(const struct atls_measuring *m,
                                  const struct atls_wal *wal, bool *ret_logged)
{
    uint8_t *text = NULL;
    char *record = NULL;
    size_t record_len = 0;
    size_t len = 0;
    enum atls_error r;

    r = encode_record(m, wal, &record, &record_len);
    if (r == ATLS_OK)
        r = atls_fd_read(m->lock.log_fd, m->path, ATLS_MEASURED_LOG_MAX, m->why,
                         &text, &len);
    if (r == ATLS_OK) {
        bool is_ours = len >= wal->log_size;
        size_t tail = is_ours ? len - (size_t)wal->log_size : 0;

        *ret_logged = tail >= record_len;
        if (*ret_logged)
            tail = record_len;
        if (!is_ours || memcmp(text + wal->log_size, record, tail) != 0)
            r = atls_fail(
                m->why, ATLS_E_LOG_MISMATCH,
                "%s was changed after an interrupted measurement" ATLS_MORE ": "
                "others write it without the lock; stop them, reboot",
                m->path);
    }
    OPENSSL_free(text);
    OPENSSL_free(record);
    return r;
}

/* Complete what an interrupted run left. */
static enum atls_error repair(struct atls_measuring *m,
                              const struct atls_wal *wal)
{
    struct atls_pcr_values now;
    bool is_extended;
    bool is_logged;
    enum atls_error r;

    r = check_tail(m, wal, &is_logged);
    if (r != ATLS_OK)
        return r;
    if (is_logged)
        return conclude(m);
    r = read_pcr(m, wal->pcr, &now);
    if (r != ATLS_OK)
        return r;
    is_extended = atls_wal_values_equal(&now, &wal->after, wal->pcr);
    if (!is_extended && !atls_wal_values_equal(&now, &wal->before, wal->pcr))
        return atls_fail(m->why, ATLS_E_LOG_MISMATCH,
                         "PCR %u was extended by others after an interrupted "
                         "measurement" ATLS_MORE
                         " (%s.wal): reboot, or set measure_pcr to "
                         "another PCR",
                         wal->pcr, m->path);
    return carry_out(m, wal, is_extended);
}

static enum atls_error recover(struct atls_measuring *m, bool *ret_repaired)
{
    struct atls_wal *wal = NULL;
    enum atls_error r;

    r = atls_wal_read(m->path, m->why, &wal);
    if (r != ATLS_OK)
        return r;
    *ret_repaired = wal != NULL;
    if (wal != NULL)
        r = repair(m, wal);
    else if (m->lock.was_sticky)
        r = atls_fail(
            m->why, ATLS_E_LOG_MISMATCH,
            "%s lacks a record, its sticky bit says: systemd was "
            "interrupted; reboot, or set measured_log and measure_pcr "
            "to others",
            m->path);
    atls_wal_free(wal);
    return r;
}

/* Do all of its events lead to the PCR in every bank? */
static enum atls_error check_replay(const struct atls_measuring *m,
                                    const struct atls_measured_log *log,
                                    const struct atls_pcr_values *values)
{
    const struct atls_log_state state = {
        .path = m->path, .pcr = m->pcr, .log = log, .values = values};
    size_t count = 0;
    enum atls_error r = atls_log_state_count(&state, m->why, &count);

    if (r != ATLS_OK)
        return r;
    if (count < log->count)
        return atls_log_state_fail_reset(&state, count, m->why);
    return ATLS_OK;
}

static bool has_content(const struct atls_measured_log *log,
                        const char *content)
{
    size_t len = strlen(content);

    for (size_t i = 0; i < log->count; i++)
        if (log->contents[i].len == len
            && memcmp(log->contents[i].data, content, len) == 0)
            return true;
    return false;
}

/*
 * Read log and PCR, check that they agree.
 *   ret_size    octets of the log
 *   ret_values  of the PCR
 */
static enum atls_error read_state(const struct atls_measuring *m,
                                  struct atls_measured_log *ret_log,
                                  uint64_t *ret_size,
                                  struct atls_pcr_values *ret_values)
{
    struct atls_span text = {0};
    uint8_t *octets = NULL;
    enum atls_error r;

    r = read_pcr(m, m->pcr, ret_values);
    if (r != ATLS_OK)
        return r;
    r = atls_fd_read(m->lock.log_fd, m->path, ATLS_MEASURED_LOG_MAX, m->why,
                     &octets, &text.len);
    if (r != ATLS_OK)
        return r;
    text.data = octets;
    *ret_size = text.len;
    r = atls_measured_log_parse(text, m->path, m->pcr, m->why, ret_log);
    OPENSSL_free(octets);
    if (r != ATLS_OK)
        return r;
    return check_replay(m, ret_log, ret_values);
}

/* Steps 1 to 6. */
static enum atls_error commit(struct atls_measuring *m, const char *content,
                              uint64_t log_size,
                              const struct atls_pcr_values *values)
{
    struct atls_wal *wal = NULL;
    enum atls_error r;

    r = atls_wal_new(m->pcr, log_size, content, values, m->why, &wal);
    if (r == ATLS_OK)
        r = atls_wal_write(m->path, wal, m->why);
    if (r == ATLS_OK) {
        r = carry_out(m, wal, false);
        if (r != ATLS_OK)
            forget_if_not_extended(m, wal, r);
    }
    atls_wal_free(wal);
    return r;
}

/* Is the component of this content in the log with another digest? */
static bool has_other_digest(const struct atls_measured_log *log,
                             const char *content)
{
    struct atls_event ours;
    struct atls_event event;

    atls_event_parse(
        (struct atls_span){(const uint8_t *)content, strlen(content)}, &ours);
    if (ours.kind != ATLS_EVENT_COMPONENT)
        return false;
    for (size_t i = 0; i < log->count; i++) {
        atls_event_parse(log->contents[i], &event);
        if (event.kind == ATLS_EVENT_COMPONENT
            && strcmp(event.name, ours.name) == 0
            && memcmp(event.digest, ours.digest, sizeof(ours.digest)) != 0)
            return true;
    }
    return false;
}

/* The room that evidence has, with the first events of a log. */
static void take_room(const struct atls_measuring *m,
                      const struct atls_measured_log *log, size_t count,
                      struct atls_log_room *ret_room)
{
    struct atls_evidence evidence = *m->outline;

    evidence.log_pcr = m->pcr;
    evidence.log = log->contents;
    evidence.log_count = count;
    atls_log_room_of(&evidence, ret_room);
}

/* What the log lacks, if evidence can carry it: an extend cannot be undone. There is
 * room for it in the log's array, unless that has all that may be. */
static enum atls_error add(struct atls_measuring *m, const char *content,
                           struct atls_measured_log *log, uint64_t log_size,
                           const struct atls_pcr_values *values,
                           struct atls_log_room *ret_room)
{
    take_room(m, log, log->count, ret_room);
    if (ret_room->events < ret_room->events_max) {
        log->contents[log->count] =
            (struct atls_span){(const uint8_t *)content, strlen(content)};
        take_room(m, log, log->count + 1, ret_room);
    } else {
        ret_room->events++;
    }
    if (atls_log_room_is_exceeded(ret_room))
        return atls_fail(
            m->why, ATLS_E_LIMIT,
            "evidence has no room for another event of PCR %u" ATLS_MORE
            ": %s would have %zu of %zu, and evidence %zu of %zu octets; "
            "reboot "
            "for a new log",
            m->pcr, m->path, ret_room->events, ret_room->events_max,
            ret_room->octets, ret_room->octets_max);
    return commit(m, content, log_size, values);
}

static enum atls_error measure(struct atls_measuring *m, const char *content,
                               struct atls_measurement *ret)
{
    struct atls_measured_log log = {0};
    struct atls_measurement result = {.done = ATLS_MEASURED_ALREADY};
    struct atls_pcr_values values;
    bool repaired = false;
    uint64_t size = 0;
    enum atls_error r;

    r = recover(m, &repaired);
    if (r != ATLS_OK)
        return r;
    r = read_state(m, &log, &size, &values);
    if (r != ATLS_OK)
        goto out;
    result.is_changed = has_other_digest(&log, content);
    if (has_content(&log, content)) {
        take_room(m, &log, log.count, &result.room);
    } else {
        result.done = ATLS_MEASURED_NEW;
        r = add(m, content, &log, size, &values, &result.room);
    }
    if (repaired)
        result.done = ATLS_MEASURED_REPAIRED;
    if (r == ATLS_OK)
        *ret = result;
out:
    atls_measured_log_clear(&log);
    return r;
}

enum atls_error atls_measuring_begin(struct atls_tpm *tpm, const char *path,
                                     unsigned pcr, unsigned wait_ms,
                                     const struct atls_evidence *outline,
                                     struct atls_reason *why,
                                     struct atls_measuring **ret_measuring)
{
    struct atls_measuring *m = OPENSSL_zalloc(sizeof(*m));
    enum atls_error r;

    if (m == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    m->tpm = tpm;
    m->path = path;
    m->pcr = pcr;
    m->outline = outline;
    r = atls_log_lock(path, wait_ms, why, &m->lock);
    if (r != ATLS_OK) {
        OPENSSL_free(m);
        return r;
    }
    *ret_measuring = m;
    return ATLS_OK;
}

enum atls_error atls_measuring_next(struct atls_measuring *measuring,
                                    const char *content,
                                    struct atls_reason *why,
                                    struct atls_measurement *ret)
{
    if (!atls_measured_content_is_legal(content))
        return atls_fail(why, ATLS_E_USAGE,
                         "what is measured must be one line of 1 to %u "
                         "printable ASCII characters",
                         ATLS_LOG_CONTENT_MAX);
    measuring->why = why;
    return measure(measuring, content, ret);
}

/*
 * A log that was made for nothing would hide that one is lost. systemd's stays: its
 * lock is on the file itself. One with a record beside it stays for the repair.
 */
static void remove_if_unused(const struct atls_measuring *m)
{
    struct stat st;

    if (m->lock.is_made && !m->lock.is_systemds
        && fstat(m->lock.log_fd, &st) == 0 && st.st_size == 0
        && !atls_wal_exists(m->path))
        (void)unlink(m->path);
}

void atls_measuring_end(struct atls_measuring *measuring)
{
    if (measuring == NULL)
        return;
    remove_if_unused(measuring);
    atls_log_unlock(&measuring->lock);
    OPENSSL_free(measuring);
}
