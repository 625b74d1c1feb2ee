import {
  type ArchiveVerification,
  type ArchiveVerificationOptions,
  Identities,
  type OpenTargetOptions,
  verifyArchive as verifyTarget,
} from '@evertree/archive';
import { optional } from '../optional.ts';
import { openPlace } from './target-opening.ts';
import { nodeClock, nodeRandom } from '../site/machine.ts';
import { keepHeapSmall } from './small-heap.ts';

/** How an archive is verified, and how its service is found. */
export interface VerifyArchiveOptions
  extends
    Omit<ArchiveVerificationOptions, 'target' | 'clock' | 'random' | 'identities'>,
    Pick<OpenTargetOptions, 'endpoint' | 'region' | 'profile' | 'pathStyle'> {
  /** What files of age identities hold; needed from level 2 on for an archive that is encrypted. */
  readonly identities?: readonly string[];
}

/** As in `on-demand.ts`. */
export async function verifyArchive(target: string, options: VerifyArchiveOptions = {}): Promise<ArchiveVerification> {
  const { identities, ...rest } = options;
  const machine = { clock: nodeClock, random: nodeRandom };
  await using opened = await openPlace(target, options);
  using _ = keepHeapSmall();
  return await verifyTarget({
    ...rest,
    ...machine,
    target: opened,
    ...optional('identities', identities === undefined ? undefined : Identities.parse(identities)),
  });
}
