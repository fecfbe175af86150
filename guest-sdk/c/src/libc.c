/* What a compiler and a program expect of a C library, as far as a workflow can have it. There is nothing below it: the
 * component imports no WASI, so whatever is not here does not link. */

#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* Without this the compiler turns these loops into calls of the very functions that they are. */
#pragma clang diagnostic ignored "-Wunknown-attributes"
#define NO_BUILTINS __attribute__((no_builtin))

NO_BUILTINS void *memmove(void *to, const void *from, size_t length) {
    /* One wasm instruction, which may overlap. */
    return __builtin_memmove(to, from, length);
}

NO_BUILTINS void *memcpy(void *restrict to, const void *restrict from, size_t length) {
    return __builtin_memmove(to, from, length);
}

NO_BUILTINS void *memset(void *to, int byte, size_t length) {
    return __builtin_memset(to, byte, length);
}

NO_BUILTINS int memcmp(const void *a, const void *b, size_t length) {
    const unsigned char *left = a, *right = b;
    for (; length > 0; left++, right++, length--)
        if (*left != *right) return *left - *right;
    return 0;
}

NO_BUILTINS void *memchr(const void *in, int byte, size_t length) {
    const unsigned char *at = in;
    for (; length > 0; at++, length--)
        if (*at == (unsigned char)byte) return (void *)at;
    return 0;
}

NO_BUILTINS size_t strlen(const char *text) {
    const char *end = text;
    while (*end) end++;
    return (size_t)(end - text);
}

NO_BUILTINS int strcmp(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return (unsigned char)*a - (unsigned char)*b;
}

NO_BUILTINS int strncmp(const char *a, const char *b, size_t length) {
    while (length > 0 && *a && *a == *b) a++, b++, length--;
    return length == 0 ? 0 : (unsigned char)*a - (unsigned char)*b;
}

NO_BUILTINS char *strchr(const char *in, int byte) {
    for (; *in != (char)byte; in++)
        if (!*in) return 0;
    return (char *)in;
}

NO_BUILTINS char *strrchr(const char *in, int byte) {
    char *last = 0;
    do
        if (*in == (char)byte) last = (char *)in;
    while (*in++);
    return last;
}

NO_BUILTINS char *strstr(const char *in, const char *what) {
    size_t length = strlen(what);
    for (; *in; in++)
        if (strncmp(in, what, length) == 0) return (char *)in;
    return length == 0 ? (char *)in : 0;
}

char *strdup(const char *text) {
    return ms__copy(text, strlen(text));
}

/* The allocator: blocks of powers of two, from free lists, else from the end of the memory. Each block has its class in
 * front of it. What is freed serves the next of its class: the same calls give the same addresses. */

#define CLASS_MIN 4
#define CLASS_MAX 30
#define HEADER 8
#define WASM_PAGE 65536u

typedef struct block {
    uint32_t class;
    uint32_t unused;
    struct block *next;
} block;

extern char __heap_base;
static block *free_blocks[CLASS_MAX + 1];
static uintptr_t heap_end;

void *malloc(size_t size) {
    if (size > ((size_t)1 << CLASS_MAX) - HEADER) return 0;
    uint32_t class = size + HEADER <= (1u << CLASS_MIN) ? CLASS_MIN : 32 - (uint32_t)__builtin_clz((uint32_t)size + HEADER - 1);
    block *found = free_blocks[class];
    if (found) {
        free_blocks[class] = found->next;
        return (char *)found + HEADER;
    }
    if (heap_end == 0) heap_end = ((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15;
    uint32_t bytes = 1u << class;
    uintptr_t memory_end = (uintptr_t)__builtin_wasm_memory_size(0) * WASM_PAGE;
    if (bytes > memory_end - heap_end) {
        uint32_t pages = (bytes - (uint32_t)(memory_end - heap_end) + WASM_PAGE - 1) / WASM_PAGE;
        if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1) return 0;
    }
    found = (block *)heap_end;
    heap_end += bytes;
    found->class = class;
    return (char *)found + HEADER;
}

void free(void *memory) {
    if (!memory) return;
    block *freed = (block *)((char *)memory - HEADER);
    freed->next = free_blocks[freed->class];
    free_blocks[freed->class] = freed;
}

void *calloc(size_t count, size_t size) {
    if (size != 0 && count > SIZE_MAX / size) return 0;
    void *memory = malloc(count * size);
    return memory ? memset(memory, 0, count * size) : 0;
}

void *realloc(void *old, size_t size) {
    if (!old) return malloc(size);
    size_t had = ((size_t)1 << ((block *)((char *)old - HEADER))->class) - HEADER;
    if (size <= had) return old;
    void *memory = malloc(size);
    if (!memory) return 0;
    memcpy(memory, old, had);
    free(old);
    return memory;
}

void abort(void) {
    ms_panic("the workflow called abort()");
}

/* The SDK's own: memory that there is not is a bug like any other, and the host knows that it refused it. */

void *ms__alloc(size_t size) {
    void *memory = malloc(size);
    if (!memory) ms_panic("out of memory: %zu bytes asked for", size);
    return memory;
}

void *ms__zeroed(size_t size) {
    return memset(ms__alloc(size), 0, size);
}

void *ms__grown(void *old, size_t size) {
    void *memory = realloc(old, size);
    if (!memory) ms_panic("out of memory: %zu bytes asked for", size);
    return memory;
}

char *ms__copy(const char *text, size_t length) {
    char *copy = ms__alloc(length + 1);
    memcpy(copy, text, length);
    copy[length] = 0;
    return copy;
}

__attribute__((export_name("cabi_realloc"))) void *ms__cabi_realloc(void *old, size_t had, size_t align, size_t size) {
    (void)had;
    (void)align; /* Blocks are aligned to 8, which is the most that the world asks for. */
    return size == 0 ? (void *)align : ms__grown(old, size);
}
