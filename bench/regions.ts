// A cluster over three regions, in virtual time. The shipped driver and links run in the simulator of jepsen-lite,
// which checks every answer. Prints tables of latencies and fail-overs, the same for the same seed.
//
//   node bench/regions.ts [SEED]

import { Clients } from '../jepsen-lite/sim/clients/clients.ts'
import type { SimConfig } from '../jepsen-lite/sim/schedule/config.ts'
import { SimCluster } from '../jepsen-lite/sim/world/cluster.ts'
import { usualLimits } from '../jepsen-lite/sim/world/node-limits.ts'
import type { Machine, Process } from '../jepsen-lite/sim/world/process.ts'
import { IO } from '../jepsen-lite/sim/world/time.ts'
import { Recorder } from '../jepsen-lite/workload/history.ts'
import { stream } from '../jepsen-lite/workload/random.ts'
import type { ReadConsistency } from '../src/operations/forms/index.ts'
import { median } from './report/median.ts'
import { shown } from './report/table.ts'

/** Round trips between regions, and the intervals of heartbeats and elections that are tried with them. */
const ROUND_TRIPS = [
  { roundTripMs: 20, timings: [[50, 500]] },
  {
    roundTripMs: 80,
    timings: [
      [50, 500],
      [100, 500],
      [100, 1000],
    ],
  },
  {
    roundTripMs: 200,
    timings: [
      [50, 500],
      [50, 1000],
      [250, 1000],
      [250, 2000],
    ],
  },
] as const
/** The region of each node. */
const PLACEMENTS = [
  ['A', 'B', 'C'],
  ['A', 'A', 'B', 'B', 'C'],
]
/** Round trip within a region. */
const LOCAL_MS = 0.5
const JITTER_MS = 1
const DISK_MS = 1
const TIMEOUT_MS = 30_000
const SETTLE_MS = 5_000
const REQUESTS = 50
const FAIL_OVERS = 20
/** How often a client begins another put while it waits for one to succeed. */
const PUT_EVERY_MS = 10
const QUIET_MS = 5 * 60_000
/** Mean time between two losses of a packet on a connection, each way; one in ten loses the repetition as well. */
const LOSS_EVERY_MS = 5_000
/** Least time until TCP repeats a packet, beside the round trip. */
const REPEAT_MS = 200

interface Setting {
  readonly regions: readonly string[]
  readonly roundTripMs: number
  readonly heartbeatMs: number
  readonly electionMs: number
  /** Leases of leaders, which delay a fail-over. */
  readonly leases: boolean
}

function configOf({ regions, heartbeatMs, electionMs, leases }: Setting): SimConfig {
  return {
    nodes: regions.length,
    spares: 0,
    grow: 0,
    ms: Number.POSITIVE_INFINITY,
    heartbeatMs,
    electionMinMs: electionMs,
    electionMaxMs: 2 * electionMs,
    commitDelayMs: 5,
    delayMs: LOCAL_MS / 2,
    jitterMs: JITTER_MS,
    tail: 0,
    harsh: 0,
    lost: 0,
    doubled: 0,
    reordered: 0,
    silenceMs: Math.max(3000, 6 * electionMs),
    writeMs: DISK_MS,
    writeJitterMs: DISK_MS,
    readMs: DISK_MS / 10,
    clocks: 1,
    leases: leases ? 1 : 0,
    leaseMs: electionMs,
    restartMs: 1000,
    limits: usualLimits,
    keys: 1,
    clients: 1,
    timeoutMs: TIMEOUT_MS,
  }
}

/** A running cluster. Requests go to a node from a client beside it. */
class Regions {
  readonly #cluster: SimCluster
  readonly #clients: Clients
  readonly #setting: Setting
  readonly #random: () => number
  #requests = 0

  constructor(seed: number, setting: Setting) {
    const config = configOf(setting)
    this.#setting = setting
    this.#random = stream(seed, 0, 0)
    const header = { workload: 'kv', command: 'node bench/regions.ts' }
    this.#cluster = new SimCluster(seed, config, (now) => new Recorder(header, now, () => {}))
    this.#clients = new Clients(this.#cluster, this.#cluster.recorder, 1, true)
    this.#cluster.onGone = (process) => this.#clients.gone(process)
    for (const [from, to] of this.#links)
      this.#cluster.network.slow(from, to, (setting.roundTripMs - LOCAL_MS) / 2)
    this.#cluster.found()
    this.run(SETTLE_MS)
  }

  get term(): number {
    return this.#leader.term
  }

  /** Pairs of nodes in different regions. */
  get #links(): [number, number][] {
    const { regions } = this.#setting
    return regions.flatMap((one, from) =>
      regions.flatMap((other, to): [number, number][] => (one === other ? [] : [[from, to]])),
    )
  }

  get #leader(): Process {
    const { leader } = this.#cluster
    if (leader === undefined) throw new Error('there is no leader')
    return leader
  }

  run(ms: number, isOver?: () => boolean): void {
    this.#cluster.runUntil(this.#cluster.time.now + ms, isOver)
    const { violation } = this.#cluster.invariants
    if (violation !== undefined) throw violation
  }

  /** Median of requests at the leader, and at a node in another region. */
  latencies(consistency?: ReadConsistency): { readonly atLeader: number; readonly elsewhere: number } {
    const { regions } = this.#setting
    const { place } = this.#leader
    const other = this.#cluster.machines.find((machine) => regions[machine.place] !== regions[place])
    if (other === undefined) throw new Error('there is one region only')
    return {
      atLeader: this.#median(this.#leader.machine, consistency),
      elsewhere: this.#median(other, consistency),
    }
  }

  #median(machine: Machine, consistency?: ReadConsistency): number {
    const times = Array.from({ length: REQUESTS }, () => {
      let endedAt: number | undefined
      const begin = this.#cluster.time.now
      const ended = (): void => {
        endedAt = this.#cluster.time.now
      }
      if (consistency === undefined) this.#put(machine, ended)
      else this.#get(machine, consistency, ended)
      this.run(TIMEOUT_MS, () => endedAt !== undefined)
      this.run(200)
      return (endedAt ?? Number.NaN) - begin
    })
    return median(times)
  }

  #put(machine: Machine, done: () => void): void {
    const { process } = machine
    const driver = process?.serving
    if (process === undefined || driver === undefined) return
    const name = `p${this.#requests++}`
    this.#clients.probe(process, driver, name, (ok) => {
      if (ok) done()
    })
  }

  #get({ process }: Machine, consistency: ReadConsistency, done: () => void): void {
    const driver = process?.serving
    if (process === undefined || driver === undefined) return
    const options = { consistency, maxStalenessMs: undefined, minRevision: undefined, timeoutMs: TIMEOUT_MS }
    driver.read(options, ({ ok }) => {
      if (ok) done()
    })
  }

  /**
   * Ends the process of the leader, and measures until a put succeeds that began after that. `silent`: its machine
   * is gone, and no connection is closed.
   */
  failOver(silent: boolean): number {
    const { machine } = this.#leader
    const { time, machines } = this.#cluster
    const others = machines.filter((other) => other !== machine)
    // At any moment between two heartbeats.
    this.run(1000 * (1 + this.#random()))
    this.#cluster.end(machine, 'kept', silent)
    const begin = time.now
    let endedAt: number | undefined
    while (endedAt === undefined) {
      for (const other of others)
        this.#put(other, () => {
          endedAt ??= time.now
        })
      this.run(PUT_EVERY_MS, () => endedAt !== undefined)
      if (time.now - begin > 2 * TIMEOUT_MS) throw new Error('no put succeeded for a minute')
    }
    this.run(1000)
    this.#cluster.start(machine)
    this.run(SETTLE_MS)
    return endedAt - begin
  }

  /** Elections in a time in which every node runs, but connections lose packets. */
  electionsWithLosses(): number {
    const { term } = this
    const { time } = this.#cluster
    const end = time.now + QUIET_MS
    for (const link of this.#links) this.#loses(link, end)
    while (time.now < end) {
      this.#put(this.#cluster.machines[0] as Machine, () => {})
      this.run(100)
    }
    this.run(SETTLE_MS)
    return this.term - term
  }

  /** A frame of this connection, and so all behind it, waits for a repetition. */
  #loses([from, to]: [number, number], end: number): void {
    const { time, network } = this.#cluster
    const { roundTripMs, heartbeatMs } = this.#setting
    const at = time.now - LOSS_EVERY_MS * Math.log(1 - this.#random())
    if (at > end) return
    time.push(at, IO, undefined, () => {
      const repeatMs = roundTripMs + REPEAT_MS
      const lateMs = this.#random() < 0.1 ? 3 * repeatMs : repeatMs
      network.slow(from, to, lateMs)
      time.push(time.now + heartbeatMs, IO, undefined, () => network.slow(from, to, -lateMs))
      this.#loses([from, to], end)
    })
  }
}

const seed = Number(process.argv[2] ?? 1)
/** Rows are printed one by one, because they take minutes. */
const row = (...cells: readonly (string | number)[]): void => console.log(`| ${cells.join(' | ')} |`)

function header(...cells: readonly string[]): void {
  row(...cells)
  row(...cells.map(() => '---'))
}

console.log('Median latency in ms, for a client beside the leader · beside a node of another region\n')
header('round trip', 'nodes', 'put', 'get by read index', 'get by lease')
for (const { roundTripMs } of ROUND_TRIPS) {
  for (const regions of PLACEMENTS) {
    const setting = { regions, roundTripMs, heartbeatMs: 50, electionMs: 1000, leases: true }
    const cluster = new Regions(seed, setting)
    const measured = ([undefined, 'linearizable', 'lease'] as const).map((kind) => {
      const { atLeader, elsewhere } = cluster.latencies(kind)
      return `${shown(atLeader)} · ${shown(elsewhere)}`
    })
    row(roundTripMs, regions.length, ...measured)
  }
}

console.log(`
Time in ms from the loss of the leader to the first put that succeeds, median · worst of ${FAIL_OVERS}; and elections
in ${QUIET_MS / 60_000} minutes in which connections lose packets
`)
header(
  'round trip',
  'nodes',
  'heartbeat',
  'election timeout',
  'killed',
  'killed, leases on',
  'machine lost',
  'elections',
)
for (const { roundTripMs, timings } of ROUND_TRIPS) {
  for (const regions of PLACEMENTS) {
    for (const [heartbeatMs, electionMs] of timings) {
      const start = (leases: boolean): Regions =>
        new Regions(seed, { regions, roundTripMs, heartbeatMs, electionMs, leases })
      const times = (leases: boolean, silent: boolean): string => {
        const cluster = start(leases)
        const all = Array.from({ length: FAIL_OVERS }, () => cluster.failOver(silent))
        return `${shown(median(all))} · ${shown(Math.max(...all))}`
      }
      const lost = [times(false, false), times(true, false), times(false, true)]
      row(roundTripMs, regions.length, heartbeatMs, electionMs, ...lost, start(false).electionsWithLosses())
    }
  }
}
