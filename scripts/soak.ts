import { parseArgs } from 'node:util';
import { soak } from './soak/run.ts';
import { SCENARIOS } from './soak/scenarios.ts';

const USAGE = `usage: pnpm soak [--scenario NAME] [--seconds S] [--seed N] [--steps]

  --scenario NAME  one of those below (default: rivals)
  --seconds S      how long steps are taken (default: 60); the last check comes on top
  --seed N         draws the steps (default: drawn itself): the same seed gives the same steps, not the same moments
  --steps          also a line for each step, and how often the sites logged which event

${Object.entries(SCENARIOS)
  .map(([name, { about }]) => `${name.padEnd(10)} ${about}`)
  .join('\n')}`;
const FAULTS_SHOWN = 20;

const { values } = parseArgs({
  options: {
    scenario: { type: 'string', default: 'rivals' },
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(1 + Math.floor(Math.random() * 1e9)) },
    steps: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const [scenario, seconds, seed] = [SCENARIOS[values.scenario], Number(values.seconds), Number(values.seed)];
if (values.help) console.log(USAGE);
else if (scenario === undefined || !(seconds > 0) || !Number.isSafeInteger(seed) || seed <= 0) {
  console.error(USAGE);
  process.exitCode = 2;
} else {
  console.log(`${values.scenario}, ${seconds} s, seed ${seed}`);
  const { faults, steps, writes, folder, events } = await soak({
    scenario,
    seconds,
    seed,
    step: values.steps ? console.log : () => undefined,
  });
  for (const fault of faults.slice(0, FAULTS_SHOWN)) console.log(`FAULT ${fault}`);
  if (values.steps) console.log([...events].map(([event, count]) => `${event} ${count}`).join(', '));
  console.log(`${steps} steps; ${writes.asked} writes asked for, ${writes.done} done, ${writes.unproven} lost with deleted history`);
  if (faults.length === 0) console.log('no law was broken');
  else console.log(`${faults.length} faults, seed ${seed}; data, steps.log and the logs of the sites are in ${folder}`);
  process.exitCode = faults.length === 0 ? 0 : 1;
}
