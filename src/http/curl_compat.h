/* curl_compat.h - libcurl 7.66.0 and later behind one header.
 *
 * Owns every `#if LIBCURL_VERSION_NUM` of the project: names that older headers lack, by their numbers. The libcurl
 * that runs may be older or newer than the headers: it refuses an option that it does not know, and callers ask
 * curl_version_info where behaviour differs. */
#ifndef SORA_CURL_COMPAT_H
#define SORA_CURL_COMPAT_H

#include <curl/curl.h>

#if LIBCURL_VERSION_NUM < 0x074200
#error "sora needs the headers of libcurl 7.66.0 or later"
#endif

#if LIBCURL_VERSION_NUM < 0x074900
#define CURLE_PROXY ((CURLcode)97)
#endif

#if LIBCURL_VERSION_NUM < 0x074D00
#define CURLE_SSL_CLIENTCERT ((CURLcode)98)
#endif

#if LIBCURL_VERSION_NUM < 0x080600
#define CURLE_TOO_LARGE ((CURLcode)100)
#endif

#if LIBCURL_VERSION_NUM < 0x075500
#define CURLOPT_PROTOCOLS_STR ((CURLoption)(CURLOPTTYPE_OBJECTPOINT + 318))
#endif

/* CURLOPT_PROTOCOLS, whose name makes newer headers warn. */
#define CURLOPT_PROTOCOL_BITS ((CURLoption)(CURLOPTTYPE_LONG + 181))

#if LIBCURL_VERSION_NUM < 0x075700
#define CURLOPT_QUICK_EXIT ((CURLoption)(CURLOPTTYPE_LONG + 322))
#endif

#if LIBCURL_VERSION_NUM < 0x081400
#define CURLMOPT_QUICK_EXIT ((CURLMoption)(CURLOPTTYPE_LONG + 21))
#endif

#endif
