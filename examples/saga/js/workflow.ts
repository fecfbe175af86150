/**
 * Saga: a trip is booked in three steps, each at another company. When one of them fails, or somebody cancels the trip,
 * what was booked so far is taken back, the last step first.
 */

import { CancellationScope, log, proxyActivities } from '@temporalio/workflow';

interface Trip {
  /** What the companies know the trip by: to book, or to take back, the same one twice is to do it once. */
  id: string;
  destination: string;
}

interface Bookings {
  car: string;
  hotel: string;
  flight: string;
}

interface Booking {
  book_car(trip: Trip): Promise<string>;
  book_hotel(trip: Trip): Promise<string>;
  book_flight(trip: Trip): Promise<string>;
}

interface TakingBack {
  cancel_car(tripId: string): Promise<void>;
  cancel_hotel(tripId: string): Promise<void>;
  cancel_flight(tripId: string): Promise<void>;
}

const { book_car, book_hotel, book_flight } = proxyActivities<Booking>({
  startToCloseTimeout: '30 seconds',
  retry: { maximumAttempts: 3 },
});
// Tried until it succeeds: nothing else would put things right.
const { cancel_car, cancel_hotel, cancel_flight } = proxyActivities<TakingBack>({ startToCloseTimeout: '30 seconds' });

export async function BookTrip(trip: Trip): Promise<Bookings> {
  const compensations: (() => Promise<void>)[] = [];
  try {
    // The way back is noted before the step: where an answer was lost, the booking may be there all the same.
    compensations.unshift(() => cancel_car(trip.id));
    const car = await book_car(trip);
    compensations.unshift(() => cancel_hotel(trip.id));
    const hotel = await book_hotel(trip);
    compensations.unshift(() => cancel_flight(trip.id));
    const flight = await book_flight(trip);
    return { car, hotel, flight };
  } catch (error) {
    // Shielded, so that it also works in a workflow that has been canceled.
    await CancellationScope.nonCancellable(() => takeBack(compensations));
    throw error;
  }
}

async function takeBack(compensations: (() => Promise<void>)[]): Promise<void> {
  for (const compensation of compensations) {
    try {
      await compensation();
    } catch (error) {
      log.error(`somebody has to look after this: ${error}`);
    }
  }
}
