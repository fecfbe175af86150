/** The order workflow: charge the customer, then tell them so. The activities run in `../python/worker.py`. */

import { proxyActivities } from '@temporalio/workflow';

interface Order {
  amount: number;
  user_id: string;
  email: string;
}

interface Activities {
  charge_payment(amount: number, userId: string): Promise<string>;
  send_email(to: string, subject: string): Promise<void>;
}

const { charge_payment } = proxyActivities<Activities>({
  startToCloseTimeout: '30 seconds',
  retry: { maximumAttempts: 3 },
});
const { send_email } = proxyActivities<Activities>({ startToCloseTimeout: '10 seconds' });

/** Returns the id of the payment transaction. */
export async function OrderWorkflow(order: Order): Promise<string> {
  const transaction = await charge_payment(order.amount, order.user_id);
  await send_email(order.email, `주문 완료: ${transaction}`);
  return transaction;
}
