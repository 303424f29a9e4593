/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TEST_UNIT_POLICY_CERTIFICATES_H
#define TEST_UNIT_POLICY_CERTIFICATES_H

/*
 * Trust anchors for tests of the policy file; nobody has their keys any more.
 * Made with openssl(1): EC P-256, valid until 2126.
 */

/* CN=Test AK root: self-signed CA. */
#define PEM_ROOT                                                         \
    "-----BEGIN CERTIFICATE-----\n"                                      \
    "MIIBdDCCARqgAwIBAgIUemX73M3/iHVyoMkLWxDg6eq3WQ8wCgYIKoZIzj0EAwIw\n" \
    "FzEVMBMGA1UEAwwMVGVzdCBBSyByb290MCAXDTI2MTEyMjA0MDQ0NFoYDzIxMjYx\n" \
    "MDI5MDQwNDQ0WjAXMRUwEwYDVQQDDAxUZXN0IEFLIHJvb3QwWTATBgcqhkjOPQIB\n" \
    "BggqhkjOPQMBBwNCAASVXkp0PphuUlpoe25uFZ3Qyx8jCWy7oaXTOev6XDQQNMKc\n" \
    "1UNxLKxxsp1sXunB915sqL1l+vBto6mWS3oi7Bgzo0IwQDAPBgNVHRMBAf8EBTAD\n" \
    "AQH/MA4GA1UdDwEB/wQEAwIBBjAdBgNVHQ4EFgQU9cqQ93paHnZLpDt74eUYyxfg\n" \
    "qgwwCgYIKoZIzj0EAwIDSAAwRQIgR0O80Vo9+A5Fgx8VGDNqrAbTS4TbkvAHkQIV\n" \
    "Qu/EUAwCIQDAJmZJyijMTPmtAjJEWibYyE+IRi2fvlLO9VuXIaFaGQ==\n"         \
    "-----END CERTIFICATE-----\n"

/* CN=Test AK CA: a CA that the root issued. */
#define PEM_INTERMEDIATE                                                 \
    "-----BEGIN CERTIFICATE-----\n"                                      \
    "MIIBfzCCASagAwIBAgIBAjAKBggqhkjOPQQDAjAXMRUwEwYDVQQDDAxUZXN0IEFL\n" \
    "IHJvb3QwIBcNMjYxMTIyMDQwNDQ0WhgPMjEyNjEwMjkwNDA0NDRaMBUxEzARBgNV\n" \
    "BAMMClRlc3QgQUsgQ0EwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQSEgx0MnNM\n" \
    "SxL2fef4qDHrg+w97rRndDO0q/5ZmJ0y20pYCrJByyKEZQpH9bbpC0zpDrJZ7E7Y\n" \
    "nZ9Qek39EQy3o2MwYTAPBgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwIBBjAd\n" \
    "BgNVHQ4EFgQUeLNWSSxlcyaG5yHfxM8hNeSF/WswHwYDVR0jBBgwFoAU9cqQ93pa\n" \
    "HnZLpDt74eUYyxfgqgwwCgYIKoZIzj0EAwIDRwAwRAIgeeOzokkPtuq+59H1cJU5\n" \
    "QC74oLrSqbTQd6xoPd6ev+kCIGwPGl4ZMYE9IX1akDEsCG1lU4zI/LbxhPclnCAZ\n" \
    "Xm5D\n"                                                             \
    "-----END CERTIFICATE-----\n"

/* CN=ak.example: no CA, issued by the intermediate. */
#define PEM_LEAF                                                         \
    "-----BEGIN CERTIFICATE-----\n"                                      \
    "MIIBezCCASGgAwIBAgIBAzAKBggqhkjOPQQDAjAVMRMwEQYDVQQDDApUZXN0IEFL\n" \
    "IENBMCAXDTI2MTEyMjA0MDQ0NFoYDzIxMjYxMDI5MDQwNDQ0WjAVMRMwEQYDVQQD\n" \
    "DAphay5leGFtcGxlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAECwaJmIa06lw2\n" \
    "XPrlDtEUXFIrKe+QjuyL54Nosl9Znr8Kx3bmBy6L/JVPdv1LvdRRz4e4zehcIUYX\n" \
    "HfFbVfBgG6NgMF4wDAYDVR0TAQH/BAIwADAOBgNVHQ8BAf8EBAMCB4AwHQYDVR0O\n" \
    "BBYEFIYA7SCM6scabdFeXIf9cqdSTjX8MB8GA1UdIwQYMBaAFHizVkksZXMmhuch\n" \
    "38TPITXkhf1rMAoGCCqGSM49BAMCA0gAMEUCIB0KHhXdeUPV68ET55030hp2kw5c\n" \
    "Fn3blF7ZiXqA7w16AiEAj+Zc+7oRvqebNIJh7XWtyUl2/VmhyZnyLon+PC7JrkA=\n" \
    "-----END CERTIFICATE-----\n"

/* The root with the last arc of its key's algorithm changed: nobody knows such
 * keys. */
#define PEM_ALIEN_KEY                                                    \
    "-----BEGIN CERTIFICATE-----\n"                                      \
    "MIIBdDCCARqgAwIBAgIUemX73M3/iHVyoMkLWxDg6eq3WQ8wCgYIKoZIzj0EAwIw\n" \
    "FzEVMBMGA1UEAwwMVGVzdCBBSyByb290MCAXDTI2MTEyMjA0MDQ0NFoYDzIxMjYx\n" \
    "MDI5MDQwNDQ0WjAXMRUwEwYDVQQDDAxUZXN0IEFLIHJvb3QwWTATBgcqhkjOPQJ/\n" \
    "BggqhkjOPQMBBwNCAASVXkp0PphuUlpoe25uFZ3Qyx8jCWy7oaXTOev6XDQQNMKc\n" \
    "1UNxLKxxsp1sXunB915sqL1l+vBto6mWS3oi7Bgzo0IwQDAPBgNVHRMBAf8EBTAD\n" \
    "AQH/MA4GA1UdDwEB/wQEAwIBBjAdBgNVHQ4EFgQU9cqQ93paHnZLpDt74eUYyxfg\n" \
    "qgwwCgYIKoZIzj0EAwIDSAAwRQIgR0O80Vo9+A5Fgx8VGDNqrAbTS4TbkvAHkQIV\n" \
    "Qu/EUAwCIQDAJmZJyijMTPmtAjJEWibYyE+IRi2fvlLO9VuXIaFaGQ==\n"         \
    "-----END CERTIFICATE-----\n"

/* Of CN=Test AK site, a CA that is in no trust file: until 2126, nobody is
 * revoked. */
#define PEM_CRL                                                          \
    "-----BEGIN X509 CRL-----\n"                                         \
    "MIHQMHkCAQEwCgYIKoZIzj0EAwIwFzEVMBMGA1UEAwwMVGVzdCBBSyBzaXRlFw0y\n" \
    "NjExMjIwNzEzNTNaGA8yMTI2MTAyOTA3MTM1M1qgLzAtMB8GA1UdIwQYMBaAFLMo\n" \
    "zj0Z9gEwzf9nGtyRzOU0AoJcMAoGA1UdFAQDAgEBMAoGCCqGSM49BAMCA0cAMEQC\n" \
    "IHzRhq+ivTxH42QBxzTfmqIArir5stuO+HAtnBALkV7bAiBsmNRHrHXys5D1M9+A\n" \
    "yu9b7nkEWwFBwXjDle+ytAuIMg==\n"                                     \
    "-----END X509 CRL-----\n"

#endif
