/* watch.h - how a loop learns that sockets are ready: epoll with a timerfd on Linux, curl_multi_poll elsewhere.
 *
 * Owns the descriptors of a loop. Invariant: every socket that libcurl waits for is in the epoll set, with just
 * the directions it waits for, save that of a request in a polled lane. */
#ifndef SORA_WATCH_H
#define SORA_WATCH_H

struct lane;
struct loop;

/* 0, or -1. */
int watch_open(struct loop *loop);

/* Makes a lane's libcurl tell what it waits for; 0, or -1. */
int watch_lane(struct lane *lane);

/* Whether there can be more lanes than one. */
int watch_has_lanes(void);

/* Waits at most `ms` milliseconds, or until a signal comes, and lets libcurl work. */
void watch_wait(struct loop *loop, int ms);

/* Lets libcurl do what its timer asks for, if that is due. */
void watch_call_libcurl(struct lane *lane);

/* The descriptor, with a timer in it from now on; -1 where the platform has none. */
int watch_fileno(struct loop *loop);

/* Makes the descriptor readable in so many seconds; negative: not by the clock. */
void watch_arm(struct loop *loop, double seconds);

void watch_close(struct loop *loop);

#endif
