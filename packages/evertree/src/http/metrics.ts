import { setImmediate } from 'node:timers/promises';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from '@prometheus-io/client';
import type { RetentionStatus, Role, Store } from '@evertree/core';
import type { PeerStatus } from '@evertree/producer';
import type { Site } from '../site/site.ts';
import type { WriteAdmission } from './admission.ts';
import { addArchive } from './archive-metrics.ts';
import type { DelayFigures, EventLoopLag } from './event-loop-lag.ts';
import { addGauge } from './gauges.ts';
import { beginOfHistory } from './status.ts';

/** Node's longest delay of a timer. */
const LONGEST_MS = 2 ** 31 - 1;
const NANOSECONDS = 1e9;

interface MetricsSources {
  readonly admission: WriteAdmission;
  /** How many watches are open. */
  readonly watches: () => number;
  /** Whoever made it ends it. */
  readonly lag: EventLoopLag;
  /** The stable revision when the site started. */
  readonly startedAt: number;
}

/**
 * The metrics of one site. Figures are looked up at a scrape, so that commits and frames cost nothing more; what is only
 * told in events is counted by the methods.
 */
export class Metrics {
  /** Each site has a registry of its own: the names of metrics have no site in them. */
  readonly registry = new Registry();
  readonly #requests: Histogram<'method' | 'route' | 'status'>;
  readonly #resyncs: Counter<'kind' | 'reason'>;
  readonly #roleChanges: Counter<'role'>;
  readonly #divergences: Counter;
  readonly #rivals: Counter;

  constructor(site: Site, { admission, watches, lag, startedAt }: MetricsSources) {
    const { registry } = this;
    addProcess(registry);
    addEventLoop(registry, lag);
    addSite(registry, site.store, startedAt);
    addPeers(registry, site);
    addArchive(registry, site);
    addCatchUps(registry, site);
    this.#resyncs = new Counter({
      registers: [registry],
      name: 'evertree_resyncs_total',
      help: 'Whole trees sent or received because the journal did not reach back.',
      labelNames: ['kind', 'reason'],
    });
    addGauge(registry, 'evertree_switch_under_way', '1 while a change of roles is under way.', () =>
      site.switching === undefined ? 0 : 1,
    );
    addGauge(
      registry,
      'evertree_switch_held_writes',
      'Writes over HTTP that wait until it is decided where they go.',
      () => admission.held,
    );
    this.#roleChanges = new Counter({
      registers: [registry],
      name: 'evertree_role_changes_total',
      help: 'How often this site became a primary or a secondary since the start.',
      labelNames: ['role'],
    });
    this.#divergences = new Counter({
      registers: [registry],
      name: 'evertree_divergences_total',
      help: 'Divergences that were kept since the start: each holds commits that are not in the history that goes on.',
    });
    this.#rivals = new Counter({
      registers: [registry],
      name: 'evertree_two_primaries_total',
      help: 'How often this site heard since the start of a site that was promoted independently.',
    });
    addGauge(registry, 'evertree_acknowledgement_overdue', '1 while further writes wait for secondaries to acknowledge.', () =>
      admission.overdue === undefined ? 0 : 1,
    );
    addGauge(registry, 'evertree_watches', 'Clients that watch over HTTP.', watches);
    this.#requests = new Histogram({
      registers: [registry],
      name: 'evertree_http_request_duration_seconds',
      help: 'Time from the head of a request to the end of its answer; watches are not in it.',
      labelNames: ['method', 'route', 'status'],
      buckets: [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10],
    });
  }

  answered(method: string, route: string, status: number, seconds: number): void {
    this.#requests.observe({ method, route, status }, seconds);
  }

  resynced(reason: string): void {
    this.#resyncs.inc({ kind: 'snapshot', reason });
  }

  roleChanged(role: Role): void {
    this.#roleChanges.inc({ role });
  }

  diverged(): void {
    this.#divergences.inc();
  }

  heardRival(): void {
    this.#rivals.inc();
  }
}

/**
 * The client's figures of the process, but for those of the event loop: these reset at each scrape, and their timers
 * can't be stopped, so they get the longest delay.
 */
function addProcess(registry: Registry): void {
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LONGEST_MS, eventLoopUtilizationTimeout: LONGEST_MS });
  for (const { name } of registry.getMetricsAsArray()) if (name.startsWith('nodejs_eventloop_')) registry.removeSingleMetric(name);
}

const LAG_FIGURES: readonly (readonly [suffix: string, help: string, read: (delays: DelayFigures) => number])[] = [
  ['min', 'The least', delays => delays.min],
  ['max', 'The greatest', delays => delays.max],
  ['mean', 'The mean', delays => delays.mean],
  ['stddev', 'The standard deviation', delays => delays.stddev],
  ['p50', 'The 50th percentile', delays => delays.percentile(50)],
  ['p90', 'The 90th percentile', delays => delays.percentile(90)],
  ['p99', 'The 99th percentile', delays => delays.percentile(99)],
];

function addEventLoop(registry: Registry, lag: EventLoopLag): void {
  addGauge(registry, 'nodejs_eventloop_lag_seconds', 'Delay of the event loop during this scrape.', async () => {
    const asked = performance.now();
    await setImmediate();
    return (performance.now() - asked) / 1000;
  });
  for (const [suffix, help, read] of LAG_FIGURES) {
    const name = `nodejs_eventloop_lag_${suffix}_seconds`;
    addGauge(registry, name, `${help} of the event loop's delays in the last two to four minutes.`, () => {
      const delays = lag.read();
      return delays.count === 0 ? undefined : read(delays) / NANOSECONDS;
    });
  }
}

function addSite(registry: Registry, store: Store, startedAt: number): void {
  const { journal } = store;
  addGauge(registry, 'evertree_is_primary', '1 at a primary, 0 at a secondary.', () => (store.role === 'primary' ? 1 : 0));
  addGauge(registry, 'evertree_epoch', "Number of the tree's epoch.", () => store.stable.position.epoch);
  addGauge(
    registry,
    'evertree_revision',
    'Revision up to which this site holds the history on stable storage.',
    () => store.stable.position.revision,
  );
  addGauge(registry, 'evertree_fenced', '1 while another site’s epoch keeps this one from taking writes.', () =>
    store.standing === 'fenced' ? 1 : 0,
  );
  addGauge(registry, 'evertree_divergences', 'Divergences that are kept here.', () => journal.divergences.list().length);
  addGauge(registry, 'evertree_takes_writes', '1 while commits are taken here.', () =>
    store.role === 'primary' && store.state === 'open' ? 1 : 0,
  );
  addGauge(registry, 'evertree_journal_bytes', 'Bytes that segments and snapshots take on the disk.', () => journal.retention.storedBytes);
  addGauge(
    registry,
    'evertree_journal_max_bytes',
    'Bytes that segments and snapshots may take on the disk.',
    () => journal.retention.status?.maxBytes,
  );
  addGauge(
    registry,
    'evertree_history_first_revision',
    'Revision of the oldest state that this site can read.',
    () => beginOfHistory(store).position.revision,
  );
  addGauge(registry, 'evertree_history_oldest_timestamp_seconds', 'When that state was committed, in seconds since 1970.', () => {
    const { time } = beginOfHistory(store);
    return time === undefined ? undefined : time / 1_000;
  });
  addGauge(registry, 'evertree_marks', 'Named states of the history.', () => store.marks.length);
  addGauge(registry, 'evertree_journal_pending_bytes', 'Bytes appended that are not stable yet.', () => journal.log.pendingBytes);
  addCounter(registry, 'evertree_commits_total', 'Commits made stable here since the start, its own or its primary’s.', () =>
    Math.max(0, store.stable.position.revision - startedAt),
  );
}

function fullCopies(retention: RetentionStatus | undefined): readonly string[] {
  return retention === undefined ? [] : [...retention.passed, ...retention.atRisk];
}

function addPeers(registry: Registry, site: Site): void {
  addPeerGauge(
    registry,
    site,
    'evertree_peer_lag_revisions',
    'Revisions that a secondary does not hold durably.',
    peer => peer.lagRevisions,
  );
  addPeerGauge(registry, site, 'evertree_peer_lag_seconds', 'Age of the oldest commit that a secondary has not acknowledged.', peer =>
    peer.lagMs === null ? null : peer.lagMs / 1000,
  );
  addPeerGauge(registry, site, 'evertree_peer_connected', '1 while a secondary is linked and takes frames.', peer =>
    peer.state === 'replicate' || peer.state === 'snapshot' || peer.state === 'probe' ? 1 : 0,
  );
  addPeerGauge(
    registry,
    site,
    'evertree_peer_full_copy_ahead',
    '1 for a secondary that needs a full copy when it comes back, or soon will: the history kept for it is at its limit.',
    peer => (fullCopies(site.store.journal.retention.status).includes(peer.site) ? 1 : 0),
  );
  const sent = new Counter({
    registers: [registry],
    name: 'evertree_peer_sent_bytes_total',
    help: 'Bytes sent to a secondary since the start.',
    labelNames: ['peer'],
    collect() {
      this.reset();
      for (const peer of site.producer?.peers ?? []) this.inc({ peer: peer.site }, peer.sentBytes);
    },
  });
  sent.reset();
}

function addCatchUps(registry: Registry, site: Site): void {
  const catchUps = new Counter({
    registers: [registry],
    name: 'evertree_catch_ups_total',
    help: 'Stretches of history that this secondary took from an archive, or could not take, since it follows.',
    labelNames: ['outcome'],
    collect() {
      this.reset();
      const { done, failed } = site.consumer?.state.catchUps ?? { done: 0, failed: 0 };
      this.inc({ outcome: 'done' }, done);
      this.inc({ outcome: 'failed' }, failed);
    },
  });
  catchUps.reset();
}

function addPeerGauge(registry: Registry, site: Site, name: string, help: string, read: (peer: PeerStatus) => number | null): void {
  const gauge = new Gauge({
    registers: [registry],
    name,
    help,
    labelNames: ['peer'],
    collect() {
      this.reset();
      for (const peer of site.producer?.peers ?? []) {
        const value = read(peer);
        if (value !== null) this.set({ peer: peer.site }, value);
      }
    },
  });
  gauge.reset();
}

function addCounter(registry: Registry, name: string, help: string, read: () => number): void {
  const counter = new Counter({
    registers: [registry],
    name,
    help,
    collect() {
      this.reset();
      this.inc(read());
    },
  });
  counter.reset();
}
