/* process.c - what is done once a process; see process.h. */
#define _GNU_SOURCE /* dladdr, RTLD_NODELETE */
#include "process.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>

static CURLcode global_code;

/* lua_close unloads C modules, and with ours would go libcurl, under the feet of a resolver thread that
 * it had to leave behind. A library opened with RTLD_NODELETE stays. */
static void stay_loaded(void) {
#ifdef RTLD_NODELETE
  Dl_info info;
  if (dladdr((void *)&global_code, &info) != 0) (void)dlopen(info.dli_fname, RTLD_NOW | RTLD_NODELETE);
#endif
}

static unsigned generation;

static void count_fork(void) {
  generation++;
}

unsigned process_generation(void) {
  return generation;
}

static void initialise(void) {
  global_code = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (global_code == CURLE_OK && pthread_atfork(NULL, NULL, count_fork) != 0) global_code = CURLE_OUT_OF_MEMORY;
  stay_loaded();
}

const char *process_open(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, initialise);
  return global_code != CURLE_OK ? curl_easy_strerror(global_code) : NULL;
}
