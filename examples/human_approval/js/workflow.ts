/**
 * Human approval: an expense that waits for people. They look at it (a query), remark on it (a signal) and decide about
 * it (an update, which can be refused and is answered). When they do nothing, a timer asks somebody else.
 */

import {
  ApplicationFailure,
  condition,
  defineQuery,
  defineSignal,
  defineUpdate,
  proxyActivities,
  setHandler,
} from '@temporalio/workflow';

interface Expense {
  purpose: string;
  reviewers: string[];
  /** How many of them have to approve. */
  needed: number;
  /** Who is asked when they do not. */
  manager: string;
  reviewers_have_ms: number;
  manager_has_ms: number;
}

interface Review {
  needed: number;
  asked: string[];
  approved_by: string[];
  rejected_by: string | null;
  comments: string[];
}

interface Activities {
  notify(person: string, text: string): Promise<void>;
}

const { notify } = proxyActivities<Activities>({ startToCloseTimeout: '30 seconds' });

/** Where it stands. */
const status = defineQuery<Review>('status');
/** A remark: nobody has to answer it. */
const comment = defineSignal<[author: string, text: string]>('comment');
/** A decision; answers how many approvals are still missing. */
const decide = defineUpdate<number, [person: string, approve: boolean]>('decide');

export async function ApproveExpense(expense: Expense): Promise<Review> {
  const review: Review = { needed: expense.needed, asked: [], approved_by: [], rejected_by: null, comments: [] };
  const isDecided = () => review.rejected_by !== null || review.approved_by.length >= review.needed;

  // What is refused here leaves no trace in the history.
  const mayDecide = (person: string, _approve: boolean) => {
    if (!review.asked.includes(person)) throw ApplicationFailure.create({ type: 'NotAsked', message: `${person} was not asked` });
    if (review.approved_by.includes(person)) {
      throw ApplicationFailure.create({ type: 'DecidedTwice', message: `${person} has decided already` });
    }
    if (isDecided()) throw ApplicationFailure.create({ type: 'TooLate', message: 'it is decided' });
  };
  const decided = (person: string, approve: boolean) => {
    if (approve) {
      review.approved_by.push(person);
    } else {
      review.rejected_by = person;
    }
    return Math.max(0, review.needed - review.approved_by.length);
  };
  setHandler(status, () => review);
  setHandler(comment, (author, text) => void review.comments.push(`${author}: ${text}`));
  setHandler(decide, decided, { validator: mayDecide });

  const ask = async (person: string, text: string) => {
    review.asked.push(person);
    await notify(person, text);
  };
  for (const reviewer of expense.reviewers) await ask(reviewer, `please decide: ${expense.purpose}`);
  if (!(await condition(isDecided, expense.reviewers_have_ms))) {
    // The last one to ask, whose word is enough.
    review.needed = review.approved_by.length + 1;
    await ask(expense.manager, `nobody decides: ${expense.purpose}`);
    if (!(await condition(isDecided, expense.manager_has_ms))) {
      throw ApplicationFailure.create({ type: 'Expired', message: 'nobody has decided' });
    }
  }
  return review;
}
