/** Options that several things have. */

import { msOptionalToNumber, msToNumber, type Duration } from './duration';
import type { RetryPolicyRecord } from './host';
import { ValueError } from './payload';

/** When and how often something that failed is tried again. */
export interface RetryPolicy {
  /** What the interval is multiplied with after each attempt; 2 unless set. */
  backoffCoefficient?: number;
  /** How long to wait before the second attempt; 1 second unless set. */
  initialInterval?: Duration;
  /** How often to try in all; without end unless set. */
  maximumAttempts?: number;
  /** The longest interval; 100 times the initial one unless set. */
  maximumInterval?: Duration;
  /** Types of application failures that are not tried again. */
  nonRetryableErrorTypes?: string[];
}

export function retryPolicyToHost(policy: RetryPolicy | undefined | null): RetryPolicyRecord | undefined {
  if (!policy) return undefined;
  const { backoffCoefficient, maximumAttempts, nonRetryableErrorTypes } = policy;
  if (backoffCoefficient != null && !(backoffCoefficient > 0)) {
    throw new ValueError('RetryPolicy.backoffCoefficient must be greater than 0');
  }
  const limited = maximumAttempts != null && maximumAttempts !== Number.POSITIVE_INFINITY;
  if (limited && !(maximumAttempts > 0)) {
    throw new ValueError('RetryPolicy.maximumAttempts must be a positive integer');
  }
  if (limited && !Number.isInteger(maximumAttempts)) {
    throw new ValueError('RetryPolicy.maximumAttempts must be an integer');
  }
  const initialInterval = msToNumber(policy.initialInterval ?? 1_000);
  const maximumInterval = msOptionalToNumber(policy.maximumInterval);
  if (initialInterval <= 0) throw new ValueError('RetryPolicy.initialInterval must be greater than 0');
  if (maximumInterval !== undefined && maximumInterval < initialInterval) {
    throw new ValueError('RetryPolicy.maximumInterval cannot be less than its initialInterval');
  }
  return {
    initialInterval,
    backoffCoefficient: backoffCoefficient ?? 0,
    maximumInterval,
    maximumAttempts: limited ? maximumAttempts : 0,
    nonRetryableErrorTypes: nonRetryableErrorTypes ?? [],
  };
}

export function retryPolicyFromHost(policy: RetryPolicyRecord | undefined): RetryPolicy | undefined {
  if (!policy) return undefined;
  return {
    initialInterval: policy.initialInterval,
    backoffCoefficient: policy.backoffCoefficient,
    maximumInterval: policy.maximumInterval,
    maximumAttempts: policy.maximumAttempts,
    nonRetryableErrorTypes: policy.nonRetryableErrorTypes,
  };
}
