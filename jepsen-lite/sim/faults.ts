// What each kind of fault does, and when it counts as done: a fault that nobody felt is not counted.
//
// All numbers of a fault are natural numbers and always mean something: `a` and `b` choose machines (or roles), `ms` how long, `x` the rest.

import {
  assertNever,
  type ChangeStep,
  type ConfigurationChange,
  type ReplicaId,
} from '../../src/raft/index.ts'
import type { Cluster, Trap } from './cluster.ts'
import type { InFlight } from './disk.ts'
import type { About } from './moments.ts'
import type { Machine, Process } from './process.ts'
import { bits, DRAW, unit } from './random.ts'
import type { Fault } from './schedule.ts'
import { IO, TIMER } from './time.ts'

/** Durations of a lease, in shortest election time-outs. */
const LEASES = [0.5, 1, 1, 3]
const IN_FLIGHT: readonly InFlight[] = ['lost', 'kept', 'torn']

type Link = readonly [from: number, to: number]

/** Whether a fault that strikes some machines strikes this one. */
const chosen = (x: number, { place }: Machine): boolean => ((x >> (13 + (place % 7))) & 1) === 1

export class Faults {
  readonly #cluster: Cluster
  /** What ends each fault that is still on. */
  readonly #active = new Set<() => void>()
  /** Of `witness`: who goes on now, and what ends that. */
  #majority: ReadonlySet<Machine> = new Set()
  #endWitness = (): void => {}
  #injected = 0
  #draws = 0
  #over = false

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  /** Everything that is on ends now. */
  endAll(): void {
    this.#over = true
    for (const end of [...this.#active]) end()
    this.#cluster.traps.clear()
    this.#cluster.moments.clear()
  }

  /** Returns whether there was anybody to strike. */
  inject(fault: Fault, about?: About): boolean {
    const cluster = this.#cluster
    if (this.#over) return false
    const a = cluster.machine(fault.a, about)
    const b = cluster.machine(fault.b, about)
    if (a === undefined || b === undefined) return false
    this.#strike(fault, a, b)
    return true
  }

  #strike(fault: Fault, a: Machine, b: Machine): void {
    const cluster = this.#cluster
    const { kind, ms, x } = fault
    cluster.say(undefined, `fault ${kind}: ${a.name} ${b.name}, ${ms} ms, ${x}`)
    const nodes = this.#struck(fault, a, b).map(({ name }) => name)
    cluster.recorder.note('inject', { fault: kind, id: this.#injected++, nodes, ms, x })
    const { machines, network } = cluster
    const { length: size } = machines
    switch (kind) {
      case 'partition': {
        const side = (machine: Machine): number => (x >> machine.place) & 1
        this.#cut(fault, (from, to) => side(from) !== side(to))
        return
      }
      case 'isolate': {
        // Alone, or with one companion.
        const isInside = (machine: Machine): boolean =>
          machine === a || ((x >> 13) % 2 === 1 && machine === b)
        this.#cut(fault, (from, to) => isInside(from) !== isInside(to))
        return
      }
      case 'ring': {
        // Everybody sees a majority, and no two the same one.
        const reach = Math.ceil(Math.floor(size / 2) / 2)
        this.#cut(fault, (from, to) => {
          const apart = Math.abs(from.place - to.place)
          return Math.min(apart, size - apart) > reach
        })
        return
      }
      case 'bridge': {
        const half = (machine: Machine): boolean => ((machine.place + x) % size) * 2 < size
        this.#cut(fault, (from, to) => from !== a && to !== a && half(from) !== half(to))
        return
      }
      case 'one-way':
        this.#cut(fault, (from, to) => from === a && to === b)
        return
      case 'deaf':
        this.#cut(fault, (from, to) => (x % 2 === 0 ? to === a : from === a))
        return
      case 'flap':
        this.#flap(fault, a, b)
        return
      case 'break': {
        const broke = machines.map((other) =>
          x % 2 === 0 || other === b ? network.breakBetween(a.place, other.place) : false,
        )
        if (broke.includes(true)) cluster.tally.fault(kind)
        return
      }
      case 'break-streams':
        if (network.streams.breakAll(a.place)) cluster.tally.fault(kind)
        return
      case 'bend-chunk':
        this.#until(ms, network.streams.bendNext(a.place))
        return
      case 'lossy': {
        const lost = 20 + (x % 300)
        const before = cluster.tally.faults['message-lost'] ?? 0
        network.extraLost += lost
        this.#until(ms, () => {
          network.extraLost -= lost
          if ((cluster.tally.faults['message-lost'] ?? 0) > before) cluster.tally.fault(kind)
        })
        return
      }
      case 'slow-link': {
        const all = x % 2 === 0
        this.#slow(fault, 10 + (x % 1000), (from, to) => from === a && (all || to === b))
        return
      }
      case 'late':
        this.#slow(fault, 1 + (x % 4096), (from, to) => to === a && chosen(x, from))
        return
      case 'half-deaf':
        // 1: not all hear it; 2: it does not hear all; or both.
        this.#cut(
          fault,
          (from, to) =>
            (x % 4 !== 2 && from === a && chosen(x, to)) || (x % 4 > 1 && to === a && chosen(x, from)),
          a,
        )
        return
      case 'witness':
        this.#witness(fault, a, b)
        return
      case 'crash':
        this.#crash(fault, a)
        return
      case 'crash-many': {
        const everyone = x % 3 === 0
        let count = 0
        for (const machine of machines) {
          if (machine.process === undefined) continue
          if (!everyone && ((x >> (2 + machine.place)) & 1) === 0) continue
          count++
          cluster.kill(machine, IN_FLIGHT[(x + machine.place) % 3] ?? 'lost', x % 2 === 1, ms)
        }
        if (count > 1) cluster.tally.fault(kind)
        return
      }
      case 'storm':
        this.#storm(fault, a)
        return
      case 'stop':
        this.#stop(fault, a)
        return
      case 'pause':
        this.#pause(fault, a)
        return
      case 'wipe':
        if (a.replica === undefined || a.joining || !cluster.canLose(a)) return
        cluster.tally.fault(kind)
        cluster.join(a)
        return
      case 'slow-disk':
        this.#slowDisk(fault, a)
        return
      case 'fail-sync': {
        const { disk } = a
        const before = disk.failedSyncs
        disk.failNext = x % 2 === 0 ? 'lost' : 'kept'
        this.#until(ms, () => {
          disk.failNext = undefined
          if (disk.failedSyncs > before) cluster.tally.fault(kind)
        })
        return
      }
      case 'fail-read': {
        const { disk } = a
        const before = disk.failedReads
        disk.failReadAfter = x % 4
        this.#until(ms, () => {
          disk.failReadAfter = undefined
          if (disk.failedReads > before) cluster.tally.fault(kind)
        })
        return
      }
      case 'slow-apply': {
        const before = a.appliedSlowly
        a.applyMs = 20 + (x % 1500)
        a.applyUntil = Math.max(a.applyUntil, cluster.time.now + ms)
        this.#until(ms, () => {
          if (a.appliedSlowly > before) cluster.tally.fault(kind)
        })
        return
      }
      case 'full-disk': {
        const { disk } = a
        const before = disk.refusedFull
        disk.full = true
        this.#until(ms, () => {
          disk.full = false
          if (disk.refusedFull > before) cluster.tally.fault(kind)
          cluster.start(a)
        })
        return
      }
      case 'bit-flip':
        if (a.suspect || a.joining || !cluster.canLose(a)) return
        if (!a.disk.flip(bits(cluster.seed, DRAW.flip, a.place, this.#draws++), x)) return
        a.suspect = true
        cluster.tally.fault(kind)
        return
      case 'jump':
        this.#jump(fault, a)
        return
      case 'join':
        if (!cluster.isFree(a)) return
        cluster.tally.fault(kind)
        cluster.join(a)
        return
      case 'remove':
        this.#change(fault, b, ({ id }) => [{ kind: 'remove', id }])
        return
      case 'demote':
        this.#change(fault, b, ({ id }) => [{ kind: 'demote', id }])
        return
      case 'promote':
        this.#change(fault, b, ({ id }) => [{ kind: 'promote', id }])
        return
      case 'replace': {
        const spare = machines.find((machine) => cluster.isFree(machine))
        if (spare === undefined) return
        cluster.join(spare)
        spare.joining = false
        this.#change(fault, b, ({ id }) => [
          { kind: 'remove', id },
          { kind: 'add-learner', member: spare.member },
        ])
        return
      }
      case 'transfer': {
        const to = b === a || x % 3 === 0 ? undefined : b.replica?.id
        const { process } = a
        process?.serving?.transfer(to, cluster.config.timeoutMs, (result) => {
          if (result.ok) cluster.tally.fault(kind)
          cluster.tally.hit(result.ok ? 'transfer done' : 'transfer aborted or refused')
        })
        return
      }
      case 'leases': {
        if (cluster.config.clocks === 2) return
        const { electionMinMs } = cluster.config
        const durationMs = electionMinMs * (LEASES[(x >> 2) % LEASES.length] ?? 1)
        const setting = { on: x % 3 !== 0, durationMs }
        a.process?.serving?.setLeases(setting, cluster.config.timeoutMs, (result) => {
          if (result.ok) cluster.tally.fault(kind)
        })
        return
      }
      default:
        assertNever(kind)
    }
  }

  /** Whom it strikes, for whoever draws it: those that are cut off, stopped, damaged or asked. */
  #struck({ kind, x }: Fault, a: Machine, b: Machine): readonly Machine[] {
    const { machines } = this.#cluster
    switch (kind) {
      case 'partition': {
        const side = machines.filter(({ place }) => ((x >> place) & 1) === 1)
        return side.length * 2 > machines.length ? machines.filter((one) => !side.includes(one)) : side
      }
      case 'isolate':
        return (x >> 13) % 2 === 1 && a !== b ? [a, b] : [a]
      case 'ring':
      case 'lossy':
      case 'witness':
        return machines
      case 'crash-many':
        return machines.filter(({ place }) => x % 3 === 0 || ((x >> (2 + place)) & 1) === 1)
      case 'break':
      case 'flap':
      case 'slow-link':
        return x % 2 === 0 || a === b ? [a] : [a, b]
      case 'one-way':
      case 'transfer':
        return a === b ? [a] : [a, b]
      case 'remove':
      case 'demote':
      case 'promote':
      case 'replace':
        return [b]
      default:
        return [a]
    }
  }

  /** Runs `end` after `ms`, or when all faults end, or when what is returned is called; once. */
  #until(ms: number, end: () => void): () => void {
    const once = (): void => {
      if (this.#active.delete(once)) end()
    }
    this.#active.add(once)
    const { time } = this.#cluster
    time.push(time.now + ms, IO, undefined, once)
    return once
  }

  // ---- the network

  #links(isMeant: (from: Machine, to: Machine) => boolean): Link[] {
    const { machines } = this.#cluster
    return machines.flatMap((from) =>
      machines.flatMap((to) => (from !== to && isMeant(from, to) ? [[from.place, to.place] as const] : [])),
    )
  }

  #feltOn(links: readonly Link[]): number {
    const { machines, network } = this.#cluster
    return links.reduce((sum, [from, to]) => sum + (network.felt[from * machines.length + to] ?? 0), 0)
  }

  /** Returns what ends it; `struck`: about whom a moment that ends it must be. */
  #cut(
    { kind, ms, x, until }: Fault,
    isCut: (from: Machine, to: Machine) => boolean,
    struck?: Machine,
  ): () => void {
    const { network, tally, config, moments } = this.#cluster
    const mode = { stalls: config.harsh === 0 || (x >> 10) % 2 === 1, refuses: (x >> 12) % 2 === 1 }
    const links = this.#links(isCut)
    const before = this.#feltOn(links)
    for (const [from, to] of links) network.cut(from, to, mode)
    if ((x >> 11) % 2 === 1) for (const [from, to] of links) network.breakBetween(from, to)
    const end = this.#until(ms, () => {
      for (const [from, to] of links) network.uncut(from, to, mode)
      if (this.#feltOn(links) > before) tally.fault(kind)
    })
    if (until !== undefined) moments.next(until, struck, end)
    return end
  }

  #flap(fault: Fault, a: Machine, b: Machine): void {
    const { ms, x } = fault
    const period = 20 + (x % 500)
    const { time } = this.#cluster
    const pair = (from: Machine, to: Machine): boolean =>
      (from === a && (x % 2 === 0 || to === b)) || (to === a && (x % 2 === 0 || from === b))
    const end = time.now + ms
    let count = 0
    const next = (): void => {
      if (this.#over || time.now >= end || count++ > 50) return
      this.#cut({ ...fault, ms: period, x: fault.x & ~(1 << 11) }, pair)
      time.push(time.now + 2 * period, IO, undefined, next)
    }
    next()
  }

  #slow({ kind, ms }: Fault, extra: number, isSlow: (from: Machine, to: Machine) => boolean): void {
    const { network, tally } = this.#cluster
    const links = this.#links(isSlow)
    const before = this.#feltOn(links)
    for (const [from, to] of links) network.slow(from, to, extra)
    this.#until(ms, () => {
      for (const [from, to] of links) network.slow(from, to, -extra)
      if (this.#feltOn(links) > before) tally.fault(kind)
    })
  }

  /**
   * A bare majority goes on without the rest: `a`, not `b`, and of the others those first who were left out the last time. So what one
   * majority has decided is known to the next one by a single member or two. x: bit 0: the members are drawn anew.
   */
  #witness(fault: Fault, a: Machine, b: Machine): void {
    const { machines, leader } = this.#cluster
    const voters = (leader ?? a.process)?.driver?.configuration.voters ?? []
    const able = machines.filter(
      (machine) =>
        (machine === a || machine.process !== undefined) &&
        machine.replica !== undefined &&
        voters.includes(machine.replica.id),
    )
    const rank = (machine: Machine): number =>
      (machine === a ? -8 : machine === b ? 8 : 0) +
      (fault.x % 2 === 0 && this.#majority.has(machine) ? 4 : 0) +
      ((fault.x >> (1 + machine.place)) & 1)
    const inside = able.sort((one, two) => rank(one) - rank(two)).slice(0, (voters.length >> 1) + 1)
    this.#endWitness()
    this.#majority = new Set(inside)
    this.#endWitness = this.#cut(fault, (from, to) => this.#majority.has(from) !== this.#majority.has(to), a)
  }

  // ---- processes

  /** x: the moment (3 bits), the batch under way (3), whether the power goes (1), how many such moments pass before. */
  #crash({ kind, ms, x }: Fault, machine: Machine): void {
    const cluster = this.#cluster
    const inFlight = IN_FLIGHT[(x >> 3) % 3] ?? 'lost'
    const silent = (x >> 5) % 4 === 0
    const points: (Trap['point'] | undefined)[] = ['writing', 'stored', 'leaving', 'installing', 'elected']
    const point = points[x % 8]
    if (point === undefined) {
      if (machine.process === undefined) return
      cluster.tally.fault(kind)
      cluster.kill(machine, inFlight, silent, ms)
      return
    }
    const left = point === 'elected' || point === 'installing' ? 0 : (x >> 7) % 8
    const until = cluster.time.now + 10_000
    const sprung = (): void => cluster.tally.fault(kind)
    cluster.traps.set(machine, { point, left, until, inFlight, silent, downMs: ms, sprung })
  }

  #storm({ kind, ms, x }: Fault, machine: Machine): void {
    const cluster = this.#cluster
    const { time } = cluster
    const times = 2 + (x % 6)
    if (machine.process === undefined) return
    cluster.tally.fault(kind)
    for (let at = 0; at < times; at++) {
      time.push(time.now + (at * ms) / times, IO, undefined, () => {
        if (this.#over) return
        cluster.end(machine, IN_FLIGHT[(x + at) % 3] ?? 'lost', false)
        cluster.start(machine)
      })
    }
  }

  #stop({ kind, ms }: Fault, machine: Machine): void {
    const cluster = this.#cluster
    const { process } = machine
    const driver = process?.serving
    if (process === undefined || driver === undefined) return
    const led = process.role === 'leader'
    cluster.tally.fault(kind)
    process.stopping = true
    driver.drain(() => {
      if (!process.live) return
      if (led && process.role !== 'leader') cluster.tally.hit('graceful stop handed over')
      // As whoever waits for a promise: in a later turn.
      cluster.time.push(cluster.time.now, IO, process, () =>
        driver.close(() => {
          if (process.live) cluster.kill(machine, 'lost', false, ms)
        }),
      )
    })
  }

  #pause({ kind, ms }: Fault, machine: Machine): void {
    const cluster = this.#cluster
    const { process } = machine
    if (process?.serving === undefined) return
    cluster.tally.fault(kind)
    process.pause()
    cluster.say(process, 'is stopped')
    const { silenceMs } = cluster.config
    if (silenceMs > 0 && ms > silenceMs)
      cluster.time.push(cluster.time.now + silenceMs, IO, undefined, () => {
        if (process.live && process.paused) cluster.network.hushed(process)
      })
    this.#until(ms, () => {
      process.resume()
      if (!process.live) return
      cluster.say(process, 'goes on')
    })
  }

  // ---- disks and clocks

  #slowDisk({ kind, ms, x }: Fault, machine: Machine): void {
    const cluster = this.#cluster
    const { now } = cluster.time
    const before = machine.writes
    if (x % 3 === 0) machine.stalledUntil = Math.max(machine.stalledUntil, now + ms)
    else {
      machine.slowFactor = 2 + (x % 100)
      machine.slowUntil = Math.max(machine.slowUntil, now + ms)
    }
    this.#until(ms, () => {
      if (machine.writes > before) cluster.tally.fault(kind)
    })
  }

  /** Only where clocks may do as they like: forward jumps are beyond what leases promise to bear. */
  #jump({ kind, x }: Fault, machine: Machine): void {
    const cluster = this.#cluster
    if (cluster.config.clocks !== 2) return
    const { time } = cluster
    const { clock, process } = machine
    clock.jump(time.now, 1 + (x % 20_000))
    cluster.tally.fault(kind)
    if (process === undefined) return
    time.reschedule(process, (event) =>
      event.kind === TIMER && typeof event.detail === 'number'
        ? time.now + clock.wait(event.detail - clock.at(time.now))
        : event.at,
    )
  }

  // ---- operators

  #change(
    { kind, a, x }: Fault,
    asked: Machine,
    steps: (member: { readonly id: ReplicaId }) => readonly ChangeStep[],
  ): void {
    const cluster = this.#cluster
    const process: Process | undefined = asked.process
    const driver = process?.serving
    if (driver === undefined) return
    const { configuration } = driver
    const { members, learners } = configuration
    const choice = kind === 'promote' ? members.filter(({ id }) => learners.includes(id)) : members
    const target =
      a % 16 >= 12 && kind !== 'promote'
        ? members.find(({ id }) => id === cluster.leader?.id)
        : choice[a % Math.max(1, choice.length)]
    if (target === undefined) return
    // A cluster that is taken apart proves little; now and then it may be.
    if (
      kind !== 'promote' &&
      configuration.voters.length <= 3 &&
      unit(bits(cluster.seed, DRAW.fault, x, a)) < 0.7
    )
      return
    const change: ConfigurationChange = { kind: 'change', steps: steps(target) }
    const wasLeader = target.id === cluster.leader?.id
    driver.change(change, cluster.config.timeoutMs, (result) => {
      if (!result.ok) return
      cluster.tally.fault(kind)
      if (kind === 'replace') cluster.tally.hit('replaced in one joint change')
      if (kind === 'demote') cluster.tally.hit('voter demoted')
      if (wasLeader && kind !== 'promote') cluster.tally.hit('leader removed')
    })
  }
}
