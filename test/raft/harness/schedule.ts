// A schedule is plain JSON: what is done to a cluster, and when. `play` interprets it in virtual time; messages take time, get lost, doubled and
// overtaken, disks are slow, clocks drift, processes die and pause. Every number that chance decides comes from the schedule's seed and the
// name of the thing it is for, so a schedule always runs the same way and a shorter one almost the same.
//
// Besides the invariants of every step it checks what clients see. The store is a list, and the place of an operation in it is its log
// index; so a history is linearizable if no operation that began after another had ended comes before it.

import type { ChangeStep, Input, Output, RaftLimits, RaftStatus } from '../../../src/raft/types.ts'
import { Cluster, type Packet } from './cluster.ts'
import { crc32 } from './frames.ts'
import { Violation } from './invariants.ts'
import { configurationOf, idOf, memberNamed } from './members.ts'
import { type SimNode, TIMING } from './node.ts'
import { keyed, stream } from './random.ts'

/** Nodes and targets are any natural numbers, taken modulo what there is; LEADER is whoever leads then. `ms` is how long it lasts. */
export type Step =
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'propose'; readonly node: number; readonly count: number }
  /** At every node at once. */
  | { readonly do: 'read'; readonly lease: boolean }
  | { readonly do: 'crash'; readonly node: number; readonly survive: number; readonly ms: number }
  /** The bits of `side` say who is on which side; `breaks`: connections break too. */
  | { readonly do: 'partition'; readonly side: number; readonly breaks: boolean; readonly ms: number }
  | { readonly do: 'isolate'; readonly node: number; readonly breaks: boolean; readonly ms: number }
  | { readonly do: 'one-way'; readonly from: number; readonly to: number; readonly ms: number }
  | { readonly do: 'stall-disk'; readonly node: number; readonly ms: number }
  | { readonly do: 'pause'; readonly node: number; readonly ms: number }
  | { readonly do: 'change'; readonly node: number; readonly kind: number; readonly target: number }
  | { readonly do: 'transfer'; readonly node: number; readonly to: number }
  | { readonly do: 'leases'; readonly node: number; readonly on: boolean }
  | { readonly do: 'compact'; readonly node: number }

export const LEADER = 7

export interface Schedule {
  readonly seed: number
  readonly voters: number
  readonly leases: boolean
  /** Packets lost and doubled, in percent. */
  readonly loss: number
  readonly doubled: number
  readonly delayMsMax: number
  readonly diskMsMax: number
  /** Windows and pages of one or two entries. */
  readonly tight: boolean
  readonly steps: readonly Step[]
}

/** What a schedule has reached; a property over many can see that its generator is not blind. */
export interface Reached {
  commits: number
  terms: number
  reads: number
  leaseReads: number
  staleBounds: number
  snapshots: number
  changes: number
  /** A checksum over everything that every core was told and said: the same for the same schedule. */
  trace: number
}

const TIGHT: Partial<RaftLimits> = {
  inflightMessagesMax: 2,
  appendBytesMax: 80,
  applyBytesMax: 1,
  tailBytesMax: 0,
  uncommittedEntriesMax: 20,
}
const GRACE_MS = 20
const FLUSH_MS = 40
const SPARES = 2
const HEAL_MS = 15_000
const ROUNDING_MS = 1e-6

const PURPOSE = { packet: 1, store: 2, apply: 3, clock: 4, election: 5, connect: 6 } as const

export function play(schedule: Schedule): Reached {
  return new Play(schedule).run()
}

interface OpenRead {
  readonly floor: number
  index: number | undefined
  lease: boolean
}

class Play {
  readonly #schedule: Schedule
  readonly #cluster: Cluster
  readonly #reached: Reached = {
    commits: 0,
    terms: 0,
    reads: 0,
    leaseReads: 0,
    staleBounds: 0,
    snapshots: 0,
    changes: 0,
    trace: 0,
  }
  #packetCount = 0
  #lossy = true
  /** True times at which things happen to nodes. */
  readonly #storeAt = new Map<SimNode, { readonly write: number; readonly at: number }>()
  readonly #applyAt = new Map<SimNode, number>()
  readonly #flushAt = new Map<SimNode, number>()
  readonly #pausedUntil = new Map<SimNode, number>()
  readonly #diskFreeAt = new Map<SimNode, number>()
  /** What ends or heals by itself. */
  #later: { readonly at: number; readonly happens: () => void }[] = []
  /** Connections that broke, as "a b", and when each was noticed, tried again, refused. */
  readonly #broken = new Map<string, { readonly retryAt: number; refused: boolean; readonly since: number }>()
  /** (time, highest index that some client has seen), rising in both. */
  readonly #seen: { at: number; index: number }[] = [{ at: 0, index: 0 }]
  readonly #reads = new Map<string, OpenRead>()
  readonly #proposed = new Map<string, { readonly floor: number; readonly text: string }>()
  readonly #acknowledged = new Map<number, string>()
  #texts = 0

  constructor(schedule: Schedule) {
    this.#schedule = schedule
    const { seed, voters, leases } = schedule
    this.#cluster = new Cluster({
      limits: schedule.tight ? TIGHT : {},
      leases: { on: leases, durationMs: TIMING.electionMinMs },
      random: (node, boot) => stream(seed, PURPOSE.election, node, boot),
      carry: () => this.#carry(),
    })
    this.#cluster.watch = (...step) => this.#watch(...step)
    const members = Array.from({ length: 1 + (voters % 5) }, (_, at) =>
      memberNamed(`n${at + 1}`, idOf(`n${at + 1}`)),
    )
    const configuration = configurationOf(members)
    for (const { name } of members) this.#cluster.add(name, { configuration, base: 1 })
    for (let spare = 1; spare <= SPARES; spare++) this.#cluster.add(`n${members.length + spare}`)
    for (const [at, node] of this.#cluster.nodes.entries()) {
      // The promise of the drift bound: any two clocks differ by at most 5 %.
      this.#cluster.clock(node).rate = 1 + TIMING.driftMax * keyed(seed, PURPOSE.clock, at)
      this.#cluster.clock(node).offsetMs += 1e7 * keyed(seed, PURPOSE.clock, at, 1)
    }
    // The clocks were set after the processes had started, so they start anew.
    for (const node of this.#cluster.nodes) node.crash()
    for (const node of this.#cluster.nodes) this.#cluster.restart(node)
  }

  run(): Reached {
    for (const step of this.#schedule.steps) this.#do(step)
    this.#converge()
    this.#reached.terms = Math.max(...this.#cluster.nodes.map((node) => node.disk.hardState.term))
    return this.#reached
  }

  // ---- steps

  #do(step: Step): void {
    const cluster = this.#cluster
    const at = (place: number): SimNode => {
      const leader = place === LEADER ? cluster.leader() : undefined
      const node = leader ?? cluster.nodes[place % cluster.nodes.length]
      if (node === undefined) throw new Error('no nodes')
      return node
    }
    const awake = (place: number): SimNode | undefined => {
      const node = at(place)
      return node.running && !this.#pausedUntil.has(node) ? node : undefined
    }
    switch (step.do) {
      case 'wait':
        this.#wait(step.ms)
        return
      case 'propose':
        this.#propose(awake(step.node), 1 + (step.count % 4))
        return
      case 'read':
        for (const place of cluster.nodes.keys()) this.#read(awake(place), step.lease)
        return
      case 'crash': {
        const node = at(step.node)
        if (!node.running) return
        this.#crash(node, step.survive % 4)
        this.#later.push({ at: cluster.nowMs + step.ms, happens: () => this.#restart(node) })
        return
      }
      case 'partition':
        this.#partition((node) => (step.side >> cluster.nodes.indexOf(node)) % 2 === 1, step.breaks)
        this.#later.push({ at: cluster.nowMs + step.ms, happens: () => cluster.cuts.clear() })
        return
      case 'isolate': {
        const node = at(step.node)
        this.#partition((one) => one === node, step.breaks)
        this.#later.push({ at: cluster.nowMs + step.ms, happens: () => cluster.cuts.clear() })
        return
      }
      case 'one-way': {
        const link = `${at(step.from).id}>${at(step.to).id}`
        cluster.cuts.add(link)
        this.#later.push({ at: cluster.nowMs + step.ms, happens: () => cluster.cuts.delete(link) })
        return
      }
      case 'stall-disk':
        this.#diskFreeAt.set(at(step.node), cluster.nowMs + step.ms)
        return
      case 'pause':
        this.#pausedUntil.set(at(step.node), cluster.nowMs + step.ms)
        return
      case 'change': {
        const change = this.#change(step.kind, at(step.target))
        const node = awake(step.node)
        if (change !== undefined) node?.change({ kind: 'change', steps: change })
        return
      }
      case 'transfer':
        awake(step.node)?.step({ kind: 'transfer', to: step.to % 4 === 3 ? undefined : at(step.to).id })
        return
      case 'leases':
        awake(step.node)?.setLeases({ on: step.on, durationMs: TIMING.electionMinMs })
        return
      case 'compact':
        this.#compact(at(step.node))
        return
    }
  }

  #propose(node: SimNode | undefined, count: number): void {
    if (node === undefined) return
    const texts = Array.from({ length: count }, () => `w${++this.#texts}`)
    const { nextSeq } = node.process
    const floor = this.#floor()
    for (const [at, text] of texts.entries())
      this.#proposed.set(`${node.id}/${node.disk.boot}/${nextSeq + at}`, { floor, text })
    node.proposeAll(texts)
  }

  #read(node: SimNode | undefined, lease: boolean): void {
    if (node === undefined) return
    const name = `${node.id}/${node.disk.boot}/${node.process.nextRead}`
    this.#reads.set(name, { floor: this.#floor(), index: undefined, lease })
    node.read(lease)
    this.#serveReads(node)
    this.#checkStaleness(node)
  }

  #crash(node: SimNode, survive: number): void {
    this.#cluster.crash(node, survive)
    this.#forget(node)
    for (const peer of this.#cluster.nodes) this.#breaks(node, peer)
  }

  #forget(node: SimNode): void {
    for (const due of [this.#storeAt, this.#applyAt, this.#flushAt, this.#pausedUntil]) due.delete(node)
    for (const name of [...this.#reads.keys()]) if (name.startsWith(`${node.id}/`)) this.#reads.delete(name)
  }

  #restart(node: SimNode): void {
    if (node.running) return
    node.start()
    for (const peer of this.#cluster.nodes) this.#breaks(node, peer)
  }

  #partition(side: (node: SimNode) => boolean, breaks: boolean): void {
    for (const one of this.#cluster.nodes)
      for (const other of this.#cluster.nodes) {
        if (side(one) === side(other)) continue
        this.#cluster.cut(one, other)
        if (!breaks) continue
        this.#cluster.disconnect(one, [other])
        this.#breaks(one, other)
      }
  }

  #change(kind: number, target: SimNode): readonly ChangeStep[] | undefined {
    const { id, name } = target
    switch (kind % 6) {
      case 0:
      case 1:
        return [{ kind: 'add-learner', member: memberNamed(name, id) }]
      case 2:
        return [{ kind: 'promote', id }]
      case 3:
        return [{ kind: 'demote', id }]
      case 4:
        return [{ kind: 'remove', id }]
      default: {
        const { members } = this.#cluster.leader()?.raft.configuration ?? {}
        const spare = this.#cluster.nodes.find((node) => !members?.some((member) => member.id === node.id))
        if (spare === undefined) return undefined
        return [
          { kind: 'remove', id },
          { kind: 'add-learner', member: memberNamed(spare.name, spare.id) },
        ]
      }
    }
  }

  #compact(node: SimNode): void {
    if (!node.running) return
    node.flush()
    if (node.disk.applied.index > node.disk.log.base) node.compact(node.disk.applied.index)
  }

  // ---- time

  #wait(ms: number): void {
    const cluster = this.#cluster
    const end = cluster.nowMs + ms
    for (;;) {
      const next = this.#next()
      if (next === undefined || next.at > end) break
      cluster.nowMs = Math.max(cluster.nowMs, next.at)
      next.happens()
    }
    cluster.nowMs = end
  }

  /** The next thing to happen. */
  #next(): { at: number; happens: () => void } | undefined {
    let best: { at: number; happens: () => void } | undefined
    const offer = (at: number, happens: () => void) => {
      if (best === undefined || at < best.at) best = { at, happens }
    }
    for (const node of this.#cluster.nodes) {
      if (!node.running) continue
      const resumes = this.#pausedUntil.get(node)
      if (resumes !== undefined) offer(resumes, () => this.#pausedUntil.delete(node))
      else this.#offerWork(node, offer)
    }
    let first: Packet | undefined
    for (const packet of this.#cluster.packets) {
      if (first !== undefined && packet.dueMs >= first.dueMs) continue
      if (!this.#isPaused(packet)) first = packet
    }
    const packet = first
    if (packet !== undefined) offer(packet.dueMs, () => this.#deliver(packet))
    for (const event of this.#later)
      offer(event.at, () => {
        this.#later.splice(this.#later.indexOf(event), 1)
        event.happens()
      })
    for (const [pair, { retryAt }] of this.#broken) offer(retryAt, () => this.#reconnect(pair))
    return best
  }

  #offerWork(node: SimNode, offer: (at: number, happens: () => void) => void): void {
    const [oldest] = node.process.pending
    if (oldest !== undefined) offer(this.#storeTime(node, oldest.write.number), () => this.#store(node))
    if (node.canApply) offer(this.#applyTime(node), () => this.#apply(node))
    const flushAt = this.#flushAt.get(node) ?? this.#cluster.nowMs + FLUSH_MS
    this.#flushAt.set(node, flushAt)
    offer(flushAt, () => {
      this.#flushAt.delete(node)
      node.flush()
    })
    // A timer never fires early; true time and back, rounded, may: then the node would tick for ever at one instant.
    offer(this.#cluster.deadline(node) + 1e-6, () => this.#cluster.tick(node))
  }

  #storeTime(node: SimNode, write: number): number {
    const { seed, diskMsMax } = this.#schedule
    const known = this.#storeAt.get(node)
    const latency = diskMsMax * keyed(seed, PURPOSE.store, Number(node.id), node.disk.boot, write)
    const at = known?.write === write ? known.at : this.#cluster.nowMs + latency
    this.#storeAt.set(node, { write, at })
    return Math.max(at, this.#diskFreeAt.get(node) ?? 0)
  }

  /** One batch holds all writes that have been submitted, or some of them. */
  #store(node: SimNode): void {
    const { pending, storedWrite } = node.process
    const share = keyed(this.#schedule.seed, PURPOSE.store, Number(node.id), node.disk.boot, storedWrite, 1)
    node.store(Math.max(1, Math.round(pending.length * share)))
  }

  #applyTime(node: SimNode): number {
    const at = this.#applyAt.get(node) ?? this.#cluster.nowMs + 5 * this.#draw(node, PURPOSE.apply)
    this.#applyAt.set(node, at)
    return at
  }

  #apply(node: SimNode): void {
    this.#applyAt.delete(node)
    const { applyQueue } = node.process
    node.apply(Math.max(1, Math.round(applyQueue.length * this.#draw(node, PURPOSE.apply))))
    if (node.running) this.#serveReads(node)
  }

  #draw(node: SimNode, purpose: number): number {
    return keyed(this.#schedule.seed, purpose, Number(node.id), node.disk.boot, node.process.applied.index)
  }

  #isPaused({ to }: Packet): boolean {
    const receiver = this.#cluster.byId(to)
    return receiver !== undefined && this.#pausedUntil.has(receiver)
  }

  #deliver(packet: Packet): void {
    if (packet.content.kind === 'snapshot') this.#reached.snapshots++
    this.#cluster.deliver(packet)
  }

  #carry(): readonly number[] {
    const { seed, loss, doubled, delayMsMax } = this.#schedule
    const count = this.#packetCount++
    const draw = (what: number) => keyed(seed, PURPOSE.packet, count, what)
    const delay = (what: number) => delayMsMax * draw(what) ** 3
    if (!this.#lossy) return [1 + delay(1)]
    if (draw(0) * 100 < loss) return []
    return draw(2) * 100 < doubled ? [1 + delay(1), 1 + 3 * delay(3)] : [1 + delay(1)]
  }

  // ---- connections

  #breaks(a: SimNode, b: SimNode): void {
    if (a === b) return
    const { nowMs } = this.#cluster
    const [one, other] = [a.name, b.name].sort()
    this.#broken.set(`${one} ${other}`, { since: nowMs, retryAt: nowMs + 3, refused: false })
  }

  #reconnect(pair: string): void {
    const cluster = this.#cluster
    const [a, b] = pair.split(' ').map((name) => cluster.node(name))
    const broken = this.#broken.get(pair)
    if (a === undefined || b === undefined || broken === undefined) return
    if (!this.#pausedUntil.has(a) && !this.#pausedUntil.has(b)) cluster.connect(a, b)
    if (cluster.connections.has([a.id, b.id].sort().join('-'))) {
      this.#broken.delete(pair)
      return
    }
    const refused = cluster.nowMs - broken.since >= GRACE_MS
    if (refused && !broken.refused)
      for (const [one, other] of [
        [a, b],
        [b, a],
      ] as const)
        if (one.running && !this.#pausedUntil.has(one)) one.step({ kind: 'refused', peer: other.id })
    this.#broken.set(pair, { ...broken, retryAt: cluster.nowMs + (refused ? 40 : 5), refused })
  }

  // ---- what clients see

  #floor(): number {
    return this.#seen.at(-1)?.index ?? 0
  }

  #see(index: number): void {
    if (index > this.#floor()) this.#seen.push({ at: this.#cluster.nowMs, index })
  }

  #watch(node: SimNode, _before: RaftStatus, input: Input, output: Output): void {
    this.#reached.trace = crc32(JSON.stringify([node.name, input, output]), this.#reached.trace)
    const nameOf = (number: number) => `${node.id}/${node.disk.boot}/${number}`
    this.#reached.commits += output.committed.length
    for (const outcome of output.outcomes) {
      const proposal = this.#proposed.get(nameOf(outcome.seq))
      if (outcome.outcome !== 'committed') continue
      if (proposal === undefined) {
        this.#reached.changes++
        continue
      }
      this.#acknowledged.set(outcome.index, proposal.text)
      if (outcome.index <= proposal.floor)
        throw new Violation(
          'RAFT-21',
          `${proposal.text} is at ${outcome.index}, ${proposal.floor} was seen before`,
        )
      this.#see(outcome.index)
    }
    for (const read of output.reads) {
      const open = this.#reads.get(nameOf(read.id))
      if (open === undefined)
        throw new Violation('RAFT-21', `read ${nameOf(read.id)} is answered and was not asked`)
      if (read.outcome === 'refused') this.#reads.delete(nameOf(read.id))
      else {
        open.index = read.index
        if (read.lease) this.#reached.leaseReads++
        if (read.lease && !open.lease)
          throw new Violation('RAFT-21', 'a lease served a read that wanted a round')
      }
    }
    if (output.fatal !== undefined)
      throw new Violation('RAFT-23', `${node.name} stops although no disk lost anything: ${output.fatal}`)
  }

  #serveReads(node: SimNode): void {
    const { applied } = node.process
    for (const [name, read] of this.#reads) {
      if (!name.startsWith(`${node.id}/`) || read.index === undefined || read.index > applied.index) continue
      if (applied.index < read.floor)
        throw new Violation(
          'RAFT-21',
          `${node.name} reads as of ${applied.index}, ${read.floor} was seen before`,
        )
      this.#reads.delete(name)
      this.#reached.reads++
      this.#see(applied.index)
    }
  }

  #checkStaleness(node: SimNode): void {
    const { stalenessMs } = node.raft.status()
    if (stalenessMs === undefined) return
    this.#reached.staleBounds++
    const since = this.#cluster.trueTime(node, this.#cluster.now(node) - stalenessMs)
    // What happens in the same instant is concurrent, and clocks that run at rates of their own are converted with rounding.
    const seen = this.#seen.findLast(({ at }) => at < since - ROUNDING_MS)?.index ?? 0
    if (node.process.applied.index < seen)
      throw new Violation(
        'RAFT-22',
        `${node.name} claims to be ${stalenessMs} ms stale with ${node.process.applied.index}, ${seen} was seen before`,
      )
  }

  // ---- the end

  /** Everything is repaired; the cluster must elect, commit and agree within a bound, whatever was done to it. */
  #converge(): void {
    const cluster = this.#cluster
    this.#lossy = false
    cluster.cuts.clear()
    this.#later = []
    this.#diskFreeAt.clear()
    this.#pausedUntil.clear()
    for (const node of cluster.nodes) this.#restart(node)
    const end = cluster.nowMs + HEAL_MS
    let probe: string | undefined
    while (cluster.nowMs < end) {
      this.#wait(500)
      const leader = cluster.leader()
      if (leader !== undefined && (probe === undefined || !this.#isAcknowledged(probe))) {
        this.#propose(leader, 1)
        probe = `w${this.#texts}`
      } else if (leader !== undefined && probe !== undefined && this.#agree(leader)) {
        this.#checkDurable(leader)
        return
      }
    }
    const states = cluster.running.map(
      ({ name, raft }) => `${name} ${raft.role}@${raft.term} commit=${raft.commit}`,
    )
    throw new Violation(
      'RAFT-24',
      `no agreement ${HEAL_MS} ms after everything was repaired: ${states.join(', ')}`,
    )
  }

  #isAcknowledged(text: string): boolean {
    return [...this.#acknowledged.values()].includes(text)
  }

  #agree(leader: SimNode): boolean {
    const { configuration, commit } = leader.raft
    if (configuration.votersOutgoing.length > 0) return false
    return configuration.members.every(({ id }) => {
      const node = this.#cluster.byId(id)
      return node?.running && node.process.applied.index === commit
    })
  }

  /** What was acknowledged is there, at its index, on everyone. */
  #checkDurable(leader: SimNode): void {
    for (const { id } of leader.raft.configuration.members) {
      const machine = new Map(
        this.#cluster.byId(id)?.process.machine.map(({ index, text }) => [index as number, text]),
      )
      for (const [index, text] of this.#acknowledged)
        if (machine.get(index) !== text)
          throw new Violation(
            'RAFT-10',
            `replica ${id} has ${machine.get(index)} at ${index}, acknowledged was ${text}`,
          )
    }
  }
}
