// One run: the nodes, the processes, the body of the test, and what ends it.

import { types } from 'node:util'
import { simulateTransports } from '../../src/client/transport/simulated.ts'
import {
  checkOptions,
  checkValue,
  describeValue,
  functionCheck,
  textCheck,
  timeoutCheck,
} from '../../src/client/validators.ts'
import { timingFault } from '../../src/raft/timing.ts'
import { raftTiming } from '../../src/server/node/limits.ts'
import { simulateClock } from '../history/clock.ts'
import { RecordedHistory } from '../history/recorded-history.ts'
import type { SimConfig } from '../sim/schedule/config.ts'
import { DRAW } from '../sim/schedule/random-purposes.ts'
import { formatEvent } from '../sim/sim-event.ts'
import { SimCluster } from '../sim/world/cluster.ts'
import { usualLimits } from '../sim/world/node-limits.ts'
import { IO } from '../sim/world/time.ts'
import { Random } from '../workload/random.ts'
import { msCheck, PROCESS } from './arguments.ts'
import { AwaitedPlaces, userFrame, userFrames, userStack } from './awaited-places.ts'
import { SimulationError, type SimulationErrorCode, showMs } from './error.ts'
import { FaultNotes } from './fault-notes.ts'
import { ClientNetwork, nodeUrl } from './network/client-network.ts'
import { type Handler, hostOf, ProcessRequests } from './network/process-requests.ts'
import { Nodes } from './nodes.ts'
import { BODY, ProcessHandle } from './process-handle.ts'
import { type VirtualProcess, VirtualProcesses } from './processes.ts'
import { processCheck } from './schedule/fault.ts'
import { SimulatedSchedule } from './schedule/index.ts'
import { ScheduledFaults } from './scheduled-faults.ts'
import type {
  Leftover,
  ProcessSelf,
  RequestServer,
  SimulatedProcess,
  SimulatedProcessOptions,
  SimulationOptions,
  SimulationResult,
  World,
} from './types.ts'
import { catchErrors } from './unhandled-errors.ts'

/** Machines that may join. */
const SPARES = 2
/** Time in which the first leader is elected. */
const FOUNDING_MS_MAX = 60_000
/** Time in which processes end that were asked to. */
const CLOSING_MS_MAX = 10_000
/** Predicates are tested so often while nothing takes a step. */
const TESTED_EVERY_MS = 10
/** How long nothing of a process runs before it is asked whether anything of one can. */
const QUIET_MS = 10_000
/** Steps in one instant of virtual time: so many timers of a service may be due at once. */
const INSTANT_STEPS_MAX = 50_000
/** Events of nodes that run before the test runner may do something. */
const EVENTS_UNBROKEN_MAX = 2_000
/** The newest steps, which a failure has. */
const TRACE_MAX = 200

const VIRTUAL_MS_MAX = 600_000
const EVENTUALLY_MS = 60_000

/** Somebody waits until a predicate is true. */
interface Waiter {
  readonly isSo: () => boolean
  readonly process: VirtualProcess
  readonly resolve: () => void
  readonly place: Error
}

/** Facts about a failure, apart from its words. */
interface FailureFacts extends ErrorOptions {
  /** See `FailedRun`. */
  readonly subject?: string | undefined
  /** Made where the promise was made that does not hold. */
  readonly place?: Error | undefined
}

/** A predicate that must become true. */
interface Expectation {
  readonly name: string
  readonly process: VirtualProcess
  readonly place: Error
}

/** Additions to a run. */
export interface RunModes {
  /** Notes where code waits. */
  readonly places?: boolean
  /** Receives each step of code of the user. */
  readonly stepped?: (step: string) => string | undefined
}

export class Simulation implements World {
  readonly cluster: Nodes
  readonly history: RecordedHistory
  readonly #options: SimulationOptions
  readonly #modes: RunModes
  readonly #awaited = new AwaitedPlaces(() => this.#processes.running)
  readonly #seed: number
  readonly #sim: SimCluster
  readonly #processes: VirtualProcesses
  readonly #network: ClientNetwork
  readonly #requests: ProcessRequests
  readonly #body: VirtualProcess
  readonly #handles: ProcessHandle[] = []
  readonly #always: { readonly name: string; readonly isSo: () => boolean; readonly place: Error }[] = []
  #waiters: Waiter[] = []
  readonly #expected = new Set<Expectation>()
  readonly #trace: string[] = []
  readonly #leftovers: Leftover[] = []
  readonly #restore: (() => void)[] = []
  readonly #schedule: SimulatedSchedule
  readonly #notes: FaultNotes
  #faults: ScheduledFaults | undefined
  /** True time when the body began. */
  #begunAt: number | undefined
  /** Virtual time when the body ended. */
  #endedMs = 0
  /** Virtual time when the body first said that faults end. */
  #faultsEndedMs: number | undefined
  #testedAt = 0
  /** A step was taken since: what predicates look at may be another. */
  #isChanged = false
  /** True time when code of a process ran last, or when it was found that some can. */
  #activeAt = 0
  /** True time of the present step, and the steps that were taken at it. */
  #instant = 0
  #instantSteps = 0
  #isClosing = false
  #failure: SimulationError | undefined

  constructor(options: SimulationOptions, seed: number, modes: RunModes = {}) {
    this.#options = options
    this.#modes = modes
    this.#seed = seed
    const { schedule = [] } = options
    this.#schedule = schedule instanceof SimulatedSchedule ? schedule : new SimulatedSchedule(schedule)
    let now = (): number => 0
    const history = createHistory(() => now())
    this.#sim = new SimCluster(seed, configOf(options), () => history.recorder)
    this.history = history
    const { time, machines } = this.#sim
    now = () => this.#now
    const isNode = (name: string): boolean => machines.some((machine) => machine.name === name)
    this.#notes = new FaultNotes(history, (what) => this.#observe('faults', what), isNode)
    for (const machine of machines) machine.url = nodeUrl(machine)
    this.#processes = new VirtualProcesses(time, seed, {
      observe: (process, what, isUsual) => this.#observe(process.name, what, isUsual),
      threw: ({ name }, error) => this.#threw(name, error),
      written: ({ name }, stream, text) => {
        history.note('output', { process: name, stream, text })
        this.#handles.find((handle) => handle.name === name)?.output.push({ at: now(), stream, text })
      },
      strayed: (process) => this.#strayed(process),
      fetch: (process, request) => this.#requests.fetch(process, request),
      refused: (process, call, isKept) => {
        const remedy = isKept ? KEPT : ENDS.test(call) ? ENDED : REAL_IO
        return this.#stop('real_io', `${process.name} called ${call}: ${remedy}`)
      },
      misused: ({ name }, of) => {
        const owner = of.name === name ? 'its earlier life' : of.name
        return this.#stop('failed', `${name} uses a client of ${owner}: ${MISUSED}`)
      },
      spun: ({ name }) => this.#stop('virtual_time', `${name} reads its clock again and again: ${SPUN}`),
    })
    this.#network = new ClientNetwork(this.#sim, this.#processes, new Random(seed, DRAW.recipe, 1))
    this.#requests = new ProcessRequests(this.#network, {
      sent: ({ name }, what) => this.#observe(name, what),
      threw: ({ name }, error) => this.#threw(name, error),
    })
    this.#body = this.#processes.begin(BODY, 1)
    // The shipped store is not what a simulation of a service tests.
    this.#sim.readsBack = false
    // Steps of processes count as well, so the run has a limit of its own.
    this.#sim.spinsMax = 2 * INSTANT_STEPS_MAX
    this.#sim.onGone = (process) => {
      this.#notes.state(process.closing || process.ended ? 'ended' : 'kill', process.name)
      this.#network.gone(process)
    }
    this.#sim.onSay = (process, event) => {
      const what = formatEvent(event)
      if (what !== undefined) this.#observe(process?.name ?? 'nodes', what, /\bpeer\b/.test(what))
    }
    this.cluster = new Nodes(this.#sim, {
      faults: this.#notes,
      promise: () => this.#promise(),
    })
  }

  get #now(): number {
    return this.#begunAt === undefined ? 0 : this.#sim.time.now - this.#begunAt
  }

  // ---- the run

  async run(body: (world: World) => unknown): Promise<SimulationResult> {
    this.#restore.push(await this.#processes.replaceGlobals())
    this.#restore.push(simulateClock(() => this.#now))
    this.#restore.push(
      simulateTransports(() => {
        const { current } = this.#processes
        return current && this.#network.createTransport(current)
      }),
    )
    this.#restore.push(
      catchErrors((error, thrower) => {
        if (!this.#processes.isTurn) return false
        if (!this.#processes.isOfKilled) this.#threw(thrower, error)
        return true
      }),
    )
    const { places } = this.#modes
    if (places) this.#restore.push(this.#awaited.start())
    try {
      await this.#run(body)
    } catch (error) {
      this.#failure ??= this.#error('cluster', String(error), { cause: error })
    } finally {
      for (const handle of this.#handles) handle.process?.kill()
      this.#body.kill()
      await this.#processes.settle()
      for (const restore of this.#restore.reverse()) restore()
    }
    if (this.#failure !== undefined) throw this.#failure
    return this.#result()
  }

  async #run(body: (world: World) => unknown): Promise<void> {
    const { time } = this.#sim
    this.#sim.found()
    this.#sim.pollUntil(FOUNDING_MS_MAX, () => this.cluster.leader() !== undefined)
    this.#begunAt = time.now
    this.#activeAt = time.now
    this.#faults = new ScheduledFaults(this.#schedule.faults, {
      ...{ time, nodes: this.cluster, network: this.#network },
      process: (name) => this.#handles.find((handle) => handle.name === name),
      notes: this.#notes,
    })
    this.#notes.state('start', BODY)
    let hasEnded = false
    const ended = (): void => {
      hasEnded = true
      this.#endedMs = this.#now
      this.#noteLeftovers(this.#body)
      for (const { name, process, place } of this.#expected)
        if (process.live)
          this.#fail('eventually', `"${name}" was not so when ${BODY} ended: ${AWAIT}`, {
            ...{ subject: name, place },
          })
    }
    this.#body.after(0, () => {
      void Promise.resolve(body(this)).then(ended, (error: unknown) => this.#threw(BODY, error))
    })
    const { virtualMsMax = VIRTUAL_MS_MAX } = this.#options
    await this.#until(virtualMsMax, () => hasEnded)
    if (this.#failure !== undefined) return
    if (!hasEnded) {
      const late = `${BODY} has not ended within ${showMs(virtualMsMax)} of virtual time`
      this.#fail('virtual_time', `${late}${this.#waiting}`)
      return
    }
    await this.#close()
  }

  /** All processes that run are asked to end. Those that a fault of the schedule has killed begin no more. */
  async #close(): Promise<void> {
    this.#isClosing = true
    this.#faults?.endAll()
    for (const handle of this.#handles) handle.stop()
    const isOver = (): boolean => this.#handles.every(({ running }) => !running)
    await this.#until(this.#now + CLOSING_MS_MAX, isOver)
  }

  #until(ms: number, isOver: () => boolean): Promise<void> {
    let unbroken = 0
    const settle = (): Promise<void> | undefined => {
      const settled = this.#processes.settle()
      if (settled === undefined)
        return ++unbroken % EVENTS_UNBROKEN_MAX === 0 ? this.#processes.yieldTurn() : undefined
      this.#activeAt = this.#sim.time.now
      return settled.then(() => this.#test())
    }
    return this.#sim.runUntilSettled((this.#begunAt ?? 0) + ms, settle, () => {
      this.#countStep()
      if (this.#isChanged || this.#sim.time.now >= this.#testedAt + TESTED_EVERY_MS) this.#test()
      if (this.#sim.time.now >= this.#activeAt + QUIET_MS) this.#lookForWork(isOver)
      return this.#failure !== undefined || isOver()
    })
  }

  /** Code that waits for no time to pass would never end. */
  #countStep(): void {
    const { now } = this.#sim.time
    this.#instantSteps = now === this.#instant ? this.#instantSteps + 1 : 0
    this.#instant = now
    if (this.#instantSteps === INSTANT_STEPS_MAX)
      this.#fail('virtual_time', `virtual time does not pass: ${INSTANT_STEPS_MAX} steps at one instant`)
  }

  /** Tests what must hold, and what is waited for. */
  #test(): void {
    this.#testedAt = this.#sim.time.now
    this.#isChanged = false
    for (const { name, isSo, place } of this.#isClosing ? [] : this.#always) {
      const answer = this.#ask(isSo)
      if (answer !== true)
        this.#fail('always', `"${name}" does not hold${because(answer)}`, {
          ...{ subject: name, place, ...causeOf(answer) },
        })
    }
    const waiters = this.#waiters
    if (waiters.length === 0) return
    this.#waiters = []
    for (const waiter of waiters) {
      if (!waiter.process.live) continue
      const answer = this.#ask(waiter.isSo)
      if (answer === true) waiter.process.after(0, waiter.resolve)
      else if (answer === false) this.#waiters.push(waiter)
      else this.#threw(waiter.process.name, answer.error, waiter.place)
    }
  }

  #ask(isSo: () => boolean): boolean | { readonly error: unknown } {
    try {
      const answer: unknown = this.#processes.look(this.#body, isSo)
      if (typeof answer === 'boolean') return answer
      const loop = answer instanceof Promise ? `. ${LOOP}` : ''
      throw new TypeError(`a predicate must return true or false, not ${describeValue(answer)}${loop}`)
    } catch (error) {
      return { error }
    }
  }

  /** Nothing of a process has run for long. */
  #lookForWork(isOver: () => boolean): void {
    const { time } = this.#sim
    this.#activeAt = time.now
    const isBusy =
      this.#network.isBusy || this.#requests.isBusy || this.cluster.isBusy || this.#faults?.isActive
    if (isBusy || this.#waiters.length > 0 || isOver()) return
    if (this.#handles.some(({ process }) => process?.blocked)) return
    if (time.waiting(({ owner }) => this.#processes.has(owner) && owner?.live === true).length > 0) return
    this.#fail('deadlock', `nothing is left to happen, and ${BODY} waits${this.#waiting}`)
  }

  /** Processes that are paused, and the places that wait. */
  get #waiting(): string {
    const paused = this.#handles.filter(({ process }) => process?.paused).map(({ name }) => name)
    const { places } = this.#awaited
    return [
      ...(paused.length === 0 ? [] : [`, while ${paused.join(', ')} is paused`]),
      ...(places.length === 0 ? [] : [`. These wait:\n${places.map((place) => `  ${place}`).join('\n')}`]),
    ].join('')
  }

  // ---- what fails it

  #threw(who: string, error: unknown, place?: Error): void {
    if (error instanceof SimulationError) this.#failure ??= error
    else {
      const subject = error instanceof Error ? `${error.name} ${userFrame(error) ?? ''}` : undefined
      this.#fail('failed', `${who} has thrown: ${describe(error)}`, { subject, place, cause: error })
    }
  }

  /** A timer or a promise of the real world has led to code of a process: nothing says when. */
  #strayed({ name }: VirtualProcess): void {
    const place = userFrame(new Error('here'))
    this.#fail(
      'not_deterministic',
      `${name} was resumed by something outside of the simulation${place === undefined ? '' : ` ${place}`}. ${STRAYED}`,
    )
  }

  /** Fails the run. Throw the result, which ends the code that runs. */
  #stop(code: SimulationErrorCode, what: string): SimulationError {
    const error = this.#error(code, what)
    this.#failure ??= error
    return error
  }

  #fail(code: SimulationErrorCode, what: string, about: FailureFacts = {}): void {
    this.#failure ??= this.#error(code, what, about)
  }

  #error(code: SimulationErrorCode, what: string, about: FailureFacts = {}): SimulationError {
    const { subject = '', place = new Error(what), ...options } = about
    const run = {
      ...{ seed: this.#seed, schedule: this.#schedule.text, subject, virtualMs: this.#now },
      trace: this.#trace.slice(-TRACE_MAX),
    }
    const error = new SimulationError(code, what, run, options)
    const frames = userFrames(place)
    error.stack = [`${error.name}: ${error.message}`, ...frames.map((frame) => `    ${frame}`)].join('\n')
    return error
  }

  #result(): SimulationResult {
    return {
      seed: this.#seed,
      virtualMs: this.#endedMs,
      events: this.#sim.time.count,
      traceHash: this.#sim.trace.value,
      history: this.history,
      processes: this.#handles.map(({ name }) => name),
      faults: this.#faults?.begun ?? 0,
      faultsEndedMs: this.#faultsEndedMs ?? this.#endedMs,
      leftovers: this.#leftovers,
    }
  }

  #observe(who: string, what: string, isUsual = false): void {
    this.#sim.trace.text(`${who} ${what}`)
    const difference = this.#modes.stepped?.(`${who}: ${what}`)
    if (difference !== undefined) this.#fail('not_deterministic', difference)
    if (isUsual) return
    this.#isChanged = true
    this.#trace.push(`${showMs(this.#now)} ${who}: ${what}`)
    if (this.#trace.length > 2 * TRACE_MAX) this.#trace.splice(0, TRACE_MAX)
  }

  // ---- what the body does

  get endpoints(): readonly string[] {
    return this.cluster.nodes.map(({ url }) => url)
  }

  get now(): number {
    return this.#now
  }

  process(
    name: string,
    main: (self: ProcessSelf) => unknown,
    options: SimulatedProcessOptions = {},
  ): SimulatedProcess {
    checkValue('process', 'name', name, processCheck)
    checkValue('process', 'main', main, functionCheck)
    checkOptions('process', options, PROCESS)
    const taken = [BODY, ...this.#handles, ...this.cluster.nodes].some(
      (one) => (typeof one === 'string' ? one : one.name) === name,
    )
    if (taken) throw new RangeError(`process: the name ${name} is taken`)
    const handle: ProcessHandle = new ProcessHandle(name, main, options, {
      endpoints: () => this.endpoints,
      begin: (of, clock) => this.#processes.begin(of, clock),
      left: (process) => {
        this.#network.left(process)
        this.#requests.left(process)
      },
      returned: (process) => this.#noteLeftovers(process),
      threw: (of, error) => this.#threw(of.name, error),
      faults: this.#notes,
      cut: (one, other) => this.#network.cut(one, other),
      others: (of) =>
        [...this.cluster.names, ...this.#handles.map((one) => one.name)].filter((one) => one !== of),
      nodeNames: () => this.cluster.names,
    })
    for (const other of this.#handles) if (!other.reaches(name)) this.#network.cut(other.name, name)
    this.#handles.push(handle)
    handle.start()
    return handle
  }

  #noteLeftovers(process: VirtualProcess): void {
    const { requests, watches } = this.#network.openOf(process)
    const counts = {
      timer: process.timers,
      request: requests + this.#requests.openOf(process),
      watch: watches,
    }
    for (const [what, count] of Object.entries(counts))
      if (count > 0) this.#leftovers.push({ process: process.name, what: plural(count, what) })
  }

  connect(handler: Handler): RequestServer {
    checkValue('connect', 'handler', handler, functionCheck)
    const process = this.#processes.current ?? this.#body
    const close = this.#requests.serve(process, handler)
    return { url: `http://${hostOf(process.name)}`, close }
  }

  /** A promise that its caller waits for, and that is resolved in a step of the simulation of its own. */
  #promise(): { readonly promise: Promise<void>; resolve(): void } {
    const process = this.#processes.current ?? this.#body
    const { promise, resolve } = Promise.withResolvers<void>()
    return { promise, resolve: () => void process.after(0, resolve) }
  }

  after(ms: number): Promise<void> {
    checkValue('after', 'ms', ms, msCheck)
    const process = this.#processes.current ?? this.#body
    const { promise, resolve } = Promise.withResolvers<void>()
    process.after(ms, resolve)
    return promise
  }

  until(predicate: () => boolean): Promise<void> {
    checkValue('until', 'predicate', predicate, functionCheck)
    const process = this.#processes.current ?? this.#body
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiters.push({ isSo: predicate, process, resolve, place: new Error('until') })
    process.after(0, () => {})
    return promise
  }

  always(name: string, predicate: () => boolean): void {
    checkValue('always', 'name', name, textCheck)
    checkValue('always', 'predicate', predicate, functionCheck)
    this.#always.push({ name, isSo: predicate, place: new Error(name) })
  }

  async eventually(
    name: string,
    predicate: () => boolean,
    options: { readonly ms?: number } = {},
  ): Promise<void> {
    checkValue('eventually', 'name', name, textCheck)
    checkValue('eventually', 'predicate', predicate, functionCheck)
    checkOptions('eventually', options, { ms: timeoutCheck })
    const { ms = EVENTUALLY_MS } = options
    this.#faultsEndedMs ??= this.#now
    this.#faults?.endAll()
    this.cluster.endFaults()
    for (const handle of this.#handles) handle.whole()
    const { time } = this.#sim
    const expectation = { name, process: this.#processes.current ?? this.#body, place: new Error(name) }
    this.#expected.add(expectation)
    time.push(time.now + ms, IO, undefined, () => {
      if (!this.#expected.has(expectation) || !expectation.process.live) return
      const { place } = expectation
      this.#fail('eventually', `"${name}" was not so within ${showMs(ms)}`, { subject: name, place })
    })
    await this.until(predicate)
    this.#expected.delete(expectation)
  }

  real<T>(fn: () => T): T {
    checkValue('real', 'fn', fn, functionCheck)
    const result = this.#processes.leave(fn)
    if (!types.isPromise(result)) return result
    result.catch(() => {})
    throw new TypeError('real: fn must be synchronous, and not return a promise')
  }
}

const STRAYED =
  'Load modules before the run, and let no code keep a function such as setTimeout from before it'
/** Calls that would end the process of the test. */
const ENDS = /^process\.(exit|reallyExit|abort|kill)$/
const ENDED =
  'it would end the test. A simulated process ends when main returns or throws, or when the body calls crash()'
const SPUN = 'while code runs, virtual time stands still. block(ms) of a process simulates a busy event loop'
const AWAIT = 'await what world.eventually returns'
const MISUSED =
  'faults of one process would strike another. Create one in each main function: self.client(), or new Client(…)'
const LOOP = 'Loop instead: while (!(await isDone())) await world.after(100)'
const plural = (count: number, what: string): string =>
  count === 1 ? `1 ${what}` : `${count} ${what}${what.endsWith('ch') ? 'es' : 's'}`

const KEPT =
  'no simulation controls it. Call it by its global name, or through the default export of its module; keep no copy'
const REAL_IO =
  'that is real I/O, which no simulation can repeat. Use the client, fetch between processes, or world.real(fn)'

function createHistory(now: () => number): RecordedHistory {
  const restore = simulateClock(now)
  try {
    return new RecordedHistory()
  } finally {
    restore()
  }
}

function describe(error: unknown, causesMax = 3): string {
  if (!(error instanceof Error)) return String(error)
  const { cause } = error
  const own = userStack(error)
  return cause === undefined || causesMax === 0 ? own : `${own}\n  cause: ${describe(cause, causesMax - 1)}`
}

const because = (answer: boolean | { readonly error: unknown }): string =>
  typeof answer === 'boolean' ? '' : `: ${describe(answer.error)}`
const causeOf = (answer: boolean | { readonly error: unknown }): ErrorOptions =>
  typeof answer === 'boolean' ? {} : { cause: answer.error }

/** A quick local network, and disks that sync in about a millisecond. */
function configOf({ nodes = 3, timing = {} }: SimulationOptions): SimConfig {
  const {
    heartbeatMs = raftTiming.heartbeatMs,
    electionMinMs = raftTiming.electionMinMs,
    electionMaxMs = raftTiming.electionMaxMs,
    commitDelayMs = raftTiming.commitDelayMs,
  } = timing
  const fault = timingFault({ heartbeatMs, electionMinMs, electionMaxMs })
  if (fault !== undefined) throw new RangeError(`timing: ${fault}`)
  return {
    ...{ nodes, spares: SPARES, grow: 0, ms: Number.POSITIVE_INFINITY },
    ...{ heartbeatMs, electionMinMs, electionMaxMs, commitDelayMs },
    ...{ delayMs: 0.2, jitterMs: 1, tail: 0, harsh: 0, lost: 0, doubled: 0, reordered: 0, silenceMs: 3000 },
    ...{ writeMs: 0.5, writeJitterMs: 1, readMs: 0.05, clocks: 0, leases: 0, leaseMs: electionMinMs },
    ...{ shortDisks: 0, restartMs: 300, limits: usualLimits, keys: 1, clients: 1, timeoutMs: 5000 },
  }
}
