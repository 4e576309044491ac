// When the disks of a majority, or of all nodes, have no room for a change, reads are still served, whichever node
// leads, and leadership does not move back and forth. An operator who finds full disks restarts nodes. So this test
// kills the leader, or all nodes, while the disks are full, and one node has a change for which the others have no
// room. The next leader must commit an entry of its own term before it serves a read.

import type { Request } from '../../src/kv/index.ts'
import { type Configuration, isVoter, type LogIndex } from '../../src/raft/index.ts'
import type { Driver } from '../../src/server/node/driver.ts'
import type { ReadOptions } from '../../src/server/node/types.ts'
import { bits } from '../workload/random.ts'
import type { SimCluster } from './cluster.ts'
import { bytes } from './model-row.ts'
import type { Machine } from './process.ts'
import { DRAW } from './random-purposes.ts'
import { RuleViolation } from './violation.ts'

const TRIED_IN = 2
const POLL_MS = 50
/** With this little no node has room for a change: far less than any reserve. */
const FREE_BYTES = 1
/** The time until all nodes with full disks have noticed it. */
const NOTICED_MS = 10_000
/** Limit until there is a leader and every voter has served a read, in longest election time-outs. */
const ELECTIONS_MAX = 40
/**
 * By then the final leader leads, and in the following election time-outs no other one is elected. Each replica that
 * holds the change may lead once before that, and each new leader waits for the lease of the last one. Among seven
 * voters three can hold a change that is not committed.
 */
const SETTLED_ELECTIONS = 20
const SETTLED_LEASES = 4
const CALM_ELECTIONS = 5
const READ: ReadOptions = {
  consistency: 'linearizable',
  maxStalenessMs: undefined,
  minRevision: undefined,
  timeoutMs: 2000,
}

/** `cluster` is calm: it has a leader in `core`, and nothing is wrong. */
export function readsOnFullDisks(cluster: SimCluster, core: readonly Machine[]): void {
  const { time, config, seed, probeCoverage, invariants } = cluster
  const before = cluster.leader?.driver?.configuration
  if (before === undefined || bits(seed, DRAW.core, 0, 11) % TRIED_IN > 0) return
  // A change that only some have written prevents reads on nodes that cannot write it.
  const isQuiet = (): boolean => {
    const last = cluster.leader?.driver?.status().raft.lastIndex
    return core.every(({ process }) => process?.driver !== undefined && isQuietAt(process.driver, last))
  }
  cluster.runUntil(time.now + ELECTIONS_MAX * config.electionMaxMs, isQuiet)
  if (!isQuiet() || invariants.violation !== undefined) return
  const roomy = core[bits(seed, DRAW.core, 0, 12) % (2 * core.length)]
  const full = core.filter((machine) => machine !== roomy)
  const fill = (machines: readonly Machine[]): void => {
    for (const { space } of machines) space.fixed = FREE_BYTES
    const haveNoticed = (): boolean =>
      machines.every(({ process }) => process?.driver?.status().raft.room === 'none')
    cluster.runUntil(time.now + NOTICED_MS, haveNoticed)
  }
  for (const { space } of cluster.machines) space.fixed = Number.POSITIVE_INFINITY
  const { leader: last } = cluster
  const votersIn = (configuration: Configuration): readonly Machine[] =>
    core.filter(({ replica }) => replica !== undefined && isVoter(configuration, replica.id))
  const canDoWithout = 2 * (votersIn(before).length - 1) > before.voters.length
  const differ = last?.serving !== undefined && canDoWithout
  if (differ) {
    // The last node may not have reported its full disk to its leader yet, which then has a change that the others do
    // not take.
    fill(full.filter((machine) => machine !== last.machine))
    // This request changes nothing, so it need not be in a history.
    const command = { kind: 'delete', key: bytes('full'), condition: undefined, prev: false } as const
    const request: Request = { command, idempotency: undefined, principal: 'full' }
    invariants.asked(request)
    last.serving.propose(request, 1, () => {})
  }
  fill(full)
  // A node with room may have taken over by now. Nodes outside of the core are not started again.
  const { leader } = cluster
  const end = leader?.driver?.status().raft.lastIndex
  // A learner may have become a voter meanwhile.
  const configuration = leader?.driver?.configuration ?? before
  const voters = votersIn(configuration)
  const isWritten = end !== undefined && isSettled(voters, end, configuration.voters.length, roomy)
  if (leader === undefined || !core.includes(leader.machine) || !isWritten) {
    for (const { space } of full) space.fixed = Number.POSITIVE_INFINITY
    return
  }
  // A node that comes back this late finds a successor. Only if all nodes start anew, the one with the longer log may
  // be elected.
  for (const machine of differ ? core : [leader.machine])
    cluster.kill(machine, 'lost', bits(seed, DRAW.core, 0, 13) % 2 === 0, config.electionMaxMs)
  // Nodes that were down are back, and one with room has taken over.
  cluster.runUntil(time.now + SETTLED_ELECTIONS * config.electionMaxMs + SETTLED_LEASES * config.leaseMs)
  const { maxTerm } = invariants
  cluster.runUntil(time.now + CALM_ELECTIONS * config.electionMaxMs)
  const { maxTerm: laterTerm } = invariants
  const unread = new Set(voters)
  const waiting = new Set<Machine>()
  const began = time.now
  let nextPoll = 0
  cluster.runUntil(began + ELECTIONS_MAX * config.electionMaxMs, () => {
    if (time.now < nextPoll) return unread.size === 0
    nextPoll = time.now + POLL_MS
    for (const machine of unread) {
      // It has no room for the entry.
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
  const tookMs = Math.round(time.now - began)
  for (const { space } of full) space.fixed = Number.POSITIVE_INFINITY
  if (invariants.violation !== undefined) return
  if (unread.size === 0 && laterTerm === maxTerm) {
    probeCoverage.hit('read on full disks')
    return
  }
  const states = core.map(({ name, process }) => {
    const raft = process?.driver?.status().raft
    return raft === undefined
      ? `${name} down`
      : `${name} ${raft.role} term ${raft.term} room ${raft.room} commit ${raft.commit} of ${raft.lastIndex}`
  })
  const nodes = [...unread].map(({ name }) => name).join(' ')
  const elected = `leaders are elected up to term ${laterTerm}`
  const why = laterTerm > maxTerm ? elected : `no read is served at ${nodes} in ${tookMs} ms`
  invariants.violation = new RuleViolation(
    'LIVE-7',
    `the disks of ${full.map(({ name }) => name).join(' ')} are full, and ${why} (${states.join('; ')})`,
  )
}

/**
 * Whether the change at the end of the longest log can be committed although disks are full, or a node without it can
 * be elected. If as many nodes have it as lack it, and others are gone, there are no reads before there is room.
 */
function isSettled(
  voters: readonly Machine[],
  end: LogIndex,
  count: number,
  roomy: Machine | undefined,
): boolean {
  const logs = voters.map((machine) => ({ machine, raft: machine.process?.driver?.status().raft }))
  const having = logs.filter(({ machine, raft }) => machine === roomy || (raft?.stableIndex ?? 0) >= end)
  const lacking = logs.filter(({ raft }) => raft !== undefined && raft.lastIndex < end)
  return 2 * having.length > count || 2 * lacking.length > count
}

function lacksCommitted({ leader }: SimCluster, { process }: Machine): boolean {
  const log = leader?.driver?.status().raft
  const own = process?.driver?.status().raft
  return log !== undefined && own?.room === 'none' && own.lastIndex < log.commit
}

function isQuietAt(driver: Driver, last: LogIndex | undefined): boolean {
  const underWay = driver.inspect()
  const { applied, stableIndex } = driver.status().raft
  const hasAll = applied === last && stableIndex === last
  return hasAll && underWay['proposals.waiting'] === 0 && underWay['raft.proposals'] === 0
}
