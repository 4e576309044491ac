// Whatever is taken is given back. What a node counts and remembers of work under way (`Driver.inspect`) is 0 again
// once nobody asks anything of it; and meanwhile no list holds more of those that were answered than of those that
// wait. A credit that is kept, a register that stays set or a list that only grows harms nobody in a short run: a long
// one dies of it.

import { isMember, type UnderWay } from '../../src/raft/index.ts'
import type { Cluster } from './cluster.ts'
import type { Machine, Process } from './process.ts'
import { IO } from './time.ts'
import { Violation } from './violation.ts'

/**
 * Heartbeats and flushes go on at rest: each number must be 0 at one of the polls, and these keep out of step with
 * them.
 */
const POLL_MS = 29.3
/** The slowest thing that may be under way is a stream of a snapshot to somebody who has died without a word. */
const REST_MS_MAX = 60_000
/** What a node that is cut off for good gives back too. */
const WAITERS = /^(proposals|reads)\./

/**
 * Where a message may vanish on a connection that stands, nobody learns what became of what it forwarded before the
 * term is over.
 */
const FORWARDED = /^raft\.(proposals|proposedBytes|forwardedBytes)$/

/**
 * Where no connection is ever given up for its silence, whoever receives a snapshot waits for a sender that died
 * without a word.
 */
const RECEIVED = /^links\.receiving$/

/** What waits in each list, by who is still waited for. */
const LISTS: readonly (readonly [list: string, waiting: string])[] = [
  ['proposals.parked', 'proposals.waiting'],
  ['reads.parked', 'reads.open'],
  ['reads.asked', 'reads.open'],
  ['reads.awaitingIndex', 'reads.open'],
]

/** Looks at every running process now and again, for as long as the cluster runs. */
export function watchLists(cluster: Cluster): void {
  const { time, config, machines, invariants } = cluster
  const poll = (): void => {
    for (const { process } of machines) {
      const driver = process?.serving
      if (process === undefined || driver === undefined) continue
      const underWay = driver.inspect()
      const why = longerThanItsWaiters(underWay) ?? creditsThatAreLost(cluster, process, underWay)
      if (why !== undefined) invariants.violation ??= new Violation('REST-2', `${process.name}: ${why}`)
    }
    time.push(time.now + config.electionMaxMs, IO, undefined, poll)
  }
  time.push(time.now + config.electionMaxMs, IO, undefined, poll)
}

/** What a sender of snapshots waits for must be on its way: otherwise it waits in vain. */
function creditsThatAreLost({ network }: Cluster, process: Process, underWay: UnderWay): string | undefined {
  const counted = underWay['links.chunksInFlight']
  const inFlight = network.chunksInFlight(process)
  return counted === inFlight ? undefined : `counts ${counted} chunks in flight, where ${inFlight} are`
}

/** Who was answered may be forgotten a little later, as long as that is bounded by who waits. */
export function longerThanItsWaiters(underWay: UnderWay): string | undefined {
  for (const [list, waiting] of LISTS) {
    const [length, waiters] = [underWay[list], underWay[waiting]]
    // A node that does not tell of them is not to pass for one where none wait.
    if (length === undefined || waiters === undefined) return `does not tell of ${list} and ${waiting}`
    // So that NaN does not pass.
    if (!(length <= 2 * waiters)) return `${list} holds ${length}, and only ${waiters} wait`
  }
  return undefined
}

/** What is counted for one peer is gone with the peer. */
const isGivenBack = (underWay: UnderWay, name: string, most: number): boolean =>
  underWay[name] === undefined ? name.includes(' of ') : underWay[name] <= most

/**
 * A round begins with each heartbeat: where a message and its answer take longer than to the next one, some are always
 * under way.
 */
function mostAtRest(name: string, { delayMs, jitterMs, heartbeatMs }: Cluster['config']): number {
  return name === 'raft.leaseRounds' ? Math.floor((2 * (delayMs + jitterMs)) / heartbeatMs) : 0
}

/**
 * Runs until everything that is under way has been 0 once. `core` is whole and connected; of the others only who waits
 * is looked at.
 */
export function comesToRest(cluster: Cluster, core: readonly Machine[]): void {
  const { time, invariants } = cluster
  const ids = new Set(core.flatMap(({ replica }) => (replica === undefined ? [] : [replica.id])))
  const members = cluster.leader?.driver?.configuration
  const owed = new Map<Process, Set<string>>()
  for (const machine of cluster.machines) {
    const { process } = machine
    if (process?.serving === undefined) continue
    // One that is no member has nobody to ask any more.
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
  // Each poll is a separate event: a poll only at other events would meet a heartbeat under way each time.
  const poll = (): void => {
    for (const [process, names] of owed) {
      const underWay = process.serving?.inspect()
      for (const name of names) {
        const most = mostAtRest(name, cluster.config)
        if (underWay === undefined || isGivenBack(underWay, name, most)) names.delete(name)
      }
      if (names.size === 0) owed.delete(process)
    }
    if (owed.size > 0) time.push(time.now + POLL_MS, IO, undefined, poll)
  }
  poll()
  cluster.runUntil(time.now + REST_MS_MAX, () => owed.size === 0)
  if (invariants.violation !== undefined) return
  const [left] = owed
  if (left === undefined) return
  const [process, names] = left
  const values = [...names].map((name) => `${name} ${process.serving?.inspect()[name]}`)
  invariants.violation = new Violation('REST-1', `${process.name} is at rest with ${values.join(', ')}`)
}
