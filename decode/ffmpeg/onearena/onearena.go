// Package onearena keeps all memory of C in one arena of glibc's malloc. The
// command imports it for that effect alone:
//
//	import _ "github.com/seehear/seehear/decode/ffmpeg/onearena"
//
// A call from Go to C runs on whichever thread is free, and glibc gives threads
// arenas of their own: what is freed in one cannot serve another, so that resident
// memory creeps upwards over hours although nothing leaks. The limit has to stand
// before there is a second thread, since it makes no arena go away, and the Go
// runtime has several by the time the first line of Go runs. Hence a constructor
// of C, and a package of its own: it acts on the whole process, which is for the
// program to decide and not for a library. With another malloc it does nothing.
package onearena

/*
#include <stdlib.h>
#include <string.h>
#if defined(__GLIBC__)
#include <malloc.h>
#include <stdio.h>

__attribute__((constructor)) static void seehear_one_arena(void) { mallopt(M_ARENA_MAX, 1); }

// The arenas that malloc tells of, each in an element of its own; -1 if it won't.
static int seehear_arenas(void) {
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	if (f == NULL) return -1;
	int n = malloc_info(0, f);
	if (fclose(f) != 0 || n != 0) n = -1;
	for (char *p = text; n >= 0 && (p = strstr(p, "<heap nr=")) != NULL; p++) n++;
	free(text);
	return n;
}
#else
static int seehear_arenas(void) { return -1; }
#endif

// Takes memory that no thread keeps aside, writes to it and gives it back.
static int seehear_touch(void) {
	char *volatile p = malloc(1 << 14);
	if (p == NULL) return 0;
	memset(p, 1, 1 << 14);
	free(p);
	return 1;
}
*/
import "C"

// arenas returns how many arenas malloc has made, less than 0 if it has none.
func arenas() int { return int(C.seehear_arenas()) }

// touch takes and frees memory of C on the thread that it is called on.
func touch() bool { return C.seehear_touch() != 0 }
