/* An assertion that does not hold is a bug: it fails the workflow task, and says where. */
#undef assert
#ifdef NDEBUG
#define assert(condition) ((void)0)
#else
#include <mainspring.h>
#define assert(condition) \
    ((condition) ? (void)0 : ms_panic("assertion failed: %s, at %s:%d", #condition, __FILE__, __LINE__))
#endif
