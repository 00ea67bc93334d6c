/* receive.h - what an attempt receives: headers, JSON, and files that are written, resumed or queued for a sink.
 *
 * Owns libcurl's callbacks. Invariant: they fill C buffers and files and nothing else; a user's function is called
 * later, from outside libcurl. */
#ifndef SORA_RECEIVE_H
#define SORA_RECEIVE_H

#include "http/request.h"

#pragma GCC visibility push(hidden)

/* Sets the callbacks, and the range that the attempt asks for. */
CURLcode receive_set_options(struct request *r);

/* Before each attempt: resumes the part that we have of a file if the server may be able to, else drops it. 0, or -1:
 * the request has failed. */
int receive_begin(struct request *r);

/* Decodes an answer that has come compressed, which the request may fail by. Whether its data is damaged, so that
 * another attempt may get it whole. */
int receive_unpack(struct request *r);

/* Whether the answer to a create is the film itself. */
int receive_is_film(const struct request *r);

/* Whether an answer that names its length has come as a whole. */
int receive_is_whole(const struct request *r);

/* Lets a paused transfer continue, once `pending` is taken. 0, or -1: libcurl could not note what it waits for now, so
 * its multi handle is not to be used any more. */
int receive_resume(struct request *r);

#pragma GCC visibility pop

#endif
