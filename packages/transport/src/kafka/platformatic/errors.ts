import { errorsIn, isText } from '../client/failures.ts';

interface ErrorHints {
  readonly apiId?: unknown;
  readonly canRetry?: unknown;
}

/** Kafka's own name of an error, where a broker gave it. */
export function protocolErrorOf(error: unknown): string | undefined {
  return protocolErrorsIn(error)[0];
}

/** Whether a broker gave this error, and no other one: an answer has one for each topic that was asked for. */
export function isOnly(name: string, error: unknown): boolean {
  const names = protocolErrorsIn(error);
  return names.length > 0 && names.every(each => each === name);
}

function protocolErrorsIn(error: unknown): string[] {
  return (errorsIn(error) as readonly ErrorHints[]).map(({ apiId }) => apiId).filter(isText);
}

/** Whether the next attempt may succeed: every error that caused this one says so, or says nothing. */
export function canRetry(error: unknown): boolean {
  const errors = errorsIn(error) as readonly ErrorHints[];
  return errors.some(each => each.canRetry === true) && !errors.some(each => each.canRetry === false);
}
