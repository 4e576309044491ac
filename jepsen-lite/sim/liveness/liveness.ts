// The end of every schedule. Faults that end by themselves can hide a cluster that cannot make progress. So here they
// do not end: a random majority is repaired and connected, and everything else stays broken. Within a limited time that
// majority must have a leader, accept writes at every member, and agree. If not, that is a violation like any other.

import {
  type Configuration,
  decodeAppliedState,
  isMember,
  isVoter,
  type ReplicaId,
} from '../../../src/raft/index.ts'
import { bits } from '../../workload/random.ts'
import type { Clients } from '../clients/clients.ts'
import { linearizable, proposeNothing } from '../clients/null-requests.ts'
import type { StoreClients } from '../clients/store-clients.ts'
import { RuleViolation } from '../oracle/violation.ts'
import { slowestDeliveryMs, slowestSnapshotMs } from '../schedule/config.ts'
import { DRAW } from '../schedule/random-purposes.ts'
import type { SimCluster, Wait, Waits } from '../world/cluster.ts'
import type { Machine } from '../world/process.ts'
import { IO } from '../world/time.ts'
import { readsOnFullDisks } from './full-disks.ts'
import { catchesUpUnderLoad } from './late-replica.ts'
import { comesToRest } from './quiescence.ts'
import { staysFresh } from './slow-applier.ts'
import { leadsOnSlowDisks } from './slow-disks.ts'
import { handsOverFromSlowDisk } from './slow-leader.ts'
import { leadsOnSlowWires } from './slow-wires.ts'
import { settleStore } from './store-quiescence.ts'

/** One in so many schedules keeps more than a majority. */
const LARGE_CORE_IN = 2
/** A probe without an answer is sent again. */
const PROBE_AGAIN_MS = 3000
const DEAD = { stalls: false, refuses: false }
/**
 * Limit for convergence in election timeouts; and the slowest possible activity, a snapshot stream without progress.
 */
const ELECTIONS_MAX = 40
const GRACE_MS = 45_000
/** Election timeouts in which nothing may happen afterwards. */
const CALM_ELECTIONS = 5
/** Longer than convergence and rest together. */
const PATIENCE_MS = 7_200_000
const TRANSFER_MS = 2000
const READ = linearizable(2000)

export function* converge(cluster: SimCluster, clients: Clients, store: StoreClients | undefined): Waits {
  const configuration = newestConfiguration(cluster)
  const core = configuration === undefined ? undefined : chooseCore(cluster, configuration)
  if (core === undefined) {
    cluster.probeCoverage.hit('too little left for a liveness phase')
    return
  }
  cluster.recorder.note('phase', { phase: 'heal', nodes: core.map(({ name }) => name) })
  cluster.say(undefined, { kind: 'liveness', nodes: core.map(({ name }) => name) })
  const { time, config } = cluster
  const outsiders = chooseOutsiders(cluster, configuration)
  freezeOthers(cluster, [...core, ...outsiders])
  requestPatiently(cluster, core)
  const handedOverAt = Math.max(handOverInVain(cluster, core), lateHandOverAt(cluster))
  for (const machine of [...core, ...outsiders]) heal(cluster, machine)
  cluster.network.calm = true
  const slowestMs = snapshotsMs(cluster, core)
  const until = time.now + ELECTIONS_MAX * config.electionMaxMs + GRACE_MS + slowestMs
  const probes = new Probes(cluster, clients, core, until)
  const whyNot = (): string | undefined =>
    whyNotConverged(cluster, core, probes) ?? whyNotNotified(core, outsiders)
  const hasConverged = cluster.polled(() => {
    probes.send()
    return whyNot() === undefined
  })
  yield { until, isOver: hasConverged }
  const why = whyNot()
  if (why !== undefined)
    throw new RuleViolation('LIVE-1', `${core.map(({ name }) => name).join(' ')} did not converge: ${why}`)
  yield { until: handedOverAt }
  if (store !== undefined) yield* settleStore(cluster, store, core)
  if (yield* staysCalm(cluster, core)) {
    yield* staysFresh(cluster, core)
    yield* leadsOnSlowWires(cluster, core)
    yield* catchesUpUnderLoad(cluster, core)
    yield* handsOverFromSlowDisk(cluster, core)
    yield* leadsOnSlowDisks(cluster, core)
    yield* readsOnFullDisks(cluster, core)
  }
  cluster.network.prompt = true
  yield* comesToRest(cluster, core, snapshotsMs(cluster, core))
  // A replica that is no longer a voter may stay behind.
  const { leader } = cluster
  let left = 0
  for (const { process } of core) {
    if (process?.driver === undefined || process.replica.applied !== leader?.replica.applied) continue
    left++
    clients.final(process, process.driver, () => left--)
  }
  yield { until: time.now + GRACE_MS, isOver: () => left === 0 }
  if (left > 0) throw new RuleViolation('LIVE-1', `the keys of ${left} nodes could not be read`)
}

/**
 * The longest time for the snapshots that follow from the end of the faults. A snapshot hides from its receiver the
 * outcome of a write that it has forwarded, so each member of the core may make one write again. If the log is
 * compacted at once, each of these writes makes whoever is behind need another snapshot.
 */
function snapshotsMs({ config }: SimCluster, core: readonly Machine[]): number {
  const rows = Math.max(...core.map(({ disk }) => disk.rowCount))
  const slowestMs = Math.max(...core.map(({ limits }) => slowestSnapshotMs(config, limits, rows)))
  return (1 + core.length) * slowestMs
}

/**
 * A write and a read at each running node, whether or not it knows a leader now, with a very long timeout. They must
 * be answered when the cluster works again, and only their node may repeat them. A request that still waits at rest
 * breaks REST-1.
 */
function requestPatiently(cluster: SimCluster, core: readonly Machine[]): void {
  for (const { name, process } of core) {
    const driver = process?.serving
    if (driver === undefined) continue
    proposeNothing(cluster, driver, `patience.${name}`, PATIENCE_MS)
    driver.read(linearizable(PATIENCE_MS), () => {})
  }
}

/**
 * The leader is asked to hand over to a voter that it has just heard, and that may be gone. The leader must continue
 * when that fails. A voter that is only slow may still take over after the leader has given up. Returns when that can
 * no longer happen.
 */
function handOverInVain(
  { leader, machines, seed, time, config }: SimCluster,
  core: readonly Machine[],
): number {
  const driver = leader?.serving
  if (leader === undefined || driver === undefined || !core.includes(leader.machine)) return time.now
  if (bits(seed, DRAW.core, 0, 6) % 2 === 0) return time.now
  const gone = machines.find(
    (machine) =>
      !core.includes(machine) &&
      machine.replica !== undefined &&
      driver.configuration.voters.includes(machine.replica.id),
  )
  if (gone?.replica === undefined) return time.now
  driver.transfer(gone.replica.id, TRANSFER_MS, () => {})
  // The leader tries for one election timeout, the node that was asked for another. Their clocks may be slow, and
  // messages need time.
  return time.now + 2 * (config.electionMaxMs + config.electionMinMs)
}

/**
 * Messages that were sent before the calm, on slow links, may ask a node to take over. Returns when that can no longer
 * happen.
 */
function lateHandOverAt({ machines, network, time, config }: SimCluster): number {
  const arrivesAt = Math.max(
    ...machines.flatMap(({ place }) => network.endsAt(place).map(({ lastAt }) => lastAt)),
  )
  // All other messages arrive before the cluster has converged.
  if (arrivesAt - time.now <= slowestDeliveryMs(config)) return time.now
  return arrivesAt + 2 * (config.electionMaxMs + config.electionMinMs)
}

/**
 * While there is a leader and nothing is wrong, no other replica is elected: the majority keeps contact with the
 * leader, and outsiders do not depose it. Returns whether this was so. Not checked if messages are too slow for the
 * timeouts.
 */
function* staysCalm(cluster: SimCluster, core: readonly Machine[]): Generator<Wait, boolean> {
  const { leader, invariants, probeCoverage, time, config } = cluster
  const { heartbeatMs, electionMinMs, electionMaxMs } = config
  const configuration = leader?.driver?.configuration
  if (leader === undefined || configuration === undefined || !core.includes(leader.machine)) return false
  if (!isVoter(configuration, leader.id) || 2 * (2 * slowestDeliveryMs(config) + heartbeatMs) > electionMinMs)
    return false
  // Writes from the time when its disk was slow may still make it hand over.
  const raft = leader.driver?.status().raft
  if (raft === undefined || raft.stableIndex < raft.lastIndex || leader.stopping) return false
  probeCoverage.hit('calm in the end')
  const { maxTerm } = invariants
  yield { until: time.now + CALM_ELECTIONS * electionMaxMs }
  if (invariants.maxTerm > maxTerm || cluster.leader !== leader)
    throw new RuleViolation(
      'LIVE-3',
      `${leader.name} led in term ${maxTerm} and nothing was wrong, and now ${cluster.leader?.name ?? 'no node'} leads and the term is ${invariants.maxTerm}`,
    )
  return true
}

/** The configuration at the highest index that any replica has applied. */
function newestConfiguration({ invariants }: SimCluster): Configuration | undefined {
  const raft = invariants.committed.at(-1)?.raft
  return raft === undefined ? undefined : decodeAppliedState(raft).configuration
}

function chooseCore(cluster: SimCluster, configuration: Configuration): Machine[] | undefined {
  const { machines, invariants, seed, settledAt } = cluster
  const whole = machines.filter(
    ({ replica, suspect, retired, removed }) => replica !== undefined && !(suspect || retired || removed),
  )
  // A replica that knows less than what is settled learns it from another member.
  const known = whole.flatMap(({ replica }) => {
    if (replica === undefined || replica.durable.terms.length <= invariants.maxCommitted) return []
    const raft = invariants.committed[Math.max(replica.durable.commit, settledAt)]?.raft
    return raft === undefined ? [] : [decodeAppliedState(raft).configuration]
  })
  // Learners that catch up become voters automatically.
  const { voters: now, learners, learnersNext, demoted } = configuration
  const soon = [...now, ...[...learners, ...learnersNext].filter((id) => !demoted.includes(id))]
  // A replica that starts again uses the newest change it knows to be committed, which may be an older one. It must be
  // able to win with it.
  const halves = [
    soon,
    ...[configuration, ...known].flatMap(({ voters, votersOutgoing }) => [voters, votersOutgoing]),
  ]
  const isMajority = (some: readonly Machine[]): boolean => {
    const ids = new Set<ReplicaId>(some.flatMap(({ replica }) => (replica === undefined ? [] : [replica.id])))
    // A learner outside of the core may have caught up, and become a voter before the others notice that it is gone.
    const gone = soon.filter((id) => !ids.has(id) && !now.includes(id))
    return [...halves, [...now, ...gone]].every(
      (half) => half.length === 0 || half.filter((id) => ids.has(id)).length * 2 > half.length,
    )
  }
  const members = whole.filter(
    ({ replica }) =>
      replica !== undefined && (isVoter(configuration, replica.id) || soon.includes(replica.id)),
  )
  if (!isMajority(members)) return undefined
  // A change that is in some log and not applied yet may count later. No repaired machine may be missing from it.
  if (invariants.newestChange >= invariants.committed.length) {
    const ids = [...configuration.members.map(({ id }) => id)]
    return ids.every((id) => whole.some(({ replica }) => replica?.id === id)) ? whole : undefined
  }
  let core = members
  // A machine that was to be down until the end stays down if the majority does not need it.
  const isDown = (machine: Machine): boolean => cluster.isKeptDown(machine)
  const order = [...members].sort(
    (a, b) =>
      Number(isDown(b)) - Number(isDown(a)) ||
      bits(seed, DRAW.core, a.place, 0) - bits(seed, DRAW.core, b.place, 0),
  )
  // With all that are not down, the checks under load can do without one of them.
  const isLarge = bits(seed, DRAW.core, 0, 17) % LARGE_CORE_IN === 0
  for (const machine of order) {
    if (!isDown(machine) && (isLarge || bits(seed, DRAW.core, machine.place, 1) % 4 === 0)) continue
    const fewer = core.filter((one) => one !== machine)
    if (isMajority(fewer)) core = fewer
  }
  return core
}

/** Replicas that were removed without learning of it, and that come back now. */
function chooseOutsiders(cluster: SimCluster, configuration: Configuration | undefined): Machine[] {
  const { invariants } = cluster
  if (configuration === undefined) return []
  // The members that should remember the removal are not asked: the check uses what was committed.
  const wasRemoved = (id: ReplicaId): boolean =>
    !isMember(configuration, id) && invariants.firstWith((earlier) => isMember(earlier, id)) > 0
  // If silence ends no connection, a replica without messages may rely forever on a connection that its peer has closed
  // while they were cut off.
  if (cluster.config.silenceMs === 0) return []
  const outsiders = cluster.machines.filter(
    ({ replica, suspect, joining, removed, retired, place }) =>
      replica !== undefined &&
      wasRemoved(replica.id) &&
      !(suspect || joining || removed || retired) &&
      bits(cluster.seed, DRAW.core, place, 3) % 4 > 0,
  )
  if (outsiders.length > 0) cluster.probeCoverage.hit('removed replica came back in the liveness phase')
  return outsiders
}

/** A removed replica learns of its removal from any old peer that it reaches, and stops. */
function whyNotNotified(core: readonly Machine[], outsiders: readonly Machine[]): string | undefined {
  const others = core.filter((machine) => !outsiders.includes(machine))
  const ids = new Set(others.flatMap(({ process }) => (process?.driver === undefined ? [] : [process.id])))
  for (const { name, removed, process } of outsiders) {
    const peers = process?.driver?.configuration.members
    if (!removed && peers?.some(({ id }) => ids.has(id)))
      return `${name} was removed, and none of those it calls tells it so`
  }
  return undefined
}

/** Machines outside of the core stay in their state, or get worse, permanently. */
function freezeOthers(cluster: SimCluster, core: readonly Machine[]): void {
  const { machines, network, seed } = cluster
  for (const machine of machines) {
    if (core.includes(machine)) continue
    cluster.frozen.add(machine)
    const { place } = machine
    const how = bits(seed, DRAW.core, place, 2) % 6
    if (how === 0) cluster.end(machine, 'kept')
    if (how === 1) machine.process?.pause()
    for (const other of machines) {
      if (other === machine) continue
      if (how === 2 || how === 3) network.cut(other.place, place, DEAD)
      if (how === 2 || how === 4) network.cut(place, other.place, DEAD)
    }
  }
}

function heal(cluster: SimCluster, machine: Machine): void {
  machine.disk.full = false
  machine.space.fixed = Number.POSITIVE_INFINITY
  machine.disk.failNext = undefined
  machine.stalledUntil = 0
  machine.slowUntil = 0
  machine.applyUntil = 0
  machine.compactsUntil = 0
  machine.disk.failReadAfter = undefined
  machine.process?.resume()
  cluster.release(machine)
  cluster.start(machine)
}

/**
 * A read at each voter of the core, for which a new leader must have committed an entry by itself; then a write at each
 * member, repeated until it is accepted. The pause before it is repeated doubles each time, up to half of the time
 * that is left: if the log is compacted at once, each write makes a member that installs a snapshot need another.
 */
class Probes {
  readonly #cluster: SimCluster
  readonly #clients: Clients
  readonly #core: readonly Machine[]
  readonly #taken = new Set<Machine>()
  readonly #waiting = new Set<Machine>()
  readonly #read = new Set<Machine>()
  readonly #writePauses = new Map<Machine, number>()
  readonly #until: number
  #sent = 0

  constructor(cluster: SimCluster, clients: Clients, core: readonly Machine[], until: number) {
    this.#cluster = cluster
    this.#clients = clients
    this.#core = core
    this.#until = until
  }

  send(): void {
    if (this.unread.length > 0) this.#sendReads()
    else this.#sendWrites()
  }

  #sendReads(): void {
    for (const machine of this.unread) {
      const driver = machine.process?.serving
      if (driver === undefined || this.#waiting.has(machine)) continue
      this.#waiting.add(machine)
      driver.read(READ, ({ ok }) => {
        this.#waiting.delete(machine)
        if (ok) this.#read.add(machine)
      })
      const { time } = this.#cluster
      time.push(time.now + PROBE_AGAIN_MS, IO, undefined, () => this.#waiting.delete(machine))
    }
  }

  /** Voters, according to the leader, that have served no read yet. */
  get unread(): readonly Machine[] {
    const members = this.#cluster.leader?.driver?.configuration
    return this.#core.filter(
      (machine) =>
        !this.#read.has(machine) &&
        (members === undefined || (machine.replica !== undefined && isVoter(members, machine.replica.id))),
    )
  }

  #sendWrites(): void {
    for (const machine of this.#core) {
      if (this.#taken.has(machine) || this.#waiting.has(machine)) continue
      const process = machine.process
      const driver = process?.serving
      if (process === undefined || driver === undefined) continue
      this.#waiting.add(machine)
      const { time } = this.#cluster
      const doubled = 2 * (this.#writePauses.get(machine) ?? PROBE_AGAIN_MS / 2)
      const pauseMs = Math.max(PROBE_AGAIN_MS, Math.min(doubled, (this.#until - time.now) / 2))
      this.#writePauses.set(machine, pauseMs)
      time.push(time.now + pauseMs, IO, undefined, () => this.#waiting.delete(machine))
      this.#clients.probe(process, driver, `probe.${machine.name}.${this.#sent++}`, (ok) => {
        if (ok) this.#taken.add(machine)
      })
    }
  }

  get missing(): readonly Machine[] {
    return this.#core.filter((machine) => !this.#taken.has(machine))
  }
}

/** A sentence about what is stuck; undefined when the cluster has converged. */
function whyNotConverged(
  { leader }: SimCluster,
  core: readonly Machine[],
  probes: Probes,
): string | undefined {
  const members = leader?.driver?.configuration
  const states = (): string =>
    core
      .map(({ name, process }) => {
        const raft = process?.driver?.status().raft
        if (raft === undefined) return `${name} down`
        return `${name} ${raft.role} term ${raft.term} last ${raft.lastIndex} commit ${raft.commit} applied ${raft.applied}`
      })
      .join('; ')
  if (leader?.driver === undefined || members === undefined) return `no leader (${states()})`
  const status = leader.driver.status().raft
  const [unread] = probes.unread
  if (unread !== undefined) return `no read is served at ${unread.name} (${states()})`
  const [refused] = probes.missing.filter(
    ({ replica }) => replica !== undefined && isVoter(members, replica.id),
  )
  if (refused !== undefined) return `no write is taken at ${refused.name} (${states()})`
  if (members.votersOutgoing.length > 0) return `the joint configuration is not left (${states()})`
  for (const { name, process, replica } of core) {
    if (replica === undefined || !isVoter(members, replica.id)) continue
    if (process?.driver === undefined) return `${name} does not run (${states()})`
    if (replica.applied !== status.lastIndex)
      return `${name} has applied ${replica.applied} of ${status.lastIndex} (${states()})`
    if (replica.stateHash !== leader.replica.stateHash) return `${name} has another state than ${leader.name}`
  }
  return undefined
}
