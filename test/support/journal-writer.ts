import { writeSync } from 'node:fs';
import { nodeDisk, openJournal } from '@evertree/journal';
import { FrameChain } from './frame-chain.ts';
import { systemClock, systemRandom } from './host.ts';

/**
 * Appends to the journal in the directory that is named by the argument, until it is killed; writes each stable
 * revision on a line.
 */
const journal = await openJournal({
  disk: nodeDisk(process.argv[2]!),
  clock: systemClock,
  random: systemRandom,
  report: () => undefined,
  options: { segmentBytes: 64 * 1024 },
});
const chain = new FrameChain();
while (chain.position.revision < journal.log.last.revision) chain.next({ bytes: chain.position.revision % 500 });
journal.log.onProgress(() => void writeSync(1, `${journal.log.stable.revision}\n`));
for (;;) {
  for (let index = 0; index < 7; index++) journal.log.append(chain.next({ bytes: chain.position.revision % 500 }));
  await journal.log.flush();
}
