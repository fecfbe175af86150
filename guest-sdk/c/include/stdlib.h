/* The part of the standard header that workflows have. */
#ifndef MS_STDLIB_H
#define MS_STDLIB_H
#include <stddef.h>
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *old, size_t size);
void free(void *memory);
__attribute__((noreturn)) void abort(void);
double strtod(const char *text, char **end);
#endif
