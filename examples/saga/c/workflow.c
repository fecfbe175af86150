/* Saga: a trip is booked in three steps, each at another company. When one of them fails, or somebody cancels the trip,
 * what was booked so far is taken back, the last step first. */

#include <mainspring.h>

#define STEPS 3
static const char *const BOOK[STEPS] = {"book_car", "book_hotel", "book_flight"};
static const char *const CANCEL[STEPS] = {"cancel_car", "cancel_hotel", "cancel_flight"};
static const char *const NAME[STEPS] = {"car", "hotel", "flight"};

/* Shielded, so that it also works in a workflow that has been canceled. */
static void take_back(int steps, ms_json *trip_id) {
    ms_shield_begin();
    while (steps-- > 0) {
        /* Tried until it succeeds: nothing else would put things right. */
        ms_result undone = ms_execute_activity(CANCEL[steps], MS_ARGS(trip_id), &(ms_activity_options){.start_to_close_ms = 30000});
        if (ms_failed(undone)) ms_log_error("somebody has to look after this: %s", ms_describe_failure(undone.failure));
    }
    ms_shield_end();
}

MS_WORKFLOW(BookTrip) {
    ms_json *trip = ms_input(0), *trip_id = ms_get(trip, "id"), *bookings = ms_object();
    ms_str(trip_id);
    ms_str(ms_get(trip, "destination"));
    for (int step = 0; step < STEPS; step++) {
        ms_result booked = ms_execute_activity(BOOK[step], MS_ARGS(trip), &(ms_activity_options){.start_to_close_ms = 30000, .max_attempts = 3});
        if (ms_failed(booked)) {
            /* This step too: where an answer was lost, the booking may be there all the same. */
            take_back(step + 1, trip_id);
            return ms_fail(booked);
        }
        ms_set(bookings, NAME[step], booked.value);
    }
    return ms_return(bookings);
}
