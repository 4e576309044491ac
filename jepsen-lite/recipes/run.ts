// Clients that use a recipe (clients.ts), on a simulated cluster: the shipped recipes and the shipped
// client library, on simulated clocks, timers and connections. Their processes are stopped in the middle of what they
// hold, killed, or cut off from machines. The history is judged as that of a run of real processes is.

import { Client } from '../../src/client/index.ts'
import { judge, type Verdict } from '../checker/index.ts'
import { DRAIN } from '../checker/queues.ts'
import type { LoggedEvent } from '../checker/watch/index.ts'
import { converge } from '../sim/liveness/liveness.ts'
import { judgeStore } from '../sim/oracle/store-verdict.ts'
import { RuleViolation } from '../sim/oracle/violation.ts'
import { type EventObserver, Run, type RunResult } from '../sim/run.ts'
import { DRAW } from '../sim/schedule/random-purposes.ts'
import { CLIENT_FAULTS, type ClientFault, type Schedule } from '../sim/schedule/schedule.ts'
import type { Machine } from '../sim/world/process.ts'
import { IO } from '../sim/world/time.ts'
import { ClientNetwork } from '../simulation/network/client-network.ts'
import { type VirtualProcess, VirtualProcesses } from '../simulation/processes.ts'
import {
  buildHistory,
  FIRST_REVISION,
  type HistoryEvent,
  type OperationEnd,
  Recorder,
} from '../workload/history.ts'
import { Random } from '../workload/random.ts'
import type { WatchedEvent } from '../workload/watch-record.ts'
import { drain, runRecipe } from './clients.ts'
import { Holders } from './holders.ts'

/** Clients of one process. */
const CLIENTS = 3
/** Time limit of each request to the cluster. */
const TIMEOUT_MS = 2_000
/** The leases of clients live so long, or as long as the cluster demands. */
const TTL_MS = 2_000
/** Mean pause between two requests of a client. */
const PAUSE_MS = 200
/** When no fault lasts any more, all clients have ended what they had begun after so long. */
const END_MS_MAX = 60_000
/** A slow cluster needs some seconds for each item. */
const DRAIN_MS_MAX = 600_000
/** The name of the client that receives all changes. */
const LOG = 'log'
/** Counted with the faults: a process was stopped or killed when one of its clients held something. */
export const WHILE_HOLDING = 'clients stop or kill while holding'
/** The first revision that a change can have. */
const FIRST = FIRST_REVISION + 1

export type RecipeSchedule = Schedule & { readonly recipe: NonNullable<Schedule['recipe']> }

export const isRecipeSchedule = (schedule: Schedule): schedule is RecipeSchedule =>
  schedule.recipe !== undefined

interface RecipeResult extends RunResult {
  /** undefined: a rule was broken before the history was complete. */
  readonly verdict: Verdict | undefined
}

/** Modules that the client library loads when it is used for the first time, which takes time. */
const loaded = Promise.all([
  import('../../src/client/lease-sessions.ts'),
  import('../../src/client/transact.ts'),
  import('../../src/client/mirror.ts'),
])

/** Runs a schedule, and judges what its clients saw. One at a time: it replaces global functions. */
export async function runRecipes(schedule: RecipeSchedule, watch?: EventObserver): Promise<RecipeResult> {
  await loaded
  const run = new Run(schedule, watch)
  const clients = new RecipeProcesses(run, schedule)
  const restore = await clients.hosts.replaceGlobals()
  try {
    await clients.run()
  } catch (error) {
    run.threw(error)
  } finally {
    await clients.hosts.settle()
    restore()
  }
  return clients.judged()
}

/** A process of clients. */
interface Clientele {
  readonly host: VirtualProcess
  readonly over: AbortController
  /** Ids of the operations in flight in the history. */
  readonly open: Set<number>
  hasEnded: boolean
}

class RecipeProcesses {
  readonly hosts: VirtualProcesses
  readonly #run: Run
  readonly #schedule: RecipeSchedule
  readonly #network: ClientNetwork
  readonly #recorder: Recorder
  readonly #history: HistoryEvent[] = []
  /** Client processes by their numbers in the schedule. */
  readonly #processes: Clientele[] = []
  /** Functions that end the cuts between clients and machines. */
  readonly #cuts = new Set<() => void>()
  #values = 0
  #isOver = false
  /** A majority is gone: clients could not end what they had begun, or the queue could not be emptied. */
  #isUndecided = false
  #isDrained = false

  constructor(run: Run, schedule: RecipeSchedule) {
    const { cluster } = run
    const { seed, recipe } = schedule
    this.#run = run
    this.#schedule = schedule
    this.hosts = new VirtualProcesses(cluster.time, seed)
    this.#network = new ClientNetwork(cluster, this.hosts, new Random(seed, DRAW.recipe, 1))
    const header = {
      workload: recipe.name,
      seed,
      log: LOG,
      command: `jepsen-lite sim --workload ${recipe.name} --seed ${seed} --schedules 1`,
    }
    this.#recorder = new Recorder(
      header,
      () => cluster.time.now,
      (event) => this.#history.push(event),
    )
    const { onGone } = cluster
    cluster.onGone = (process) => {
      onGone(process)
      this.#network.gone(process)
    }
  }

  async run(): Promise<void> {
    const { cluster, faults, clients, store } = this.#run
    const { config, recipe } = this.#schedule
    const { time, triggers } = cluster
    for (let at = 0; at < recipe.processes; at++) this.#begin(at)
    for (const fault of recipe.faults)
      if (fault.at < config.ms)
        time.push(fault.at, IO, undefined, () =>
          triggers.whenever(fault, (about) => this.#inject(fault, cluster.machine(fault.node, about))),
        )
    await this.#until(config.ms)
    if (!this.#run.isRunning) return
    faults.endAll()
    await this.#until(config.ms + config.timeoutMs + 10)
    if (this.#run.isRunning) await this.#endAll()
    if (!this.#run.isRunning) return
    cluster.runThrough(converge(cluster, clients, undefined))
    if (this.#run.isRunning) judgeStore(cluster, store)
  }

  #until(ms: number, isOver?: () => boolean): Promise<void> {
    return this.#run.cluster.runUntilSettled(ms, () => this.hosts.settle(), isOver)
  }

  // ---- processes

  #begin(at: number): void {
    const name = `p${at + 1}`
    const host = this.hosts.begin(name)
    const process: Clientele = { host, over: new AbortController(), open: new Set(), hasEnded: false }
    this.#processes[at] = process
    host.after(0, () => {
      void this.#serve(process).then(
        () => {
          process.hasEnded = true
        },
        (error: unknown) => this.#run.threw(error),
      )
    })
  }

  async #serve({ host, over, open }: Clientele): Promise<void> {
    const { recipe } = this.#schedule
    const kv = this.#createClient(host, TIMEOUT_MS)
    const ttlMs = Math.max(TTL_MS, ...this.#run.cluster.machines.map(leaseTtlMsMin))
    const rest = (ms: number): Promise<void> =>
      new Promise((resolve) => {
        const end = (): void => {
          clearTimeout(timer)
          over.signal.removeEventListener('abort', end)
          resolve()
        }
        const timer = setTimeout(end, ms)
        if (over.signal.aborted) end()
        else over.signal.addEventListener('abort', end)
      })
    const one = async (at: number): Promise<void> => {
      const random = new Random(this.#schedule.seed, DRAW.recipe, CLIENTS * host.number + at)
      await runRecipe(recipe.name, {
        kv,
        random,
        ttlMs,
        over: over.signal,
        rest,
        value: () => `v${this.#values++}`,
        pause: () => rest(-Math.log(1 - random.next()) * PAUSE_MS),
        invoke: (op) => {
          const id = this.#recorder.invoke(`${host.name}.${at}.${host.number}`, 'any', op)
          open.add(id)
          return (end) => this.#ended(open, id, end)
        },
      })
    }
    await Promise.all(Array.from({ length: CLIENTS }, (_, at) => one(at)))
    await kv.close()
  }

  #createClient(host: VirtualProcess, timeoutMs: number): Client {
    return new Client(
      {
        endpoints: this.#network.endpoints,
        timeoutMs,
        discover: false,
        transport: 'http',
        onWarning: () => {},
      },
      this.#network.createTransport(host),
    )
  }

  #ended(open: Set<number>, id: number, end: OperationEnd): void {
    if (open.delete(id)) this.#recorder.end(id, end)
  }

  // ---- what is done to them

  #inject({ kind, client, ms }: ClientFault, machine: Machine | undefined): boolean {
    const at = client % this.#processes.length
    const { host, open } = this.#processes[at] as Clientele
    const { time } = this.#run.cluster
    if (this.#isOver || host.paused || !host.live) return false
    if (kind === 'cut') {
      if (machine === undefined) return false
      const end = this.#network.cut(host.name, machine.name)
      this.#cuts.add(end)
      time.push(time.now + ms, IO, undefined, end)
    } else if (kind === 'stop') {
      host.stop()
      time.push(time.now + ms, IO, undefined, () => host.resume())
    } else {
      this.#end(host)
      for (const id of open) this.#recorder.unknown(id, 'its process has ended')
      open.clear()
      time.push(time.now + ms, IO, undefined, () => {
        if (!this.#isOver) this.#begin(at)
      })
    }
    this.#recorder.note(`clients ${kind}`, { clients: host.name, ms })
    this.#run.cluster.say(undefined, { kind: 'client-fault', clients: host.name, fault: kind, ms })
    return true
  }

  #end(host: VirtualProcess): void {
    host.kill()
    this.#network.left(host)
  }

  // ---- the end

  async #endAll(): Promise<void> {
    const { time, machines } = this.#run.cluster
    this.#isOver = true
    for (const end of this.#cuts) end()
    // A node gives up a snapshot when its disk becomes short of space. A replica that a majority needs might never
    // complete one between two such periods.
    for (const { space } of machines) space.fixed = Number.POSITIVE_INFINITY
    const running = this.#processes.filter(({ host }) => host.live)
    for (const { host, over } of running) {
      if (host.paused) host.resume()
      host.after(0, () => over.abort())
    }
    await this.#until(time.now + END_MS_MAX, () => running.every(({ hasEnded }) => hasEnded))
    const late = running.find(({ hasEnded }) => !hasEnded)
    // A client that waits for a lock without a limit also waits while the cluster has no majority.
    if (late !== undefined && this.#run.cluster.leader === undefined) this.#isUndecided = true
    else if (late !== undefined)
      throw new RuleViolation(
        'RECIPE-7',
        `${late.host.name} has not ended what it had begun ${END_MS_MAX} ms after the last fault`,
      )
    for (const { host } of this.#processes) this.#end(host)
    await this.#quiet()
    if (this.#schedule.recipe.name !== 'queue' || !this.#run.isRunning) return
    await this.#drain()
    await this.#quiet()
  }

  /** A request that was given up may still arrive, and be done. */
  async #quiet(): Promise<void> {
    const { time, config } = this.#run.cluster
    if (this.#run.isRunning)
      await this.#until(Math.max(time.now, this.#network.busyUntil) + config.timeoutMs + TIMEOUT_MS)
  }

  async #drain(): Promise<void> {
    const { time } = this.#run.cluster
    const until = time.now + DRAIN_MS_MAX
    const host = this.hosts.begin(DRAIN)
    let isDone = false
    const empty = async (): Promise<void> => {
      await using kv = this.#createClient(host, TIMEOUT_MS)
      const rest = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
      const why = await drain(kv, this.#recorder, () => time.now < until, rest)
      if (why !== undefined && this.#run.cluster.leader === undefined) this.#isUndecided = true
      else if (why !== undefined) throw new RuleViolation('RECIPE-7', `the queue was not emptied: ${why}`)
      this.#isDrained = why === undefined
      isDone = true
    }
    host.after(0, () => void empty().catch((error: unknown) => this.#run.threw(error)))
    await this.#until(until + TIMEOUT_MS, () => isDone)
    this.#end(host)
  }

  // ---- the judgement

  judged(): RecipeResult {
    const { model } = this.#run.cluster.invariants
    const recorder = this.#recorder
    const id = recorder.watch(LOG, 'model', { start: '', from: FIRST, prev: false, values: true })
    recorder.watchMessage(id, { kind: 'created', revision: model.revision, from: FIRST })
    const byRevision = Map.groupBy(model.events, ({ revision }) => revision)
    for (const [revision, events] of byRevision)
      recorder.watchMessage(id, { kind: 'events', revision, events: events.map(watchedEvent) })
    recorder.watchMessage(id, { kind: 'progress', revision: model.revision })
    const rows = model.keys.flatMap((key) => {
      const row = model.atRevision(key, model.revision)
      return row === null
        ? []
        : [{ key, value: row.value, modRevision: row.modRevision, version: row.version }]
    })
    // A cluster that has ended early leaves items in its queue.
    if (this.#isDrained || this.#schedule.recipe.name !== 'queue')
      recorder.final('model', model.revision, '', rows)
    const of = this.#run.result()
    const result = {
      ...of,
      ...countEvents(this.#history, of.faults),
      history: withNotes(this.#history, of.history),
    }
    if (result.violation !== undefined) return { ...result, verdict: undefined }
    if (this.#isUndecided) return { ...result, verdict: 'undecided' }
    const { verdict, findings } = judge(buildHistory(this.#history))
    const [finding] = findings
    if (finding === undefined) return { ...result, verdict }
    const violation = {
      invariant: `CHECK-${finding.check}`,
      detail: finding.message,
      atMs: result.virtualMs,
    }
    return { ...result, verdict, violation }
  }
}

/** Numbers of the operations of clients and of the faults of their processes. */
function countEvents(
  history: readonly HistoryEvent[],
  ofCluster: RunResult['faults'],
): Pick<RunResult, 'ok' | 'failed' | 'unknown' | 'faults'> {
  const holders = new Holders()
  for (const event of history) holders.add(event)
  const count = (type: HistoryEvent['type']): number => history.filter((event) => event.type === type).length
  const faults: Record<string, number> = { ...ofCluster, [WHILE_HOLDING]: holders.faultsWhileHolding }
  for (const kind of CLIENT_FAULTS) {
    const what = `clients ${kind}`
    faults[what] = history.filter((event) => event.type === 'note' && event.what === what).length
  }
  return { ok: count('ok'), failed: count('fail'), unknown: count('unknown'), faults }
}

/** Adds the faults of the cluster to the history of the clients. */
function withNotes(history: readonly HistoryEvent[], ofCluster: readonly HistoryEvent[]): HistoryEvent[] {
  const eventTime = (event: HistoryEvent): number => (event.type === 'history' ? -1 : event.time)
  const notes = ofCluster.filter(({ type }) => type === 'note')
  return [...history, ...notes].sort((a, b) => eventTime(a) - eventTime(b))
}

const watchedEvent = ({ key, record }: LoggedEvent): WatchedEvent =>
  record === null ? { key, type: 'delete' } : { key, type: 'put', record }

const leaseTtlMsMin = ({ process }: Machine): number => Math.ceil(process?.driver?.leaseTtlMsMin ?? 0)
