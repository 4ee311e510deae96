package ort

/*
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
static void seehear_ort_trim(void) { malloc_trim(0); }
#else
static void seehear_ort_trim(void) {}
#endif
*/
import "C"

// trim gives freed C memory back to the system. glibc keeps an arena for each of
// the threads that a Go program happens to use, and what a closed session leaves
// in one of them is of no use to a session opened on another thread: without this
// the memory of a process that opens and closes sessions wanders up with the
// number of threads.
func trim() { C.seehear_ort_trim() }
