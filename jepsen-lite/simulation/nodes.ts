// The nodes of a simulation, and what the body of a test does to them.

import { checkOptions, checkValue } from '../../src/client/validators.ts'
import type { SimCluster } from '../sim/world/cluster.ts'
import type { InFlight } from '../sim/world/disk.ts'
import type { Machine, Process } from '../sim/world/process.ts'
import { IO, TIMER } from '../sim/world/time.ts'
import { CRASH, durationCheck, rateCheck } from './arguments.ts'
import type { FaultNotes } from './fault-notes.ts'
import { nodeUrl } from './network/client-network.ts'
import type { SimulatedCluster, SimulatedNode } from './types.ts'

/** Cut packets are sent again by TCP, and arrive after the cut. No one is notified of it. */
const CUT = { stalls: true, refuses: false } as const
/** Pause between two requests of an operator that were not granted. */
const AGAIN_MS = 500

/** Services of the simulation for its nodes. */
interface Surroundings {
  readonly faults: FaultNotes
  /** A promise that resolves when it is called, in the process whose code runs now. */
  promise(): { readonly promise: Promise<void>; resolve(): void }
}

export class Nodes implements SimulatedCluster {
  readonly #cluster: SimCluster
  readonly #surroundings: Surroundings
  readonly #nodes: Node[]
  /** Functions that undo the cuts of the body of the test. */
  #cuts: (() => void)[] = []
  /** Removals that are not done. */
  #removals = 0

  constructor(cluster: SimCluster, surroundings: Surroundings) {
    this.#cluster = cluster
    this.#surroundings = surroundings
    this.#nodes = cluster.machines.map((machine) => new Node(cluster, machine, surroundings))
  }

  get nodes(): readonly Node[] {
    return this.#nodes.filter(
      ({ machine }) => machine.replica !== undefined && !machine.retired && !machine.removed,
    )
  }

  /** Names of all nodes, also of those that may join. */
  get names(): readonly string[] {
    return this.#nodes.map(({ name }) => name)
  }

  node(name: string): Node {
    const found = this.nodes.find((node) => node.name === name)
    if (found === undefined) {
      const names = this.nodes.map((node) => node.name).join(', ')
      throw new RangeError(`there is no node ${name}; the nodes are ${names}`)
    }
    return found
  }

  leader(): Node | undefined {
    const { leader } = this.#cluster
    return this.#nodes.find(({ machine }) => machine === leader?.machine)
  }

  partition(...groups: readonly (readonly string[])[]): void {
    const text = groups.map((names) => names.join(',')).join(' | ')
    const undo = this.partitioned(groups)
    this.#begun('partition', groups.flat(), `partition ${text}`, { groups: text }, undo)
  }

  /** The same; call the result to undo it. */
  partitioned(groups: readonly (readonly string[])[]): () => void {
    const groupOf = new Map<Machine, number>()
    for (const [number, names] of groups.entries())
      for (const name of names) {
        const { machine } = this.node(name)
        if (groupOf.has(machine)) throw new RangeError(`partition: ${name} is in two groups`)
        groupOf.set(machine, number)
      }
    return this.cutLinks((from, to) => groupOf.get(from) !== groupOf.get(to))
  }

  cut(from: string, to: string): void {
    const [sender, receiver] = [this.node(from).machine, this.node(to).machine]
    const undo = this.cutLinks((one, other) => one === sender && other === receiver)
    this.#begun('cut', [from], `cut ${from} to ${to}`, { to }, undo)
  }

  #begun(kind: string, names: readonly string[], text: string, details: object, undo: () => void): void {
    const end = this.#surroundings.faults.begin(kind, names, text, { ...details })
    this.#cuts.push(() => {
      undo()
      end()
    })
  }

  /** Cuts what one machine sends to another; call the result to undo it. */
  cutLinks(isCut: (from: Machine, to: Machine) => boolean): () => void {
    const { machines, network } = this.#cluster
    const links = machines.flatMap((from) =>
      machines.flatMap((to) => (from !== to && isCut(from, to) ? [[from.place, to.place] as const] : [])),
    )
    for (const [from, to] of links) network.cut(from, to, CUT)
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      for (const [from, to] of links) network.uncut(from, to, CUT)
    }
  }

  /** Makes messages from and to a machine take longer; call the result to undo it. */
  slowLinks(slow: Machine, ms: number): () => void {
    const { machines, network } = this.#cluster
    const add = (more: number): void => {
      for (const { place } of machines)
        if (place !== slow.place) {
          network.slow(slow.place, place, more)
          network.slow(place, slow.place, more)
        }
    }
    add(ms)
    return () => add(-ms)
  }

  heal(): void {
    this.#surroundings.faults.observe('heal')
    for (const end of this.#cuts) end()
    this.#cuts = []
  }

  addNode(): SimulatedNode {
    const spare = this.#nodes.find(({ machine }) => machine.replica === undefined)
    if (spare === undefined) throw new RangeError(`a simulation has at most ${this.#nodes.length} nodes`)
    this.#surroundings.faults.state('add', spare.name, `add ${spare.name}`)
    this.#cluster.join(spare.machine)
    return spare
  }

  removeNode(name: string): Promise<void> {
    const { machine } = this.node(name)
    this.#surroundings.faults.state('remove', name, `remove ${name}`)
    const { promise, resolve } = this.#surroundings.promise()
    this.#removals++
    this.#remove(machine, () => {
      this.#removals--
      resolve()
    })
    return promise
  }

  /** Whether the cluster does something for the body of the test. */
  get isBusy(): boolean {
    return this.#removals > 0
  }

  #remove(machine: Machine, done: () => void): void {
    const cluster = this.#cluster
    const id = machine.replica?.id
    const contact = cluster.leader
    const driver = contact?.serving
    const again = (): void => {
      cluster.time.push(cluster.time.now + AGAIN_MS, IO, undefined, () => this.#remove(machine, done))
    }
    if (id === undefined || contact === undefined || driver === undefined) {
      again()
      return
    }
    if (!driver.configuration.members.some((member) => member.id === id)) {
      // One that is joining is removed when it has joined.
      if (machine.joining && machine.process !== undefined) again()
      else done()
      return
    }
    const remove = { kind: 'change', steps: [{ kind: 'remove', id }] } as const
    driver.change(remove, cluster.config.timeoutMs, (result) => {
      if (result.ok) {
        cluster.letGo(contact, id, result.value)
        done()
      } else again()
    })
  }

  /** Ends what the body of the test has done to the nodes. */
  endFaults(): void {
    this.heal()
    for (const node of this.nodes) node.whole()
  }
}

export class Node implements SimulatedNode {
  readonly machine: Machine
  readonly #cluster: SimCluster
  readonly #faults: FaultNotes
  /** How many times as fast its clock runs as without a fault. */
  #skew = 1

  constructor(cluster: SimCluster, machine: Machine, { faults }: Surroundings) {
    this.#cluster = cluster
    this.machine = machine
    this.#faults = faults
  }

  get name(): string {
    return this.machine.name
  }

  get url(): string {
    return nodeUrl(this.machine)
  }

  get running(): boolean {
    return this.machine.process !== undefined
  }

  /** Whether it runs, and was not requested to stop. */
  get serves(): boolean {
    return this.machine.process?.stopping === false
  }

  crash(options: { readonly losesUnsynced?: boolean } = {}): void {
    checkOptions('crash', options, CRASH)
    const { losesUnsynced = false } = options
    if (!this.running) return
    this.#faults.struck(losesUnsynced ? 'power-loss' : 'crash', this.name)
    // Everything that a process has written reaches the disk although the process is gone.
    const inFlight: InFlight = losesUnsynced ? 'lost' : 'kept'
    this.#cluster.end(this.machine, inFlight)
  }

  restart(): void {
    this.crash()
    this.#faults.observe(`start ${this.name}`)
    for (const kind of ['crash', 'power-loss', 'pause']) this.#faults.healed(kind, this.name)
    this.#cluster.start(this.machine)
  }

  /** Hands over and ends. */
  stop(): void {
    const { process } = this.machine
    if (process?.driver === undefined || process.stopping) return
    this.#faults.struck('stop', this.name)
    process.stopping = true
    // A paused process receives the signal when it resumes.
    this.#cluster.time.push(this.#cluster.time.now, IO, process, () => this.#drain(process))
  }

  #drain(process: Process): void {
    const { driver } = process
    const { time } = this.#cluster
    driver?.drain(() => {
      if (!process.live) return
      // In a later turn, like a continuation of a promise.
      time.push(time.now, IO, process, () => {
        process.closing = true
        driver.close(() => {
          if (process.live) this.#cluster.end(this.machine, 'kept')
        })
      })
    })
  }

  pause(): void {
    const { process } = this.machine
    if (process?.serving === undefined) return
    this.#faults.struck('pause', this.name)
    this.#faults.state('pause', this.name)
    process.pause()
  }

  resume(): void {
    const { process } = this.machine
    if (!process?.paused) return
    this.#faults.healed('pause', this.name)
    this.#faults.state('resume', this.name, `resume ${this.name}`)
    process.resume()
  }

  skewClock(ratio: number): void {
    checkValue('skewClock', 'ratio', ratio, rateCheck)
    const { clock, process } = this.machine
    const { time } = this.#cluster
    this.#faults.by('skew', this.name, ratio, 1)
    this.#skew = ratio
    clock.setRate(time.now, ratio)
    if (process === undefined) return
    time.reschedule(process, ({ kind, detail, at }) =>
      kind === TIMER && typeof detail === 'number' ? time.now + clock.wait(detail - clock.at(time.now)) : at,
    )
  }

  slowDisk(ms: number): void {
    checkValue('slowDisk', 'ms', ms, durationCheck)
    this.#faults.by('slow-disk', this.name, ms, 0)
    this.machine.extraWriteMs = ms
  }

  /** Undoes every fault of this node. */
  whole(): void {
    if (this.machine.extraWriteMs !== 0) this.slowDisk(0)
    if (this.#skew !== 1) this.skewClock(1)
    this.resume()
    if (!this.running) this.restart()
  }
}
