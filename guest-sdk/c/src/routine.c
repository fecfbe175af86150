/* Routines: functions that can be left where they block, and gone on with in a later activation.
 *
 * Binaryen's Asyncify has made each function that may block leave and come again: when the innermost one asks for it,
 * all of them return, writing their locals to a buffer, and later call each other again and read them back. What a C
 * compiler keeps in memory (arrays, addresses taken) is on a stack of its own for each routine, which simply stays. */

#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* Asyncify turns calls of these into its own functions; whoever calls the first and the last is where routines are left,
 * and whoever calls the other two is where they are entered. Neither is changed itself. */
#define ASYNCIFY(name) __attribute__((import_module("asyncify"), import_name(name)))
ASYNCIFY("start_unwind") void asyncify_start_unwind(void *data);
ASYNCIFY("stop_rewind") void asyncify_stop_rewind(void);
ASYNCIFY("start_rewind") void asyncify_start_rewind(void *data);
ASYNCIFY("stop_unwind") void asyncify_stop_unwind(void);

/* The main routine has 64 KiB of stack and 16 KiB for locals while it is left, other routines a quarter of it.
 *
 * Its stack is the lower half of the one that the linker puts at the beginning of the memory, so that what outgrows it
 * traps at address 0; the SDK's own work between the host and the routines has the upper half. */
#define MAIN_STACK 65536
#define MAIN_UNWOUND 16384
#define STACK 16384
#define UNWOUND 4096
/* At the far end of each stack, which grows downwards: if it changes, the stack was too small. */
#define CANARY 0x6d61696e73707269ull

ms__run_state ms__run;

/* In the memory that every instance begins with: untouched pages of it cost nothing. */
static _Alignas(16) char main_unwound[MAIN_UNWOUND];
/* Stacks of routines that have ended. */
static char *spare_stacks;

static inline void *stack_pointer(void) {
    void *pointer;
    __asm__ volatile(".globaltype __stack_pointer, i32\n\tglobal.get __stack_pointer\n\tlocal.set %0" : "=r"(pointer));
    return pointer;
}

static inline void set_stack_pointer(void *pointer) {
    __asm__ volatile(".globaltype __stack_pointer, i32\n\tlocal.get %0\n\tglobal.set __stack_pointer" : : "r"(pointer));
}

static void give_stack(ms__routine *routine) {
    if (routine->kind == ROUTINE_MAIN) {
        if ((uintptr_t)stack_pointer() <= MAIN_STACK)
            ms_panic("the module has too small a stack: link it with --stack-first -z stack-size=%d", 2 * MAIN_STACK);
        routine->unwound.at = main_unwound;
        routine->unwound.end = main_unwound + MAIN_UNWOUND;
        routine->stack_pointer = (void *)MAIN_STACK;
        return;
    }
    routine->stack = spare_stacks;
    if (routine->stack) spare_stacks = *(char **)(routine->stack + sizeof(uint64_t));
    else routine->stack = ms__alloc(STACK + UNWOUND);
    uint64_t canary = CANARY;
    memcpy(routine->stack, &canary, sizeof canary);
    routine->unwound.at = routine->stack + STACK;
    routine->unwound.end = routine->unwound.at + UNWOUND;
    routine->stack_pointer = routine->stack + STACK;
}

static void take_stack(ms__routine *routine) {
    if (!routine->stack) return;
    *(char **)(routine->stack + sizeof(uint64_t)) = spare_stacks;
    spare_stacks = routine->stack;
    routine->stack = 0;
}

ms__routine *ms__new_routine(ms__routine_kind kind, const char *name, void (*body)(ms__routine *), void *argument) {
    ms__routine *routine = ms__zeroed(sizeof *routine);
    routine->kind = kind;
    routine->name = name;
    routine->body = body;
    routine->argument = argument;
    routine->own_scope = kind == ROUTINE_SIGNAL || kind == ROUTINE_UPDATE;
    return routine;
}

/* Enters a routine. Apart, so that nothing of what surrounds it is on the stack while another one is in place. */
__attribute__((noinline)) static void enter(ms__routine *routine) {
    void *mine = stack_pointer();
    set_stack_pointer(routine->stack_pointer);
    if (routine->begun) {
        routine->rewinding = true;
        asyncify_start_rewind(&routine->unwound);
    }
    routine->begun = true;
    routine->body(routine);
    if (routine->left) asyncify_stop_unwind();
    set_stack_pointer(mine);
}

/* Leaves the current routine; and, when it is entered again, is where it goes on. */
__attribute__((noinline)) static void leave(ms__routine *routine) {
    if (routine->rewinding) {
        routine->rewinding = false;
        asyncify_stop_rewind();
        return;
    }
    routine->left = true;
    routine->stack_pointer = stack_pointer();
    asyncify_start_unwind(&routine->unwound);
}

void ms__run_routine(ms__routine *routine) {
    if (!routine->begun) give_stack(routine);
    ms__routine *outer = ms__run.current;
    ms__run.current = routine;
    routine->left = false;
    routine->waits_for = 0;
    routine->waits_for_handle = 0;
    enter(routine);
    ms__run.current = outer;
    uint64_t canary = CANARY;
    if (routine->stack) memcpy(&canary, routine->stack, sizeof canary);
    if (canary != CANARY)
        ms_panic("%s has used up its stack of %d bytes: keep large things in malloc'ed memory", routine->name, STACK);
    if (!routine->left) routine->ended = true;
    if (!routine->ended) return;
    if (routine->kind == ROUTINE_SIGNAL || routine->kind == ROUTINE_UPDATE) ms__handler_ended(routine);
    /* From within: an outcome that its body has not come to. */
    if ((routine->kind == ROUTINE_MAIN || routine->kind == ROUTINE_SPAWNED) && routine->left && !ms__run.closed) {
        ms__run.closed = true;
        ms__run.outcome = routine->outcome;
    }
    take_stack(routine);
}

void ms__free_routine(ms__routine *routine) {
    free(routine);
}

void ms__block(const char *waits_for, ms_handle *handle) {
    ms__routine *routine = ms__run.current;
    if (routine->read_only) ms_panic("%s tried to wait for %s: it may only read", routine->read_only, waits_for);
    routine->waits_for = waits_for;
    routine->waits_for_handle = handle;
    leave(routine);
}

void ms__wake(ms__routine *routine) {
    if (routine->queued || routine->ended) return;
    routine->queued = true;
    routine->next_queued = 0;
    if (!ms__run.queue) ms__run.queue_end = &ms__run.queue;
    *ms__run.queue_end = routine;
    ms__run.queue_end = &routine->next_queued;
}

bool ms__shielded(const ms__routine *routine) {
    return routine->own_scope || routine->shields > 0;
}

void ms__changes(const char *action) {
    ms__routine *routine = ms__run.current;
    if (!routine) ms_panic("this works only inside a workflow");
    if (routine->read_only)
        ms_panic("%s tried to %s: it may only read, and change nothing", routine->read_only, action);
}

static void forget_ended(void) {
    ms__routine **at = &ms__run.routines;
    while (*at) {
        ms__routine *routine = *at;
        if (routine->ended && !routine->queued) {
            *at = routine->next;
            if (routine != ms__run.main) ms__free_routine(routine);
        } else {
            at = &routine->next;
        }
    }
    ms__run.routines_end = at;
}

void ms__run_all(void) {
    do {
        bool ended = false;
        while (ms__run.queue) {
            ms__routine *routine = ms__run.queue;
            ms__run.queue = routine->next_queued;
            routine->queued = false;
            if (routine->ended) continue;
            ms__run_routine(routine);
            ended |= routine->ended;
        }
        if (ended) forget_ended();
        /* Everybody is asleep; but what has run may have made conditions true, which wake nobody by themselves. */
    } while (ms__wake_conditions());
}

/* Ending a routine from wherever it is: it is left, and never entered again. */
void ms_end(ms_outcome outcome) {
    ms__routine *routine = ms__run.current;
    if (!routine) ms_panic("a value cannot be read outside of a workflow: %s", ms_describe_failure(ms__outcome_failure(outcome)));
    routine->outcome = outcome;
    routine->ended = true;
    leave(routine);
}
