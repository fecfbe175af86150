/* The part of the standard header that workflows have: formatting. For output there is the log. */
#ifndef MS_STDIO_H
#define MS_STDIO_H
#include <stdarg.h>
#include <stddef.h>
int snprintf(char *to, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
int vsnprintf(char *to, size_t size, const char *format, va_list args) __attribute__((format(printf, 3, 0)));
#endif
