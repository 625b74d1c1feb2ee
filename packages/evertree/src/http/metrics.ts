import { collectDefaultMetrics, Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { RetentionStatus, Store } from '@evertree/core';
import type { PeerStatus } from '@evertree/producer';
import type { Site } from '../site/site.ts';

interface Sources {
  readonly site: Site;
  /** Watches that are open. */
  readonly watches: () => number;
}

/** The metrics of one site. Numbers are looked up when somebody asks for them, so that commits and frames pay nothing. */
export class Metrics {
  readonly registry: Registry;
  readonly #requests: Histogram<'method' | 'route' | 'status'>;

  constructor(registry: Registry, sources: Sources) {
    this.registry = registry;
    collectDefaultMetrics({ register: registry });
    addSite(registry, sources.site.store);
    addPeers(registry, sources.site);
    addResyncs(registry, sources.site);
    addGauge(registry, 'evertree_watches', 'Clients that watch over HTTP.', sources.watches);
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
}

function addSite(registry: Registry, store: Store): void {
  const { journal } = store;
  const startedAt = store.stable.position.revision;
  addGauge(registry, 'evertree_is_primary', '1 at a primary, 0 at a secondary.', () => (store.role === 'primary' ? 1 : 0));
  addGauge(registry, 'evertree_epoch', "Number of the tree's epoch.", () => store.stable.position.epoch);
  addGauge(
    registry,
    'evertree_revision',
    'Revision up to which this site holds the history on stable storage.',
    () => store.stable.position.revision,
  );
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

/** Whole trees sent (at a primary) or received (at a secondary). */
function addResyncs(registry: Registry, site: Site): void {
  const resyncs = new Counter({
    registers: [registry],
    name: 'evertree_resyncs_total',
    help: 'Whole trees sent or received because the journal did not reach back.',
    labelNames: ['kind', 'reason'],
  });
  site.on('resync', ({ reason }) => resyncs.inc({ kind: 'snapshot', reason: reason.code }));
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

/** @param read undefined while there is no such number */
function addGauge(registry: Registry, name: string, help: string, read: () => number | undefined): void {
  const gauge = new Gauge({
    registers: [registry],
    name,
    help,
    collect() {
      const value = read();
      if (value === undefined) this.remove();
      else this.set(value);
    },
  });
  gauge.remove();
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
