// The public types of a simulation.

import type { Client, ClientOptions } from '../../src/client/index.ts'
import type { NodeOptions } from '../../src/server/options.ts'
import type { RecordedHistory } from '../history/recorded-history.ts'
import type { SimulatedSchedule } from './schedule/schedule.ts'

/** See the timing of a node. */
export type SimulationTiming = Pick<
  NonNullable<NodeOptions['timing']>,
  'heartbeatMs' | 'electionMinMs' | 'electionMaxMs' | 'commitDelayMs'
>

export interface SimulationOptions {
  /** Everything random follows from it: a whole number. Default: a random one, which a failure shows. */
  readonly seed?: number | undefined
  /** Number of nodes, from 1 to 7. Default: 3. */
  readonly nodes?: number | undefined
  /** Faults, as text or drawn by `simulatedFaults`. Default: none. */
  readonly schedule?: string | SimulatedSchedule | undefined
  /** Runs twice, and rejects if the runs differ. */
  readonly determinism?: 'check' | undefined
  /** Path of an HTML report, which is written when the run fails. */
  readonly report?: string | undefined
  /** Limit on the virtual time of the run, in milliseconds. Default: 600,000. */
  readonly virtualMsMax?: number | undefined
  /** Heartbeat and election timeouts of the nodes. */
  readonly timing?: SimulationTiming | undefined
}

export interface SimulationResult {
  readonly seed: number
  /** Virtual time of the body, in milliseconds. */
  readonly virtualMs: number
  /** How many events have run. */
  readonly events: number
  /** The same for every run of the same code, seed and schedule. */
  readonly traceHash: string
  /** Operations that clients have recorded: `recorded(kv, { history: world.history })`. */
  readonly history: RecordedHistory
  /** How many faults of the schedule have begun. 0: the run was over before. */
  readonly faults: number
  /** Virtual time from which on no fault of the schedule begins: `world.eventually` was called, or the body ended. */
  readonly faultsEndedMs: number
  /** Names of the processes that the body has made. */
  readonly processes: readonly string[]
  /** Everything that processes have left open when their main function had ended, and the body when it had. */
  readonly leftovers: readonly Leftover[]
}

export interface Leftover {
  readonly process: string
  /** For example "2 timers". */
  readonly what: string
}

/** A simulation. The body of `simulate` receives it. */
export interface World {
  /** Base URLs of all nodes, for `new Client({ endpoints })`. */
  readonly endpoints: readonly string[]
  readonly cluster: SimulatedCluster
  /** A history for `recorded(kv, { history })`, in virtual time. */
  readonly history: RecordedHistory
  /** Virtual time since the body began, in milliseconds. No fault of a clock changes it. */
  readonly now: number
  /**
   * Starts a process. `main` is its program: it begins anew with each start.
   *
   * `name`: letters, digits, `.`, `_`, `-` and `/`, a letter first. A schedule of faults names it.
   *
   * @throws RangeError when another process has this name
   */
  process(
    name: string,
    main: (self: ProcessSelf) => unknown,
    options?: SimulatedProcessOptions,
  ): SimulatedProcess
  /**
   * Answers requests that other processes send with `fetch` to `http://NAME/…`, where NAME is that of this process.
   * They travel over the same network as those to the nodes.
   */
  connect(handler: (request: Request) => Response | Promise<Response>): RequestServer
  /** Resolves after so many milliseconds of virtual time. */
  after(ms: number): Promise<void>
  /** Resolves when the predicate is true. It is tested after each step of the simulation. */
  until(predicate: () => boolean): Promise<void>
  /** From now on the run fails when the predicate is false, or throws, after any step of the simulation. */
  always(name: string, predicate: () => boolean): void
  /**
   * Ends all faults, and resolves when the predicate is true. The run fails if it is not within `ms` milliseconds of
   * virtual time (60,000).
   */
  eventually(name: string, predicate: () => boolean, options?: { readonly ms?: number }): Promise<void>
  /** Calls a synchronous function that may use the disk or the terminal, for example to read a fixture. */
  real<T>(fn: () => T): T
}

export interface SimulatedProcessOptions {
  /**
   * How many milliseconds its clock advances in each true one. Default: drawn, from 0.995 to 1.005. The wall clocks of
   * processes (`Date`) also differ from each other, by up to some seconds.
   */
  readonly clock?: number | undefined
  /** Names of the nodes and processes that it can reach, and that can reach it. Default: all. */
  readonly reaches?: readonly string[] | undefined
}

/** A process, for its own program. */
export interface ProcessSelf {
  readonly name: string
  /** Fires when the process is to end: the body has ended. Its main function may then reject with the reason. */
  readonly signal: AbortSignal
  /** A client of all nodes. The same as `new Client({ endpoints: world.endpoints })`. */
  client(options?: Partial<ClientOptions>): Client
}

/** A process, from outside. */
export interface SimulatedProcess {
  readonly name: string
  readonly running: boolean
  /** Resolves when its main function has returned; after a further start, when that of this start has. */
  readonly ended: Promise<void>
  /** Lines that it has written, with their virtual times. */
  readonly output: readonly OutputLine[]
  /** Ends it as SIGKILL does. No code of it runs any more. */
  crash(): void
  /** Starts it again, if it does not run. */
  start(): void
  /** Stops it as SIGSTOP does. Its clock advances. */
  pause(): void
  resume(): void
  /** Its event loop does nothing else for so many milliseconds. */
  block(ms: number): void
  /**
   * Cuts it off from nodes and processes; from all nodes if none is named.
   *
   * @throws RangeError when there is no such node or process
   */
  cut(...targets: readonly string[]): void
  /** Undoes every cut. */
  heal(): void
  /** Its clock runs so many times as fast as without this fault. 1: as before. */
  skewClock(ratio: number): void
}

export interface OutputLine {
  /** In milliseconds since the body began. */
  readonly at: number
  readonly stream: 'stdout' | 'stderr'
  readonly text: string
}

export interface RequestServer {
  /** Base URL for `fetch`. */
  readonly url: string
  close(): void
}

/** The nodes of a simulation. Faults last until they are undone. */
export interface SimulatedCluster {
  readonly nodes: readonly SimulatedNode[]
  /**
   * The node `n1`, `n2`, …
   *
   * @throws RangeError when there is no such node
   */
  node(name: string): SimulatedNode
  /** The node that leads in the highest term; undefined: none. */
  leader(): SimulatedNode | undefined
  /** Cuts the network between groups of nodes. Nodes that no group names form one more group. */
  partition(...groups: readonly (readonly string[])[]): void
  /** Loses everything that one node sends to another one. */
  cut(from: string, to: string): void
  /** Undoes every partition and cut between nodes. */
  heal(): void
  /** Starts a further node, which joins. Returns it at once. */
  addNode(): SimulatedNode
  /** Asks the cluster to remove a node. Resolves when it has. */
  removeNode(name: string): Promise<void>
}

export interface SimulatedNode {
  readonly name: string
  readonly url: string
  readonly running: boolean
  /** Ends it as SIGKILL does. `losesUnsynced`: as a power loss does, without what was not synced. */
  crash(options?: { readonly losesUnsynced?: boolean }): void
  /** Starts it again on its data. If it runs, it is killed before. */
  restart(): void
  /** Stops it as SIGSTOP does. */
  pause(): void
  resume(): void
  /** Its clock runs so many times as fast as without this fault. 1: as before. */
  skewClock(ratio: number): void
  /** Each write to its disk takes so much longer. 0: as before. */
  slowDisk(ms: number): void
}
