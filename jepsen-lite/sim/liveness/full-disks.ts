// When disks are full, up to all of them, reads are still served, whichever node leads, and leadership does not move
// back and forth: each node hands over at most once a minute. An operator who finds full disks restarts nodes. So this
// test kills the leader while the disks are full.

import type { LogIndex } from '../../../src/raft/index.ts'
import type { Driver } from '../../../src/server/node/driver.ts'
import { bits } from '../../workload/random.ts'
import { linearizable } from '../clients/null-requests.ts'
import { RuleViolation } from '../oracle/violation.ts'
import { DRAW } from '../schedule/random-purposes.ts'
import type { SimCluster, Waits } from '../world/cluster.ts'
import type { Machine } from '../world/process.ts'

const TRIED_IN = 2
/** With this little no node has space for a change: far less than any reserve. */
const FREE_BYTES = 1
/** The time until all nodes with full disks have noticed it. */
const NOTICED_MS = 10_000
/** Limit until there is a leader and every voter has served a read, in longest election timeouts. */
const ELECTIONS_MAX = 40
/** By then there is a leader again. Each new leader waits for the lease of the last one. */
const SETTLED_ELECTIONS = 20
const SETTLED_LEASES = 4
/** In the following election timeouts each node hands over at most once. */
const CALM_ELECTIONS = 5
const READ = linearizable(2000)

/** `cluster` is calm: it has a leader in `core`, and nothing is wrong. */
export function* readsOnFullDisks(cluster: SimCluster, core: readonly Machine[]): Waits {
  const { time, config, seed, probeCoverage, invariants } = cluster
  if (cluster.leader?.driver === undefined || bits(seed, DRAW.core, 0, 11) % TRIED_IN > 0) return
  // A node that cannot write a change serves no reads that need it, so all must have all of the log.
  const isQuiet = (): boolean => {
    const last = cluster.leader?.driver?.status().raft.lastIndex
    return core.every(({ process }) => process?.driver !== undefined && isQuietAt(process.driver, last))
  }
  yield { until: time.now + ELECTIONS_MAX * config.electionMaxMs, isOver: cluster.polled(isQuiet) }
  if (!isQuiet()) return
  const spared = core[bits(seed, DRAW.core, 0, 12) % (2 * core.length)]
  const full = core.filter((machine) => machine !== spared)
  for (const { space } of cluster.machines) space.fixed = Number.POSITIVE_INFINITY
  for (const { space } of full) space.fixed = FREE_BYTES
  const isNoticed = cluster.polled(() =>
    full.every(({ process }) => process?.driver?.status().diskSpace === 'none'),
  )
  yield { until: time.now + NOTICED_MS, isOver: isNoticed }
  const { leader } = cluster
  if (leader?.driver === undefined || !core.includes(leader.machine) || !isQuiet()) {
    for (const { space } of full) space.fixed = Number.POSITIVE_INFINITY
    return
  }
  const { configuration } = leader.driver
  const voters = core.filter((machine) => machine.votesIn(configuration))
  cluster.kill(leader.machine, 'lost', bits(seed, DRAW.core, 0, 13) % 2 === 0, config.electionMaxMs)
  yield { until: time.now + SETTLED_ELECTIONS * config.electionMaxMs + SETTLED_LEASES * config.leaseMs }
  const { maxTerm } = invariants
  yield { until: time.now + CALM_ELECTIONS * config.electionMaxMs }
  const { maxTerm: laterTerm } = invariants
  const movesBackAndForth = laterTerm - maxTerm > core.length
  const unread = new Set(voters)
  const waiting = new Set<Machine>()
  const began = time.now
  const isRead = cluster.polled(() => {
    for (const machine of unread) {
      // It has no space for the entry.
      if (lacksCommitted(cluster, machine)) unread.delete(machine)
      const serving = machine.process?.serving
      if (serving === undefined || waiting.has(machine)) continue
      waiting.add(machine)
      serving.read(READ, ({ ok }) => {
        waiting.delete(machine)
        if (ok) unread.delete(machine)
      })
    }
    return unread.size === 0
  })
  yield { until: began + ELECTIONS_MAX * config.electionMaxMs, isOver: isRead }
  const tookMs = Math.round(time.now - began)
  for (const { space } of full) space.fixed = Number.POSITIVE_INFINITY
  if (unread.size === 0 && !movesBackAndForth) {
    probeCoverage.hit('read on full disks')
    return
  }
  const nodes = [...unread].map(({ name }) => name).join(' ')
  const elected = `leaders are elected up to term ${laterTerm}`
  const why = movesBackAndForth ? elected : `no read is served at ${nodes} in ${tookMs} ms`
  throw new RuleViolation(
    'LIVE-7',
    `the disks of ${full.map(({ name }) => name).join(' ')} are full, and ${why} (${core.map(({ state }) => state).join('; ')})`,
  )
}

function lacksCommitted({ leader }: SimCluster, { process }: Machine): boolean {
  const log = leader?.driver?.status().raft
  const own = process?.driver?.status()
  return log !== undefined && own?.diskSpace === 'none' && own.raft.lastIndex < log.commit
}

function isQuietAt(driver: Driver, last: LogIndex | undefined): boolean {
  const { applied, stableIndex } = driver.status().raft
  if (applied !== last || stableIndex !== last) return false
  const inFlight = driver.inspect()
  return inFlight['proposals.waiting'] === 0 && inFlight['raft.proposals'] === 0
}
