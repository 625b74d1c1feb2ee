import { HandoverMachine } from '../../packages/evertree/src/roles/handover-machine.ts';
import { PromotionMachine } from '../../packages/evertree/src/roles/promotion-machine.ts';
import { QuickWrites } from '../../packages/journal/src/groups/quick-writes.ts';
import { TakeoverMachine } from '../../packages/evertree/src/roles/takeover-machine.ts';

interface Machine {
  readonly step: string;
  take: (this: Machine, event: { readonly type: string }) => readonly unknown[];
}

let mark: ((name: string) => void) | undefined;

/**
 * Marks, while `run` runs, each event that a machine of the roles acts on (`handover:consent:lost`), and when a journal
 * begins to write synchronously and ceases to.
 */
export function markingMachines<T>(told: (name: string) => void, run: () => T): T {
  mark = told;
  try {
    return run();
  } finally {
    mark = undefined;
  }
}

function watch(name: string, machine: { readonly prototype: unknown }): void {
  const prototype = machine.prototype as Machine;
  const { take } = prototype;
  prototype.take = function marked(this: Machine, event) {
    const { step } = this;
    const actions = take.call(this, event);
    if (actions.length > 0 || this.step !== step) mark?.(`${name}:${step}:${event.type}`);
    return actions;
  };
}

watch('handover', HandoverMachine);
watch('takeover', TakeoverMachine);
watch('promotion', PromotionMachine);

function watchQuickWrites(prototype: { observe: (bytes: number, tookMs: number) => void; wrote: (tookMs: number) => void }): void {
  const { observe, wrote } = prototype;
  prototype.observe = function marked(this: QuickWrites, bytes, tookMs) {
    observe.call(this, bytes, tookMs);
    if (this.allows(0)) mark?.('quick-writes:begin');
  };
  prototype.wrote = function marked(this: QuickWrites, tookMs) {
    wrote.call(this, tookMs);
    if (!this.allows(0)) mark?.('quick-writes:rest');
  };
}

watchQuickWrites(QuickWrites.prototype);
