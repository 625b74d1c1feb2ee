import { createInterface } from 'node:readline/promises';
import { emptyDigest, formatPosition } from '@evertree/core';
import type { Command } from 'commander';
import type { SiteClient } from '../client/site-client.ts';
import { UsageError } from './exit-status.ts';
import type { SiteStatus } from './status-report.ts';

export interface WholeTreeOptions {
  readonly yes?: true;
}

/** The option of commands that may remove or replace the whole tree, such as `delete ""`. */
export function withYes(command: Command): Command {
  return command.option('--yes', 'do not ask before the whole tree is removed or replaced');
}

/** The status of the site that will take the write: with `--follow` that of the primary, if the site names it. */
export async function writerStatus(client: SiteClient): Promise<SiteStatus> {
  const status = (await client.json('/status')) as SiteStatus;
  const address = URL.parse(status.consumer?.primary?.address ?? '');
  if (status.role === 'primary' || !client.follows || address === null) return status;
  client.goTo(address);
  return (await client.json('/status')) as SiteStatus;
}

/**
 * Asks at a terminal; elsewhere `--yes` is needed. Nothing is asked when the tree is empty, or when the site takes no
 * writes.
 * @param does what the command does to the tree, as a verb: `removes`, `replaces`
 * @throws UsageError when the answer is no, or there is no terminal to ask at
 */
export async function confirmWholeTree(client: SiteClient, does: string, { yes }: WholeTreeOptions): Promise<void> {
  if (yes) return;
  const { site, role, digest, position } = await writerStatus(client);
  if (role !== 'primary' || digest === emptyDigest()) return;
  const message = `this ${does} the whole tree of ${site}, at ${formatPosition(position)}`;
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new UsageError(`${message}; add --yes if that is meant (a shell variable that is not set is an empty path, too)`);
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question(`${message}. Go on? [y/N] `);
  terminal.close();
  if (!/^y(?:es)?$/i.test(answer.trim())) throw new UsageError('nothing was changed');
}
