/* process.h - what is done once a process, whatever Lua states it has.
 *
 * Owns libcurl's global state, the count of forks, and that no library whose
 * code a resolver thread may still run is ever unloaded. */
#ifndef SORA_PROCESS_H
#define SORA_PROCESS_H

/* Does what is not done yet; NULL, or why libcurl can't be used. */
const char *process_open(void);

/* A number that a child process has of its own: who keeps it knows without a system call whether it is still in the
 * process where it got it. */
unsigned process_generation(void);

#endif
