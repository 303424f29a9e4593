/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>

#include "base/digest.h"
#include "base/number.h"
#include "verifier/names.h"
#include "verifier/policy_internal.h"

#define SEPARATORS ", \t"
#define SECONDS_PER_DAY 86400

enum atls_error atls_policy_parse_choice(
    const char *value, const struct atls_policy_choice *choices,
    const char *expected, struct atls_reason *why, int *ret_meaning)
{
    for (; choices->word != NULL; choices++) {
        if (strcmp(value, choices->word) == 0) {
            *ret_meaning = choices->meaning;
            return ATLS_OK;
        }
    }
    return atls_fail(why, ATLS_E_POLICY,
                     "expected %s in lower case, found '%.40s'", expected,
                     value);
}

enum atls_error atls_policy_parse_mode(const char *value,
                                       struct atls_reason *why,
                                       enum atls_mode *ret_mode)
{
    static const struct atls_policy_choice modes[] = {
        {"off", ATLS_MODE_OFF},
        {"observe", ATLS_MODE_OBSERVE},
        {"require", ATLS_MODE_REQUIRE},
        {NULL, 0}};
    int mode = ATLS_MODE_REQUIRE;
    enum atls_error r = atls_policy_parse_choice(
        value, modes, "require, observe or off", why, &mode);

    *ret_mode = (enum atls_mode)mode;
    return r;
}

bool atls_policy_parse_number(const char *text, unsigned min, unsigned max,
                              unsigned *ret_number)
{
    size_t len = strlen(text);

    return !atls_number_is_padded(text, len)
           && atls_number_parse(text, len, min, max, ret_number);
}

bool atls_policy_parse_hex(const char *text, uint8_t *ret, size_t len)
{
    size_t found = 0;

    return atls_unhex(text, ret, len, &found) && found == len;
}

bool atls_policy_parse_sha256(const char *text, uint8_t ret[ATLS_SHA256_LEN])
{
    static const char prefix[] = "sha256:";

    return strncmp(text, prefix, strlen(prefix)) == 0
           && atls_policy_parse_hex(text + strlen(prefix), ret,
                                    ATLS_SHA256_LEN);
}

/* Two or four digits in decimal; -1 when they are not. */
static int digits(const char *text, size_t count)
{
    int number = 0;

    for (size_t i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        number = number * 10 + (text[i] - '0');
    }
    return number;
}

static bool is_leap_year(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return month == 2 && is_leap_year(year) ? 29 : days[month - 1];
}

/* timegm(3) is in no standard and takes the 30th of February. */
static int64_t days_since_1970(int year, int month, int day)
{
    int64_t days = day - 1;

    for (int y = 1970; y < year; y++)
        days += is_leap_year(y) ? 366 : 365;
    for (int m = 1; m < month; m++)
        days += days_in_month(year, m);
    return days;
}

bool atls_policy_parse_time(const char *text, int64_t *ret_seconds)
{
    static const char form[] = "YYYY-MM-DDThh:mm:ssZ";
    int year;
    int month;
    int day;
    int hour;
    int minute;
    int second;

    if (strlen(text) != strlen(form) || text[4] != '-' || text[7] != '-'
        || text[10] != 'T' || text[13] != ':' || text[16] != ':'
        || text[19] != 'Z')
        return false;
    year = digits(text, 4);
    month = digits(text + 5, 2);
    day = digits(text + 8, 2);
    hour = digits(text + 11, 2);
    minute = digits(text + 14, 2);
    second = digits(text + 17, 2);
    if (year < 1970 || month < 1 || month > 12 || day < 1
        || day > days_in_month(year, month))
        return false;
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0
        || second > 59)
        return false;
    *ret_seconds = days_since_1970(year, month, day) * SECONDS_PER_DAY
                   + (int64_t)hour * 3600 + minute * 60 + second;
    return true;
}

/* PROJECT/ZONE/INSTANCE, none of them empty. */
static bool is_google_instance(const char *text)
{
    size_t project = strcspn(text, "/*");
    size_t zone;
    size_t instance;

    if (project == 0 || text[project] != '/')
        return false;
    text += project + 1;
    zone = strcspn(text, "/*");
    if (zone == 0 || text[zone] != '/')
        return false;
    text += zone + 1;
    instance = strcspn(text, "/*");
    return instance > 0 && text[instance] == '\0';
}

bool atls_policy_normalise_machine(char *text)
{
    static const char google[] = "google:";
    uint8_t hash[ATLS_SHA256_LEN];

    if (atls_policy_parse_sha256(text, hash)) {
        atls_hex(hash, sizeof(hash), strchr(text, ':') + 1);
        return true;
    }
    if (strncmp(text, google, strlen(google)) == 0)
        return is_google_instance(text + strlen(google));
    /* Beside other entries, or in capitals, `any` would be read as a host of that
     * name. */
    return strcasecmp(text, "any") != 0 && atls_name_pattern_is_legal(text);
}

/* An item before, between and after the commas, and at least one at all. */
static bool list_is_complete(const char *value)
{
    bool item_due = true;

    for (; *value != '\0'; value++) {
        if (*value == ',') {
            if (item_due)
                return false;
            item_due = true;
        } else if (strchr(SEPARATORS, *value) == NULL) {
            item_due = false;
        }
    }
    return !item_due;
}

static size_t count_items(const char *value)
{
    size_t count = 0;

    for (;;) {
        value += strspn(value, SEPARATORS);
        if (*value == '\0')
            break;
        value += strcspn(value, SEPARATORS);
        count++;
    }
    return count;
}

bool atls_policy_list_has(const char *value, const char *item)
{
    size_t len = strlen(item);

    for (;;) {
        size_t found;

        value += strspn(value, SEPARATORS);
        found = strcspn(value, SEPARATORS);
        if (found == 0)
            return false;
        if (found == len && memcmp(value, item, len) == 0)
            return true;
        value += found;
    }
}

enum atls_error atls_policy_parse_list(const char *value,
                                       struct atls_reason *why,
                                       size_t *ret_count, char ***ret_items)
{
    size_t count = count_items(value);
    size_t len = strlen(value);
    char **items;
    char *text;

    if (!list_is_complete(value))
        return atls_fail(
            why, ATLS_E_POLICY,
            "empty entry in the list; take out the comma too much, "
            "an empty list allows nothing");
    items = OPENSSL_malloc(count * sizeof(*items) + len + 1);
    if (items == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    text = memcpy(items + count, value, len + 1);
    for (size_t i = 0; i < count; i++) {
        text += strspn(text, SEPARATORS);
        items[i] = text;
        text += strcspn(text, SEPARATORS);
        *text++ = '\0';
    }
    *ret_count = count;
    *ret_items = items;
    return ATLS_OK;
}
