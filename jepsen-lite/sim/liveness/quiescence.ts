// Checks that a node releases everything. What it counts and remembers of work in flight (`Driver.inspect`) is 0 again
// when it has no requests. While it has some, no list holds more answered requests than waiting ones. A credit that is
// kept, a flag that stays set or a list that only grows does no harm in a short run, but ends a long one.

import { type InFlightCounts, isMember } from '../../../src/raft/index.ts'
import type { PartCounts } from '../../../src/server/node/observe/status.ts'
import { RuleViolation } from '../oracle/violation.ts'
import type { SimCluster, Waits } from '../world/cluster.ts'
import type { Machine, Process } from '../world/process.ts'
import { IO } from '../world/time.ts'

/**
 * Heartbeats and flushes continue at rest, so each number must be 0 in at least one of the polls. This interval keeps
 * polls out of step with them.
 */
const POLL_MS = 29.3
/** The slowest possible activity: a snapshot stream to a receiver that has died without notice. */
const REST_MS_MAX = 60_000
/** Resources that a node must release even while it is cut off. */
const WAITERS = /^(proposals|reads)\./

/**
 * If a message may vanish on an open connection, the origin learns what happened to its proposals only when the term
 * ends.
 */
const FORWARDED = /^raft\.(proposals|proposedBytes|forwardedBytes)$/

/** If silence ends no connection, the receiver of a snapshot waits for a sender that died without notice. */
const RECEIVED = /^links\.receiving$/

/** Each list of waiting requests, and the number of requests that still wait. */
const LISTS: readonly (readonly [list: string, waiting: string])[] = [
  ['proposals.parked', 'proposals.waiting'],
  ['reads.parked', 'reads.open'],
  ['reads.requested', 'reads.open'],
  ['reads.awaitingIndex', 'reads.open'],
]

/** Checks the running processes by turns, one at each interval, as long as the cluster runs: a leak stays. */
export function watchLists(cluster: SimCluster): void {
  const { time, config, machines, invariants } = cluster
  let turn = 0
  const poll = (): void => {
    const process = machines[turn++ % machines.length]?.process
    const driver = process?.serving
    if (process !== undefined && driver !== undefined) {
      const parts = driver.inspectParts()
      const why = longerThanItsWaiters(parts) ?? creditsThatAreLost(cluster, process, parts)
      if (why !== undefined) invariants.violation ??= new RuleViolation('REST-2', `${process.name}: ${why}`)
    }
    time.push(time.now + config.electionMaxMs, IO, undefined, poll)
  }
  time.push(time.now + config.electionMaxMs, IO, undefined, poll)
}

/** An acknowledgement that a sender of snapshots waits for must be in flight; otherwise it never comes. */
function creditsThatAreLost(
  { network }: SimCluster,
  process: Process,
  parts: readonly PartCounts[],
): string | undefined {
  const counted = findCount(parts, 'links.chunksInFlight')
  const inFlight = network.chunksInFlight(process)
  return counted === inFlight ? undefined : `counts ${counted} chunks in flight, where ${inFlight} are`
}

/** One counter. A record of all counters costs more than the few that are read here. */
function findCount(parts: readonly PartCounts[], name: string): number | undefined {
  for (const { prefix, counts } of parts) {
    const count = name.startsWith(prefix) ? counts[name.slice(prefix.length)] : undefined
    if (count !== undefined) return count
  }
  return undefined
}

/** Answered requests may be forgotten a little later, within a limit that depends on the waiting ones. */
function longerThanItsWaiters(parts: readonly PartCounts[]): string | undefined {
  for (const [list, waiting] of LISTS) {
    const [length, waiters] = [findCount(parts, list), findCount(parts, waiting)]
    // A node that does not report these numbers must not count as one where nothing waits.
    if (length === undefined || waiters === undefined) return `does not report ${list} and ${waiting}`
    // Written with `!`, so that NaN does not pass.
    if (!(length <= 2 * waiters)) return `${list} holds ${length}, and only ${waiters} wait`
  }
  return undefined
}

/** Counters of one peer disappear with the peer. */
const isGivenBack = (inFlight: InFlightCounts, name: string, most: number): boolean =>
  inFlight[name] === undefined ? name.includes(' of ') : inFlight[name] <= most

/** A round begins with each heartbeat. If a message and its answer take longer than that, some are always in flight. */
function mostAtRest(name: string, { delayMs, jitterMs, heartbeatMs }: SimCluster['config']): number {
  return name === 'raft.leaderLeaseRounds' ? Math.floor((2 * (delayMs + jitterMs)) / heartbeatMs) : 0
}

/**
 * Runs until every number of work in flight has been 0 once. `core` is repaired and connected; of the other machines
 * only the waiting requests are checked. `snapshotsMs`: how long snapshots may take that the last entries have made
 * necessary.
 */
export function* comesToRest(cluster: SimCluster, core: readonly Machine[], snapshotsMs: number): Waits {
  const { time } = cluster
  const ids = new Set(core.flatMap(({ replica }) => (replica === undefined ? [] : [replica.id])))
  const members = cluster.leader?.driver?.configuration
  const owed = new Map<Process, Set<string>>()
  for (const machine of cluster.machines) {
    const { process } = machine
    if (process?.serving === undefined) continue
    // A replica that is not a member has no peer that it could ask.
    if (core.includes(machine) && members !== undefined && !isMember(members, process.id)) continue
    const names = Object.keys(process.serving.inspect()).filter((name) => {
      if (cluster.config.harsh === 1 && FORWARDED.test(name)) return false
      if (cluster.config.silenceMs === 0 && RECEIVED.test(name)) return false
      const [, peer] = name.split(' of ')
      if (!core.includes(machine)) return WAITERS.test(name)
      return peer === undefined || [...ids].some((id) => id === peer)
    })
    owed.set(process, new Set(names))
  }
  // Each poll is a separate event. A poll during other events would see a heartbeat in flight each time.
  const poll = (): void => {
    for (const [process, names] of owed) {
      const inFlight = process.serving?.inspect()
      for (const name of names) {
        const most = mostAtRest(name, cluster.config)
        if (inFlight === undefined || isGivenBack(inFlight, name, most)) names.delete(name)
      }
      if (names.size === 0) owed.delete(process)
    }
    if (owed.size > 0) time.push(time.now + POLL_MS, IO, undefined, poll)
  }
  poll()
  yield { until: time.now + REST_MS_MAX + snapshotsMs, isOver: () => owed.size === 0 }
  const [left] = owed
  if (left === undefined) return
  const [process, names] = left
  const values = [...names].map((name) => `${name} ${process.serving?.inspect()[name]}`)
  throw new RuleViolation('REST-1', `${process.name} is at rest with ${values.join(', ')}`)
}
