package ffmpeg

/*
#include <stdlib.h>
#if defined(__GLIBC__)
#include <malloc.h>
static void one_arena(void) { mallopt(M_ARENA_MAX, 1); }
#else
static void one_arena(void) {}
#endif
*/
import "C"

// OneArena keeps all memory of C in one arena of glibc's malloc, for the whole
// process; elsewhere it does nothing. A call from Go to C runs on whichever
// thread is free, and glibc gives threads arenas of their own, so that what is
// freed in one cannot serve another and resident memory wanders upwards over
// hours although nothing leaks. The command calls it first of all.
func OneArena() { C.one_arena() }
