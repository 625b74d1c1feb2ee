import type { Restored, RestoreForecast } from '@evertree/archive';
import { formatPosition } from '@evertree/core';
import pico from 'picocolors';
import { visible } from '../logs/visible.ts';
import { formatBytes, formatCount, formatDuration } from './units.ts';

/** What a restore is going to do, for people. */
export function forecastLines(plan: RestoreForecast): string[] {
  const { position, time, digest, taken, chosen, image, stretches, commits, bytes, plainBytes, expectedMs, rate, notes } = plan;
  const begin = image === undefined ? 'the first commit' : `the image at ${formatPosition(image.position)} (${formatBytes(image.bytes)})`;
  const changes =
    commits === 0 ? '' : `, then ${formatCount(commits)} commits in ${formatCount(stretches)} object${stretches === 1 ? '' : 's'}`;
  return [
    ...(plan.resumes ? [`${pico.yellow('goes on')} where an earlier attempt ended`] : []),
    `state    ${formatPosition(position)} of ${new Date(time).toISOString()}, digest ${digest ?? 'not known inside a frame'}`,
    `taken    ${taken}`,
    `from     line ${plan.line}${plan.lineSite === undefined ? '' : ` of ${visible(plan.lineSite)}`} in ${plan.target}${chosen === undefined ? '' : `; ${chosen}`}`,
    `reads    ${begin}${changes}: ${formatBytes(bytes)}, unpacked ${formatBytes(plainBytes)}`,
    `takes    about ${formatDuration(expectedMs)} (${rate})`,
    `becomes  ${becomes(plan)}`,
    ...notes.map(note => `note     ${note}`),
  ];
}

function becomes({ site, role, epoch, asNewStream }: RestoreForecast): string {
  const name = site === undefined ? 'a site that --site has to name' : visible(site);
  const stream = asNewStream ? ' of another stream' : '';
  return epoch === undefined ? `${name}, a ${role}${stream}` : `${name}, a ${role}${stream} that begins epoch ${epoch}`;
}

/** What a restore did, for people. */
export function restoredLines(restored: Restored, data: string): string[] {
  const { site, role, base, digest, position, milliseconds, keptBytes, stream, plan, comparisons } = restored;
  const kept = keptBytes === 0 ? '' : `; ${formatBytes(keptBytes)} were there already`;
  const proof = `the digest was compared ${formatCount(comparisons + 1)} times`;
  const goesOn =
    role === 'secondary' ? `it follows its primary from ${formatPosition(position)}` : `it goes on at ${formatPosition(position)}`;
  return [
    `${pico.green('restored')} ${formatPosition(base)}, digest ${digest}, into ${data}: ${visible(site)}, a ${role}; ${goesOn}`,
    pico.dim(`${formatDuration(milliseconds)}; ${proof}${kept}`),
    ...(plan.asNewStream ? [`its stream is ${stream}`] : []),
    `start it with: evertree ${role} --data ${data} --config FILE`,
  ];
}
