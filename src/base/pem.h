/* pem.h - what a PEM file (RFC 7468) holds, told before a TLS library fails to load it.
 *
 * Looks at the labels alone: whether certificate and key are valid is the TLS library's to say. Invariant: no copy of a
 * private key stays in memory. */
#ifndef SORA_PEM_H
#define SORA_PEM_H

#pragma GCC visibility push(hidden)

enum pem_content { PEM_CERTIFICATE = 1, PEM_KEY = 2, PEM_ENCRYPTED = 4 /* the key needs a passphrase */ };

/* Returns the bits of what a file holds; -1: it can't be read, see errno (EINVAL: no regular file). */
int pem_read(const char *path);

#pragma GCC visibility pop

#endif
