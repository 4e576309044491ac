// When the cluster has converged: every watch receives everything, and every lease ends. A lease that is granted now
// sees its leader hand over shortly before it ends; the next leader may keep it until its deadline in the log, and no
// longer. Another lease is kept alive just before that, and must live for its whole time to live under the next leader.
// A few others are kept alive at the moment when they end. Afterwards no watch and no lease is left, so that the
// cluster is idle.

import type { LeaseId } from '../../../src/operations/forms/index.ts'
import { uniform } from '../../workload/random.ts'
import type { Lane } from '../clients/clients.ts'
import type { StoreClients } from '../clients/store-clients.ts'
import { HURRIED_MS } from '../clients/watchers.ts'
import { RuleViolation } from '../oracle/violation.ts'
import { type SimConfig, slowestDeliveryMs } from '../schedule/config.ts'
import { DRAW } from '../schedule/random-purposes.ts'
import type { SimCluster, Waits } from '../world/cluster.ts'
import type { Machine } from '../world/process.ts'
import { IO } from '../world/time.ts'

/** More than the times to live that clients draw with fast elections. */
const TTL_MS = 20_000
/** The leader hands over so long before the lease ends. */
const BEFORE_MS = 2000
const TRANSFER_MS = 2000
/** A watch receives its progress after two seconds. Clients need time of their own for each message. */
const CATCH_UP_MS_MAX = 180_000
/** How many leases are kept alive when they end. */
const RACES = 4

/** How long a leader needs at most for an entry of its own, while nothing is wrong. */
export const computePatienceMs = (config: SimConfig): number =>
  3000 +
  2 * config.electionMaxMs +
  20 * slowestDeliveryMs(config) +
  20 * (config.writeMs + config.writeJitterMs)

export function* settleStore(cluster: SimCluster, store: StoreClients, core: readonly Machine[]): Waits {
  const { invariants, time } = cluster
  store.calmAt = time.now
  store.watchers.settleAt(core)
  if (store.hasLeases) yield* leasesEnd(cluster, store, core)
  const { revision } = invariants.model
  const until = time.now + CATCH_UP_MS_MAX + revision * HURRIED_MS
  yield { until, isOver: () => store.watchers.whyIncomplete(revision) === undefined }
  const why = store.watchers.whyIncomplete(revision)
  if (why !== undefined) throw new RuleViolation('WATCH-1', `complete: ${why}`)
  store.watchers.endAll(revision)
}

/** Asks a follower to keep leases alive when they end: the log decides which came first. */
function* racesWithTheEnd(cluster: SimCluster, store: StoreClients, core: readonly Machine[]): Waits {
  const { time, config, leader, seed } = cluster
  const driver = leader?.serving
  const other = core.find(({ process }) => process !== leader && process?.serving !== undefined)?.process
  if (leader === undefined || driver === undefined || other === undefined) return
  const windowMs = 2 * (config.delayMs + config.jitterMs) + config.writeMs + config.writeJitterMs
  const ttlMs = Math.max(1000, Math.ceil(driver.leaseTtlMsMin))
  for (let race = 0; race < RACES; race++) {
    const lane = (name: string): Lane => ({ name: `${name}${race}`, busy: false })
    store.grant({ lane: lane('race'), process: leader, driver }, { id: undefined, ttlMs }, (lease) => {
      if (lease === undefined) return
      const at = time.now + ttlMs + windowMs * (uniform(seed, DRAW.store, race, 0) - 0.7)
      time.push(at, IO, undefined, () => {
        const contact = other.serving
        if (contact !== undefined)
          store.keepAlive({ lane: lane('keeps'), process: other, driver: contact }, [lease])
      })
    })
  }
  yield { until: time.now + ttlMs + 2 * config.timeoutMs }
}

function* leasesEnd(cluster: SimCluster, store: StoreClients, core: readonly Machine[]): Waits {
  const { time, config, leader, seed } = cluster
  const { model } = cluster.invariants
  // Clocks that run wrong may be slower.
  const slowness = config.clocks === 2 ? 2 : 1
  const driver = leader?.serving
  // It takes long, so not every run does it.
  const isLong = uniform(seed, DRAW.store, RACES, 0) < 0.5
  if (leader !== undefined && driver !== undefined && slowness === 1 && isLong) {
    yield* racesWithTheEnd(cluster, store, core)
    const ttlMs = Math.max(TTL_MS, Math.ceil(driver.leaseTtlMsMin))
    const asking = (name: string) => ({ lane: { name, busy: false }, process: leader, driver })
    store.grant(asking('rest'), { id: undefined, ttlMs })
    let kept: LeaseId | undefined
    store.grant(asking('kept'), { id: undefined, ttlMs }, (lease) => {
      kept = lease
    })
    yield { until: time.now + (ttlMs - BEFORE_MS) / 1.05 }
    if (kept !== undefined && leader.serving !== undefined) store.keepAlive(asking('kept'), [kept])
    yield { until: time.now + Math.min(BEFORE_MS / 2, config.timeoutMs) }
    leader.serving?.transfer(undefined, TRANSFER_MS, () => {})
  }
  const until = time.now + slowness * model.leasesEndInMs + computePatienceMs(config)
  // As long as both sides of a transfer may try.
  yield { until: time.now + 2 * (config.electionMaxMs + config.electionMinMs) }
  yield { until, isOver: () => model.leaseCount === 0 }
  if (model.leaseCount > 0)
    throw new RuleViolation(
      'KV-25',
      `${model.leaseCount} leases are there ${computePatienceMs(config)} ms after the last deadline`,
    )
}
