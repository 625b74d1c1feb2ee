import type { z } from 'zod';
import { checkSchema } from '../configuration/check.ts';
import { documentOf } from '../configuration/document.ts';
import { milliseconds, section, text, yesOrNo } from '../configuration/fields.ts';
import { configurationError } from '../configuration/problem.ts';

const LONGEST_PAUSE_MS = 2 ** 31 - 1;

const SCHEMAS = {
  switchover: section({
    to: text("a site's name").optional(),
    dryRun: yesOrNo().optional(),
    cancel: yesOrNo().optional(),
    maxPauseMs: milliseconds(0, LONGEST_PAUSE_MS, 'how long writers may wait').optional(),
    command: text("a command's id").optional(),
  }),
  promote: section({
    dryRun: yesOrNo().optional(),
    confirm: text('the hash of a dry run').optional(),
    force: yesOrNo().optional(),
  }),
} satisfies Record<string, z.ZodType>;

/**
 * Checks what a change of roles is asked with, as a file is checked: `dryrun` would otherwise carry it out.
 * @throws EvertreeError CONFIGURATION_INVALID with the nearest key of each unknown one
 */
export function checkRoleOptions(options: object, command: keyof typeof SCHEMAS): void {
  const { problems } = checkSchema<unknown>(documentOf(options, command, 'an object'), SCHEMAS[command]);
  if (problems.length > 0) throw configurationError(problems);
}
