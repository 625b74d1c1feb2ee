import { formatPosition } from '@evertree/core';
import { type Command, Option } from 'commander';
import { optional } from '../optional.ts';
import { countArgument } from './arguments.ts';
import { FAILED } from './exit-status.ts';
import { type ClientOptions, clientOf, withClient } from './options.ts';
import type { ComparedState, SiteComparison } from '../comparison/site-comparison.ts';
import { printLine } from './terminal.ts';

const DEFAULT_LIMIT = 100;

interface CompareOptions extends ClientOptions {
  readonly with: string;
  readonly withTokenFile?: string;
  readonly withCa?: string;
  readonly repair?: true;
  readonly deep?: true;
  readonly limit: number;
  readonly json?: true;
}

export function addCompare(program: Command): void {
  withClient(program.command('compare'))
    .summary('find where the trees of two sites differ, and mend a secondary')
    .description(
      'Compares the trees of two sites at one position, and lists the paths that differ. Only digests travel, about as many as there are differences. A path is missing (only the site of --with has it), extra (only the site of --url has it) or changed. A site keeps the digests of its objects: --deep has both sites compute them anew, which finds values that changed in their memory. A repair is one request, of 64 MiB at most unless the site of --url allows more. Exit status: 0 equal, 1 different.',
    )
    .requiredOption('--with <url>', 'the site to compare with')
    .option('--with-token-file <file>', 'the file with its token (default: that of --token-file)')
    .option('--with-ca <file>', 'PEM certificates of its authority (default: those of --ca)')
    .option('--repair', 'make the tree of --url, a secondary, equal to that of --with; what differs travels, and nothing else')
    .option('--deep', 'have both sites compute all digests anew first: as much work as reading both trees')
    .addOption(new Option('--limit <count>', 'how many paths are listed').default(DEFAULT_LIMIT).argParser(countArgument))
    .option('--json', 'print the answer as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  evertree compare --url http://127.0.0.1:8182 --with http://127.0.0.1:8181\n  evertree compare --url http://127.0.0.1:8182 --with http://127.0.0.1:8181 --repair',
    )
    .action(async (options: CompareOptions) => {
      // Loaded on demand: other commands start faster without it.
      const { compareSites, repairSite } = await import('../comparison/site-comparison.ts');
      const theirs = clientOf({
        ...options,
        url: options.with,
        ...optional('tokenFile', options.withTokenFile ?? options.tokenFile),
        ...optional('ca', options.withCa ?? options.ca),
      });
      const work = { most: options.limit, deep: options.deep === true };
      const comparison = await (options.repair ? repairSite : compareSites)(clientOf(options), theirs, work);
      await printLine(options.json ? JSON.stringify(comparison) : comparisonLines(comparison).join('\n'));
      if (!comparison.equal && comparison.repaired === undefined) process.exitCode = FAILED;
    });
}

function differenceLine({ path, kind }: SiteComparison['differences']['listed'][number]): string {
  return `${kind.padEnd(7)}  ${JSON.stringify(path)}`;
}

function comparisonLines(comparison: SiteComparison): string[] {
  const { ours, theirs, equal, samePosition, differences, repaired } = comparison;
  const lines = [stateLine(ours), stateLine(theirs)];
  if (!samePosition) {
    const reason = [ours, theirs].find(({ role }) => role === 'secondary')?.state ?? 'another site';
    lines.push(`the positions differ (${reason}): what was committed between them is among the differences`);
  }
  if (equal) lines.push('equal');
  else
    lines.push(
      `different: ${differences.count} ${differences.count === 1 ? 'path' : 'paths'}`,
      ...differences.listed.map(line => `  ${differenceLine(line)}`),
    );
  for (const [site, paths] of [
    [ours.site, comparison.damaged?.ours ?? []],
    [theirs.site, comparison.damaged?.theirs ?? []],
  ] as const) {
    lines.push(...paths.map(path => `damaged in the memory of ${site}: ${JSON.stringify(path)}`));
  }
  const more = differences.count - differences.listed.length;
  if (more > 0) lines.push(`  and ${more} more`);
  if (repaired !== undefined) {
    const { position, digest, changes } = repaired;
    lines.push(
      `repaired: ${changes} ${changes === 1 ? 'path' : 'paths'} of ${ours.site} now as at ${theirs.site}; it is at ${formatPosition(position)} with the digest ${digest}`,
    );
  }
  return lines;
}

function stateLine({ url, site, role, state, position, digest }: ComparedState): string {
  return `${site}  ${role}  ${state}  ${url}  at ${formatPosition(position)} with the digest ${digest}`;
}
