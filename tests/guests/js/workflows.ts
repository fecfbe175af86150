/** Workflows after the features that Temporal's samples show: here as a component, there on Temporal's own worker. */

export * from './workflows/activities';
export * from './workflows/cancellation';
export * from './workflows/children';
export * from './workflows/concurrency';
export * from './workflows/conversations';
export * from './workflows/failures';
export * from './workflows/values';
