// A process of a simulation, from outside. Its program begins anew with each start; its name, its place in the network
// and its output stay.

import { Client, type ClientOptions } from '../../src/client/index.ts'
import { checkValue } from '../../src/client/validators.ts'
import { durationCheck, rateCheck } from './arguments.ts'
import type { FaultNotes } from './fault-notes.ts'
import type { VirtualProcess } from './processes.ts'
import type { OutputLine, ProcessSelf, SimulatedProcess, SimulatedProcessOptions } from './types.ts'

/** Name of the process in which the body runs. */
export const BODY = 'body'

/** Services of the simulation for its processes. */
export interface ProcessSurroundings {
  endpoints(): readonly string[]
  begin(name: string, clock: number | undefined): VirtualProcess
  /** The process is gone, with everything that it has in flight. */
  left(process: VirtualProcess): void
  /** Its main function has returned. */
  returned(process: VirtualProcess): void
  /** Its main function has thrown. */
  threw(handle: ProcessHandle, error: unknown): void
  readonly faults: FaultNotes
  /** Cuts it off from this node or process; call the result to undo it. */
  cut(name: string, target: string): () => void
  /** Names of all nodes, also of those that may join, and of all other processes. */
  others(name: string): readonly string[]
  /** Names of all nodes, also of those that may join. */
  nodeNames(): readonly string[]
}

/** Causes of an error that are looked at. */
const CAUSES_MAX = 10

/** One run of the program. */
interface Life {
  readonly process: VirtualProcess
  readonly stop: AbortController
  /** Its program knows the signal that it is to end. */
  listens: boolean
}

export class ProcessHandle implements SimulatedProcess {
  readonly name: string
  readonly output: OutputLine[] = []
  readonly #main: (self: ProcessSelf) => unknown
  readonly #options: SimulatedProcessOptions
  readonly #surroundings: ProcessSurroundings
  #whenEnded = Promise.withResolvers<void>()
  /** Its main function has returned since it started last. */
  #hasReturned = false
  #life: Life | undefined
  /** A fault of the schedule has killed it, and starts it again. */
  startsAgain = false
  /** How many times as fast its clock runs as without a fault. */
  #skew = 1
  #cuts: (() => void)[] = []

  constructor(
    name: string,
    main: (self: ProcessSelf) => unknown,
    options: SimulatedProcessOptions,
    surroundings: ProcessSurroundings,
  ) {
    this.name = name
    this.#main = main
    this.#options = options
    this.#surroundings = surroundings
    for (const other of surroundings.others(name)) if (!this.reaches(other)) surroundings.cut(name, other)
  }

  /** Whether its options let it reach this node or process. */
  reaches(name: string): boolean {
    return this.#options.reaches?.includes(name) ?? true
  }

  get ended(): Promise<void> {
    return this.#whenEnded.promise
  }

  get running(): boolean {
    return this.#life !== undefined
  }

  /** The present run of its program. */
  get process(): VirtualProcess | undefined {
    return this.#life?.process
  }

  start(): void {
    if (this.#life !== undefined) return
    this.startsAgain = false
    if (this.#hasReturned) this.#whenEnded = Promise.withResolvers<void>()
    this.#hasReturned = false
    const { faults } = this.#surroundings
    faults.state('start', this.name, `start ${this.name}`)
    faults.healed('crash', this.name)
    const process = this.#surroundings.begin(this.name, this.#options.clock)
    const life: Life = { process, stop: new AbortController(), listens: false }
    this.#life = life
    if (this.#skew !== 1) process.skew(this.#skew)
    process.after(0, () => void this.#run(life))
  }

  async #run(life: Life): Promise<void> {
    const { endpoints } = this.#surroundings
    const self: ProcessSelf = {
      name: this.name,
      get signal() {
        life.listens = true
        return life.stop.signal
      },
      client: (options: Partial<ClientOptions> = {}) => new Client({ endpoints: endpoints(), ...options }),
    }
    try {
      await this.#main(self)
    } catch (error) {
      if (this.#life === life && !isReasonOf(life.stop.signal, error)) {
        this.#surroundings.threw(this, error)
        return
      }
    }
    if (this.#life !== life) return
    this.#surroundings.returned(life.process)
    this.#end(life, 'ended')
    this.#hasReturned = true
    this.#whenEnded.resolve()
  }

  #end({ process }: Life, what: 'kill' | 'ended'): void {
    const { faults } = this.#surroundings
    this.#life = undefined
    process.kill()
    faults.state(what, this.name)
    for (const kind of ['pause', 'block']) faults.healed(kind, this.name)
    this.#surroundings.left(process)
  }

  crash(): void {
    if (this.#life === undefined) return
    this.#surroundings.faults.struck('crash', this.name)
    this.#end(this.#life, 'kill')
  }

  /** Notifies the program that it is to end, if it listens. */
  stop(): void {
    const life = this.#life
    if (life === undefined) return
    if (life.listens) life.process.after(0, () => life.stop.abort())
    else this.#end(life, 'ended')
  }

  pause(): void {
    if (this.#life === undefined) return
    const { faults } = this.#surroundings
    faults.struck('pause', this.name)
    faults.state('pause', this.name)
    this.#life.process.stop()
  }

  resume(): void {
    const process = this.#life?.process
    if (!process?.stopped) return
    const { faults } = this.#surroundings
    faults.healed('pause', this.name)
    faults.state('resume', this.name, `resume ${this.name}`)
    process.resume()
  }

  block(ms: number): void {
    checkValue('block', 'ms', ms, durationCheck)
    const life = this.#life
    if (life === undefined) return
    const { faults } = this.#surroundings
    faults.struck('block', this.name, `block ${this.name} for ${ms}`, { ms })
    faults.state('block', this.name)
    life.process.block(ms, () => {
      if (this.#life !== life) return
      faults.healed('block', this.name)
      faults.state('unblock', this.name)
    })
  }

  cut(...targets: readonly string[]): void {
    const { others, nodeNames } = this.#surroundings
    const unknown = targets.find((target) => target !== BODY && !others(this.name).includes(target))
    if (unknown !== undefined) throw new RangeError(`cut: there is no other node or process ${unknown}`)
    const names = targets.length > 0 ? targets : nodeNames()
    const from = targets.length > 0 ? targets.join(',') : 'all nodes'
    const details = { effect: this.name, from }
    this.#cuts.push(
      this.#surroundings.faults.begin('cut', [this.name], `cut ${this.name} from ${from}`, details),
    )
    for (const target of names) this.#cuts.push(this.#surroundings.cut(this.name, target))
  }

  heal(): void {
    this.#surroundings.faults.observe(`heal ${this.name}`)
    for (const end of this.#cuts) end()
    this.#cuts = []
  }

  skewClock(ratio: number): void {
    checkValue('skewClock', 'ratio', ratio, rateCheck)
    this.#surroundings.faults.by('skew', this.name, ratio, 1)
    this.#skew = ratio
    this.#life?.process.skew(ratio)
  }

  /** Undoes every fault of this process. */
  whole(): void {
    this.heal()
    this.resume()
    if (this.#skew !== 1) this.skewClock(1)
  }
}

/** Whether code has given up because the signal has fired: it throws the reason, or an error that it caused. */
function isReasonOf({ aborted, reason }: AbortSignal, error: unknown): boolean {
  if (!aborted) return false
  let cause = error
  for (let depth = 0; cause !== reason && depth < CAUSES_MAX; depth++)
    cause = cause instanceof Error ? cause.cause : undefined
  return cause === reason
}
