import { errorsIn } from '../client/failures.ts';

interface ErrorHints {
  readonly apiId?: unknown;
  readonly canRetry?: unknown;
}

/** Kafka's own name of an error, where a broker gave it. */
export function protocolErrorOf(error: unknown): string | undefined {
  const found = errorsIn(error).find(each => typeof (each as ErrorHints).apiId === 'string');
  return found && String((found as ErrorHints).apiId);
}

/** Whether the next attempt may succeed: every error that caused this one says so, or says nothing. */
export function canRetry(error: unknown): boolean {
  const errors = errorsIn(error) as readonly ErrorHints[];
  return errors.some(each => each.canRetry === true) && !errors.some(each => each.canRetry === false);
}
