/* SPDX-License-Identifier: BSD-2-Clause */
#include "verifier/names.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/number.h"

/* RFC 1035 §2.3.4; 255 octets on the wire are 253 of text without the dot. */
#define DNS_NAME_MAX 253u
#define DNS_LABEL_MAX 63u

#define IPV4_BITS 32u
#define IPV6_BITS 128u
/* RFC 4291 §2.5.5.2: an IPv4 address stands behind these bits of ::ffff:0:0. */
#define MAPPED_BITS 96u

static const uint8_t mapped_prefix[MAPPED_BITS / 8] = {
    [10] = 0xff, [11] = 0xff};

/* Part of a string that belongs to the caller. */
struct text {
    const char *at;
    size_t len;
};

/* An address is a network of 128 bits; IPv4 is kept as ::ffff:a.b.c.d. */
struct network {
    uint8_t octets[IPV6_BITS / 8];
    unsigned bits;
};

/* tolower() and strcasecmp() ask the program's locale. */
static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex_digit(char c)
{
    return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f');
}

/* The underscore is no host name's, but containers are called so. */
static bool is_label_char(char c)
{
    return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z') || c == '-'
           || c == '_';
}

static bool equal_ignoring_case(struct text a, struct text b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.at[i]) != lower(b.at[i]))
            return false;
    }
    return true;
}

static struct text whole(const char *string)
{
    return (struct text){string, strlen(string)};
}

static struct text skip(struct text text, size_t count)
{
    return (struct text){text.at + count, text.len - count};
}

/* Up to the next dot, or all. */
static struct text first_label(struct text name)
{
    const char *dot = memchr(name.at, '.', name.len);

    if (dot != NULL)
        name.len = (size_t)(dot - name.at);
    return name;
}

/* What some resolver takes for the end of an IPv4 address: inet_aton(3) reads
 * decimal, octal and hexadecimal parts. No top-level domain looks like that. */
static bool label_looks_like_number(struct text label)
{
    bool hex =
        label.len >= 2 && label.at[0] == '0' && lower(label.at[1]) == 'x';

    for (size_t i = hex ? 2 : 0; i < label.len; i++) {
        if (hex ? !is_hex_digit(label.at[i]) : !is_digit(label.at[i]))
            return false;
    }
    return true;
}

static bool label_is_legal(struct text label)
{
    if (label.len == 0 || label.len > DNS_LABEL_MAX)
        return false;
    for (size_t i = 0; i < label.len; i++) {
        if (!is_label_char(label.at[i]))
            return false;
    }
    return true;
}

static bool is_dns_name(struct text name)
{
    struct text label;

    if (name.len > DNS_NAME_MAX)
        return false;
    for (;;) {
        label = first_label(name);
        if (!label_is_legal(label))
            return false;
        if (label.len == name.len)
            break;
        name = skip(name, label.len + 1);
    }
    return !label_looks_like_number(label);
}

/* inet_pton(3) takes four decimal parts without leading zeros and nothing else, so
 * that nobody reads another address in a policy. */
static bool parse_address(struct text text, struct network *ret_address)
{
    char buffer[INET6_ADDRSTRLEN];

    if (text.len >= sizeof(buffer))
        return false;
    memcpy(buffer, text.at, text.len);
    buffer[text.len] = '\0';
    ret_address->bits = IPV6_BITS;
    if (inet_pton(AF_INET6, buffer, ret_address->octets) == 1)
        return true;
    memcpy(ret_address->octets, mapped_prefix, sizeof(mapped_prefix));
    return inet_pton(AF_INET, buffer,
                     ret_address->octets + sizeof(mapped_prefix))
           == 1;
}

static bool is_ipv4(const struct network *address)
{
    return memcmp(address->octets, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

static unsigned bit_at(const struct network *network, unsigned index)
{
    return (unsigned)network->octets[index / 8] >> (7 - index % 8) & 1u;
}

/* A prefix length in decimal, 0..max. */
static bool parse_bits(struct text text, unsigned max, unsigned *ret_bits)
{
    return !atls_number_is_padded(text.at, text.len)
           && atls_number_parse(text.at, text.len, 0, max, ret_bits);
}

/* An address, or a network in CIDR notation without host bits (RFC 4632 §3.1). */
static bool parse_network(struct text text, struct network *ret_network)
{
    const char *slash = memchr(text.at, '/', text.len);
    bool dotted = memchr(text.at, ':', text.len) == NULL;
    struct text address = text;

    if (slash != NULL)
        address.len = (size_t)(slash - text.at);
    if (!parse_address(address, ret_network))
        return false;
    if (slash == NULL)
        return true;
    if (!parse_bits(skip(text, address.len + 1), dotted ? IPV4_BITS : IPV6_BITS,
                    &ret_network->bits))
        return false;
    if (dotted)
        ret_network->bits += MAPPED_BITS;
    for (unsigned i = ret_network->bits; i < IPV6_BITS; i++) {
        if (bit_at(ret_network, i) != 0)
            return false;
    }
    return true;
}

/* IPv4 is in no IPv6 network: who writes ::/0 does not think of 10.0.0.1. */
static bool network_holds(const struct network *network,
                          const struct network *address)
{
    if (is_ipv4(address) && network->bits < MAPPED_BITS)
        return false;
    for (unsigned i = 0; i < network->bits; i++) {
        if (bit_at(network, i) != bit_at(address, i))
            return false;
    }
    return true;
}

static struct text without_trailing_dot(struct text name)
{
    if (name.len > 0 && name.at[name.len - 1] == '.')
        name.len--;
    return name;
}

/* An IPv4 address as getaddrinfo(3) takes it: one to four parts, decimal, octal or
 * hexadecimal, of which the last fills what is left (127.1, 0x7f000001). */
static bool parse_loose_ipv4(struct text text, struct network *ret_address)
{
    char buffer[sizeof("0377.0377.0377.0000000377")];
    struct in_addr address;

    if (text.len == 0 || text.len >= sizeof(buffer) || !is_digit(text.at[0]))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_hex_digit(text.at[i]) && lower(text.at[i]) != 'x'
            && text.at[i] != '.')
            return false;
    }
    memcpy(buffer, text.at, text.len);
    buffer[text.len] = '\0';
    if (inet_aton(buffer, &address) == 0)
        return false;
    ret_address->bits = IPV6_BITS;
    memcpy(ret_address->octets, mapped_prefix, sizeof(mapped_prefix));
    memcpy(ret_address->octets + sizeof(mapped_prefix), &address,
           sizeof(address));
    return true;
}

/* An address as people and programs write one for a peer: also [::1], and with the
 * zone of RFC 4007 §11, which says by which interface it is reached. */
static bool parse_peer_address(struct text name, struct network *ret_address)
{
    const char *zone;

    if (name.len >= 2 && name.at[0] == '[' && name.at[name.len - 1] == ']')
        name = (struct text){name.at + 1, name.len - 2};
    else if (memchr(name.at, ':', name.len) == NULL)
        return parse_loose_ipv4(name, ret_address);
    zone = memchr(name.at, '%', name.len);
    if (zone != NULL && zone + 1 < name.at + name.len)
        name.len = (size_t)(zone - name.at);
    return memchr(name.at, ':', name.len) != NULL
           && parse_address(name, ret_address);
}

enum atls_name_kind atls_name_kind(const char *name)
{
    struct text host = without_trailing_dot(whole(name));
    struct network address;

    if (parse_peer_address(host, &address))
        return ATLS_NAME_ADDRESS;
    return is_dns_name(host) ? ATLS_NAME_HOST : ATLS_NAME_NONE;
}

static bool has_wildcard(struct text pattern)
{
    return pattern.len >= 2 && pattern.at[0] == '*' && pattern.at[1] == '.';
}

bool atls_name_pattern_is_address(const char *pattern)
{
    struct network network;

    return parse_network(whole(pattern), &network);
}

bool atls_name_is_ascii(const char *name)
{
    for (; *name != '\0'; name++) {
        if (((unsigned char)*name & 0x80u) != 0)
            return false;
    }
    return true;
}

bool atls_name_pattern_is_legal(const char *pattern)
{
    struct text text = whole(pattern);

    if (atls_name_pattern_is_address(pattern))
        return true;
    if (has_wildcard(text))
        text = skip(text, 2);
    return is_dns_name(text);
}

bool atls_name_matches(const char *pattern, const char *name)
{
    struct text wanted = whole(pattern);
    struct text host = without_trailing_dot(whole(name));
    struct network network;
    struct network address;
    struct text label;

    if (parse_peer_address(host, &address))
        return parse_network(wanted, &network)
               && network_holds(&network, &address);
    if (!is_dns_name(host))
        return false;
    if (!has_wildcard(wanted))
        return equal_ignoring_case(wanted, host);
    label = first_label(host);
    return label.len < host.len
           && equal_ignoring_case(skip(wanted, 2), skip(host, label.len + 1));
}
