import type { LinkEvents, Message, Reporter } from '@evertree/core';

/**
 * Hands a message to whoever is attached. A handler that throws costs its link, not the process: it is told, and the link closes as `refused`.
 */
export function handToHandler(
  events: LinkEvents,
  message: Message,
  link: { readonly remote: string; close(reason: 'refused', explanation: string): void },
  report: Reporter,
): void {
  try {
    events.message(message);
  } catch (error) {
    const what = `this site failed on a ${message.type}`;
    report({ level: 'error', event: 'link-handler-threw', message: `${what} from ${link.remote}`, details: { error } });
    link.close('refused', what);
  }
}
