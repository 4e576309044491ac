// A schedule of faults, and how it is applied to an embedded cluster while the body of a test runs.
//
// A fault begins and ends after a number of ended operations of recorded clients, not after a time. So it strikes at
// the same place of the test on slow and fast machines. The caller of the operation that makes a fault due continues
// only when the fault is in force. A sequential body therefore meets every fault at exactly the same step. If no
// operation ends for `idleMs`, this counts as one more, so that a body that waits for the end of a fault gets it. The
// time in which a fault is applied is not idle. The reaction of the nodes (which one is elected, and when) stays
// random.
//
// After the body, whether or not it failed, the network is healed, the nodes are started, and a leader is there.
//
// There is no pause: nodes of an embedded cluster share one process and its timers. A node that is cut off, and whose
// clock runs, is not paused. `quorate cluster pause` and `jepsen-lite run` pause real processes.

import { after } from '../../src/client/timer.ts'
import {
  type Check,
  checkOptions,
  checkValue,
  functionCheck,
  timeoutCheck,
} from '../../src/client/validators.ts'
import type { EmbeddedCluster } from '../../src/embed/types.ts'
import { RecordedHistory } from '../history/recorded-history.ts'
import { checkFaults } from './arguments.ts'
import type { Fault, FaultKind } from './types.ts'

export interface RunOptions {
  /** Write into this history. Default: a new one. */
  readonly history?: RecordedHistory | undefined
  /** If no operation ends for this long, it counts as one. In milliseconds. Default: 200. */
  readonly idleMs?: number | undefined
}

const IDLE_MS = 200

/** Clusters on which a schedule runs. */
const BUSY = new WeakSet<EmbeddedCluster>()

const clusterCheck: Check = (value) =>
  functionCheck((value as Partial<EmbeddedCluster> | null | undefined)?.waitForLeader) === undefined
    ? undefined
    : 'an embedded cluster'

/** A schedule that you write yourself, for example one that fast-check has printed. */
export const faultSchedule = (faults: readonly Fault[]): FaultSchedule => new FaultSchedule(faults)

export class FaultSchedule {
  readonly faults: readonly Fault[]

  constructor(faults: readonly Fault[]) {
    checkFaults(faults)
    this.faults = faults
  }

  /** Code that makes the same schedule. */
  toString(): string {
    if (this.faults.length === 0) return 'faultSchedule([])'
    const lines = this.faults.map(({ at, fault, nodes, for: duration }) => {
      const names = nodes.map((name) => `'${name}'`).join(', ')
      return `  { at: ${at}, fault: '${fault}', nodes: [${names}], for: ${duration} },\n`
    })
    return `faultSchedule([\n${lines.join('')}])`
  }

  /**
   * Runs `body` and applies the faults while it runs. Resolves with the history when the body has ended and the cluster
   * is whole again. Rejects if the body does.
   *
   * @throws RangeError when the cluster has no node of a name in the schedule
   */
  async run(
    cluster: EmbeddedCluster,
    body: (history: RecordedHistory) => Promise<unknown>,
    options: RunOptions = {},
  ): Promise<RecordedHistory> {
    checkValue('run', 'cluster', cluster, clusterCheck)
    checkValue('run', 'body', body, functionCheck)
    checkOptions('run', options, {
      history: (value) => (value instanceof RecordedHistory ? undefined : 'a RecordedHistory'),
      idleMs: timeoutCheck,
    })
    // Each would heal what the other has cut, and start what the other holds down.
    if (BUSY.has(cluster))
      throw new Error('run: another schedule runs on this cluster; one schedule has all faults of a run')
    const { history = new RecordedHistory(), idleMs = IDLE_MS } = options
    for (const name of this.faults.flatMap(({ nodes }) => nodes)) if (name !== LEADER) cluster.node(name)
    BUSY.add(cluster)
    try {
      return await applied(this.faults, cluster, body, history, idleMs)
    } finally {
      BUSY.delete(cluster)
    }
  }
}

async function applied(
  faults: readonly Fault[],
  cluster: EmbeddedCluster,
  body: (history: RecordedHistory) => Promise<unknown>,
  history: RecordedHistory,
  idleMs: number,
): Promise<RecordedHistory> {
  const injector = new Injector(cluster, faults, history)
  const progress = new Progress(history, idleMs, (ended) => injector.reach(ended))
  const ended = await Promise.allSettled([progress.begun.then(() => body(history))])
  await progress.close()
  const healed = await Promise.allSettled([injector.close()])
  // The error of the body comes first. A fault that could not be applied makes the run worthless.
  const failures = [...ended, ...progress.failed, ...healed].filter(({ status }) => status === 'rejected')
  for (const { reason } of failures as readonly PromiseRejectedResult[]) throw reason
  return history
}

/**
 * Stands for the node that leads when a fault begins.
 *
 * @internal
 */
export const LEADER = 'leader'

/** Counts the operations that have ended. */
class Progress {
  readonly #reach: (ended: number) => Promise<void>
  readonly #idleMs: number
  readonly #unlisten: () => void
  /** The faults that are due before the first operation are in force. */
  readonly begun: Promise<void>
  #ended = 0
  #stopTimer = (): void => {}
  #reached: Promise<void> = Promise.resolve()
  readonly failed: PromiseRejectedResult[] = []
  #isClosed = false

  constructor(history: RecordedHistory, idleMs: number, reach: (ended: number) => Promise<void>) {
    this.#reach = reach
    this.#idleMs = idleMs
    this.#unlisten = history.onEnd(() => this.#step())
    this.begun = this.#apply()
  }

  /** Resolves when nothing is being applied any more. */
  close(): Promise<void> {
    this.#isClosed = true
    this.#unlisten()
    this.#stopTimer()
    return this.#reached
  }

  #step(): Promise<void> {
    this.#ended += 1
    return this.#apply()
  }

  /** One after the other, so that faults begin and end in their order. */
  #apply(): Promise<void> {
    const ended = this.#ended
    this.#stopTimer()
    const reached = this.#reached
      .then(() => (this.#isClosed ? undefined : this.#reach(ended)))
      .catch((error: unknown) => this.#failed(error))
      .then(() => {
        if (this.#reached === reached && !this.#isClosed)
          this.#stopTimer = after(this.#idleMs, () => void this.#step())
      })
    this.#reached = reached
    return reached
  }

  #failed(reason: unknown): void {
    this.failed.push({ status: 'rejected', reason })
  }
}

interface Active {
  readonly id: number
  readonly fault: Fault
  readonly nodes: readonly string[]
}

/** Begins and ends the faults that are due. Faults may overlap. */
class Injector {
  readonly #cluster: EmbeddedCluster
  readonly #history: RecordedHistory
  readonly #waiting: Fault[]
  #active: Active[] = []
  #ids = 0
  #leader: string | undefined

  constructor(cluster: EmbeddedCluster, faults: readonly Fault[], history: RecordedHistory) {
    this.#cluster = cluster
    this.#history = history
    this.#waiting = [...faults].sort((a, b) => a.at - b.at)
    for (const { name } of cluster.nodes) history.note('role', { node: name, role: 'follower' })
    this.#noteLeader()
  }

  async reach(ended: number): Promise<void> {
    this.#noteLeader()
    const isOver = ({ fault }: Active): boolean => fault.at + fault.for <= ended
    for (const one of this.#active.filter(isOver)) await this.#end(one)
    while (this.#waiting[0] !== undefined && this.#waiting[0].at <= ended) {
      const fault = this.#waiting.shift()
      if (fault !== undefined) await this.#begin(fault)
    }
  }

  /** All is well again, as far as it can be. Then it throws the first reason why something is not. */
  async close(): Promise<void> {
    const failures: unknown[] = []
    const attempt = (step: Promise<unknown>) => step.catch((error: unknown) => failures.push(error))
    for (const one of [...this.#active]) await attempt(this.#end(one))
    // It could not start before, or the body has ended it.
    for (const node of this.#cluster.nodes) if (!node.running) await attempt(this.#up(node.name))
    await attempt(this.#cluster.waitForLeader())
    this.#noteLeader()
    if (failures.length > 0) throw failures[0]
  }

  async #begin(fault: Fault): Promise<void> {
    const nodes = fault.nodes.flatMap((name) =>
      name === LEADER ? (this.#cluster.leader()?.name ?? []) : name,
    )
    if (nodes.length === 0) {
      this.#history.note('no fault', { fault: fault.fault, why: 'no node leads' })
      return
    }
    this.#ids += 1
    const active = { id: this.#ids, fault, nodes: [...new Set(nodes)] }
    this.#active.push(active)
    this.#history.note('inject', { fault: fault.fault, id: active.id, nodes: active.nodes })
    if (fault.fault === 'partition') this.#cut()
    else await Promise.all(active.nodes.map((name) => this.#down(name, fault.fault)))
  }

  async #end(one: Active): Promise<void> {
    this.#active = this.#active.filter((other) => other !== one)
    if (one.fault.fault === 'partition') this.#cut()
    else await Promise.all(one.nodes.filter((name) => !this.#isHeldDown(name)).map((name) => this.#up(name)))
    this.#history.note('heal', { fault: one.fault.fault, id: one.id, effect: one.nodes.join(' ') })
  }

  async #down(name: string, kind: FaultKind): Promise<void> {
    const node = this.#cluster.node(name)
    await (kind === 'crash' ? node.crash() : node.stop())
    this.#history.note(kind === 'crash' ? 'kill' : 'ended', { node: name })
  }

  async #up(name: string): Promise<void> {
    await this.#cluster.node(name).start()
    this.#history.note('start', { node: name })
    this.#history.note('role', { node: name, role: 'follower' })
  }

  #isHeldDown(name: string): boolean {
    return this.#active.some(({ fault, nodes }) => fault.fault !== 'partition' && nodes.includes(name))
  }

  /** Two nodes reach each other if every partition has both on the same side. */
  #cut(): void {
    const partitions = this.#active.filter(({ fault }) => fault.fault === 'partition')
    const groups = new Map<string, string[]>()
    for (const { name } of this.#cluster.nodes) {
      const sides = partitions.map(({ nodes }) => nodes.includes(name)).join()
      groups.set(sides, [...(groups.get(sides) ?? []), name])
    }
    if (groups.size > 1) this.#cluster.partition([...groups.values()])
    else this.#cluster.heal()
  }

  #noteLeader(): void {
    const leader = this.#cluster.leader()?.name
    if (leader === this.#leader || leader === undefined) return
    if (this.#leader !== undefined && this.#cluster.node(this.#leader).running)
      this.#history.note('role', { node: this.#leader, role: 'follower' })
    this.#history.note('role', { node: leader, role: 'leader' })
    this.#leader = leader
  }
}
