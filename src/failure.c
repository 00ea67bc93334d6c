/* failure.c - libcurl's result codes as error kinds; see failure.h. */
#include "failure.h"

#include <curl/curl.h>
#include <stddef.h>

#define PASSES 1
#define STAYS 0
#define ROW(name, kind, broken)                                                                                        \
  { name, kind, broken, #name }

/* CURLE_UNSUPPORTED_PROTOCOL: our URLs are http and https alone, so the code is left for an answer
 * that is no HTTP ("Received HTTP/0.9 when not allowed"). */
static const struct failure table[] = {
    ROW(CURLE_COULDNT_RESOLVE_HOST, ERROR_DNS, PASSES),
    ROW(CURLE_COULDNT_RESOLVE_PROXY, ERROR_DNS, PASSES),
    ROW(CURLE_COULDNT_CONNECT, ERROR_CONNECT, PASSES),
    ROW(CURLE_INTERFACE_FAILED, ERROR_CONNECT, PASSES),
    ROW(CURLE_PROXY, ERROR_CONNECT, PASSES),
    ROW(CURLE_OPERATION_TIMEDOUT, ERROR_TIMEOUT, PASSES),
    ROW(CURLE_SSL_CONNECT_ERROR, ERROR_TLS, PASSES),
    ROW(CURLE_PEER_FAILED_VERIFICATION, ERROR_TLS, STAYS),
    ROW(CURLE_SSL_CERTPROBLEM, ERROR_TLS, STAYS),
    ROW(CURLE_SSL_CIPHER, ERROR_TLS, STAYS),
    ROW(CURLE_SSL_CACERT_BADFILE, ERROR_TLS, STAYS),
    ROW(CURLE_SSL_CRL_BADFILE, ERROR_TLS, STAYS),
    ROW(CURLE_SSL_ISSUER_ERROR, ERROR_TLS, STAYS),
    ROW(CURLE_SSL_ENGINE_NOTFOUND, ERROR_TLS, STAYS),
    ROW(CURLE_SSL_ENGINE_SETFAILED, ERROR_TLS, STAYS),
    ROW(CURLE_SSL_ENGINE_INITFAILED, ERROR_TLS, STAYS),
    ROW(CURLE_SSL_PINNEDPUBKEYNOTMATCH, ERROR_TLS, STAYS),
    ROW(CURLE_SSL_INVALIDCERTSTATUS, ERROR_TLS, STAYS),
    ROW(CURLE_SSL_CLIENTCERT, ERROR_TLS, STAYS),
    ROW(CURLE_UNSUPPORTED_PROTOCOL, ERROR_TRANSPORT, PASSES),
    ROW(CURLE_WEIRD_SERVER_REPLY, ERROR_TRANSPORT, PASSES),
    ROW(CURLE_HTTP2, ERROR_TRANSPORT, PASSES),
    ROW(CURLE_HTTP2_STREAM, ERROR_TRANSPORT, PASSES),
    ROW(CURLE_PARTIAL_FILE, ERROR_TRANSPORT, PASSES),
    ROW(CURLE_GOT_NOTHING, ERROR_TRANSPORT, PASSES),
    ROW(CURLE_SEND_ERROR, ERROR_TRANSPORT, PASSES),
    ROW(CURLE_RECV_ERROR, ERROR_TRANSPORT, PASSES),
    ROW(CURLE_SEND_FAIL_REWIND, ERROR_TRANSPORT, PASSES),
    ROW(CURLE_BAD_CONTENT_ENCODING, ERROR_TRANSPORT, PASSES),
    ROW(CURLE_WRITE_ERROR, ERROR_TRANSPORT, STAYS),
    ROW(CURLE_READ_ERROR, ERROR_TRANSPORT, STAYS),
    ROW(CURLE_URL_MALFORMAT, ERROR_CONFIG, STAYS),
    ROW(CURLE_BAD_FUNCTION_ARGUMENT, ERROR_TRANSPORT, STAYS),
    ROW(CURLE_OUT_OF_MEMORY, ERROR_TRANSPORT, STAYS),
    ROW(CURLE_FAILED_INIT, ERROR_TRANSPORT, STAYS),
    ROW(CURLE_ABORTED_BY_CALLBACK, ERROR_CANCELLED, STAYS),
};

const struct failure *failure_of(int code) {
  static const struct failure other = ROW(CURLE_FAILED_INIT, ERROR_TRANSPORT, STAYS);
  size_t i;
  for (i = 0; i < sizeof table / sizeof table[0]; i++)
    if (table[i].code == code) return &table[i];
  return &other;
}

const char *error_kind_name(enum error_kind kind) {
  static const char *const names[] = {
      [ERROR_NONE] = "none",           [ERROR_CONFIG] = "config", [ERROR_DNS] = "dns",
      [ERROR_CONNECT] = "connect",     [ERROR_TLS] = "tls",       [ERROR_TIMEOUT] = "timeout",
      [ERROR_TRANSPORT] = "transport", [ERROR_API] = "api",       [ERROR_DECODE] = "decode",
      [ERROR_TOO_LARGE] = "too_large", [ERROR_FILE] = "file",     [ERROR_CANCELLED] = "cancelled",
      [ERROR_CLOSED] = "closed",       [ERROR_FORKED] = "forked",
  };
  return names[kind];
}
