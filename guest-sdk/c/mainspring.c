/* The SDK, as one source file to compile. The parts are in the order in which a call goes through them. */

#include "src/guest.c"
#include "src/routine.c"
#include "src/operation.c"
#include "src/handler.c"
#include "src/workflow.c"
#include "src/failure.c"
#include "src/payload.c"
#include "src/json.c"
#include "src/number.c"
#include "src/text.c"
#include "src/libc.c"
