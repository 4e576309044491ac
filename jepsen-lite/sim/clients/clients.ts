// The clients. Each sends one request at a time to some machine, directly into its driver, and trusts no answer. Their
// history is recorded. In addition every answer is compared at once with the replayed log, which gives the operation's
// place in the order of all operations. An operation that began after another had ended must come after it in that
// order. With known positions, that is all that linearizability demands.

import {
  type Command,
  DEFAULT_SETTINGS,
  decodeState,
  type KeyCommand,
  type Outcome,
  type Request,
} from '../../../src/kv/index.ts'
import type { ReadGrant } from '../../../src/operations/forms/index.ts'
import {
  asRevision,
  type Idempotency,
  type KvSettings,
  type ReadConsistency,
} from '../../../src/operations/forms/index.ts'
import { SETTING_LIMITS } from '../../../src/operations/forms/settings.ts'
import type { Driver } from '../../../src/server/node/driver.ts'
import type { ReadRequirements } from '../../../src/server/node/read/reads.ts'
import { ScanEndedError } from '../../../src/storage/index.ts'
import type {
  HistoryOperation,
  RecordedRange,
  Recorder,
  RecordedResult as Seen,
} from '../../workload/history.ts'
import { shown } from '../oracle/model.ts'
import { bytes, type ModelRow, text } from '../oracle/model-row.ts'
import { type BrokenRead, RuleViolation } from '../oracle/violation.ts'
import { DerivedChoices } from '../schedule/derived-choices.ts'
import type { ScheduledOp } from '../schedule/schedule.ts'
import type { Machine, Process } from '../world/process.ts'
import { IO } from '../world/time.ts'
import type { SimWorld } from '../world/world.ts'
import { DAMAGED, unlessDamaged } from './damaged-read.ts'
import { drawList, LISTED_FROM, type List, type ListRows, readList, scanOptions } from './lists.ts'
import { proposePermitted } from './permitted-requests.ts'

const ROUNDING_MS = 1e-3
/** Requests that a client may have in flight in its session. */
const LANES = 6
const SLOTS = 4

interface Client {
  readonly name: string
  busy: boolean
  sent: number
  /** The last request that carried a token. */
  once: { readonly request: Request; readonly op: HistoryOperation } | undefined
  /** The last seen mod revision of each key, and the highest revision seen. */
  readonly seen: Map<string, number>
  revision: number
  /** Open session of the client. */
  session: Session | undefined
  /** Names in the history for requests that are in flight together. */
  readonly lanes: Lane[]
}

/** The name of the client in the history: a client has one operation open at a time. */
export interface Lane {
  readonly name: string
  busy: boolean
}

/** Client of a request, and the node that it goes to. */
export interface Requester {
  readonly lane: Lane
  readonly process: Process
  readonly driver: Driver
}

interface Session {
  readonly number: number
  readonly slots: Map<number, InSlot[]>
}

/** A request of a slot. The newest is the last. */
interface InSlot {
  readonly seq: number
  readonly request: Request
  readonly operations: readonly HistoryOperation[]
}

/** A request in flight. */
interface OpenRequest {
  readonly client: Lane
  /** Operations of the request in the history: none, one, or one for each command of a batch. */
  readonly ids: readonly number[]
  readonly process: Process
  /** Highest log index that any client had seen when the request began. */
  readonly floor: number
  /** Highest term that had committed an entry when the request began. */
  readonly term: number
  readonly at: number
  /** The read was granted, and its rows are being read. */
  lists: boolean
  done: boolean
  /** Called when it ends without an answer. */
  readonly unanswered: () => void
}

/** `undefined`: there was no answer. */
type AnswerCallback<T> = (answer?: T) => void

export class Clients {
  readonly #world: SimWorld
  readonly #recorder: Recorder
  readonly #bounded: boolean
  readonly #clients: Client[]
  /** Highest index seen by any client, and since when. Both numbers rise. */
  readonly #floors: { readonly at: number; readonly index: number }[] = [{ at: 0, index: 0 }]
  readonly #open = new Set<OpenRequest>()
  ok = 0
  failed = 0
  unknown = 0

  /** `bounded`: other keys than those of the history exist, and no list covers them. */
  constructor(world: SimWorld, recorder: Recorder, count: number, bounded: boolean) {
    this.#world = world
    this.#recorder = recorder
    this.#bounded = bounded
    this.#clients = Array.from({ length: count }, (_, at) => ({
      name: `c${at + 1}`,
      busy: false,
      sent: 0,
      once: undefined,
      seen: new Map(),
      revision: 0,
      session: undefined,
      lanes: Array.from({ length: LANES }, (_, lane) => ({ name: `c${at + 1}/${lane}`, busy: false })),
    }))
  }

  /** Returns whether a process was asked. */
  run(op: ScheduledOp, machine: Machine | undefined): boolean {
    const client = this.#clients[op.client % this.#clients.length]
    const process = machine?.process
    const driver = process?.driver
    if (client === undefined || process === undefined || driver === undefined) return false
    const requester = { lane: client, process, driver }
    if (op.kind === 'slot' || op.kind === 'slot-again') return this.#proposeInSession(client, requester, op)
    if (client.busy) return false
    this.#runOperation(client, requester, op)
    return true
  }

  #runOperation(client: Client, requester: Requester, op: ScheduledOp): void {
    const key = `k${op.key}`
    switch (op.kind) {
      case 'get':
        this.#readKey(client, requester, key, 'linearizable', op.x)
        return
      case 'lease':
      case 'stale':
        this.#readKey(client, requester, key, op.kind, op.x)
        return
      case 'range':
        this.#readRange(requester, op.x)
        return
      case 'again':
        if (client.once !== undefined) this.#propose(client, requester, client.once.request, [client.once.op])
        return
      case 'session':
        this.#openSession(client, requester, op.x)
        return
      case 'batch':
        this.#proposeBatch(client, requester, op)
        return
      case 'reuse':
        this.#reuseToken(client, requester, key)
        return
      default:
        this.#proposeChange(client, requester, op, key)
    }
  }

  /** A plain write, to find out whether the cluster accepts writes. */
  probe(process: Process, driver: Driver, name: string, done: (ok: boolean) => void): void {
    const command: Command = {
      kind: 'put',
      key: bytes('probe'),
      value: bytes(name),
      condition: undefined,
      prev: false,
    }
    const id = this.#recorder.invoke(name, process.name, { f: 'put', key: 'probe', value: name })
    const request: Request = { command, idempotency: undefined, principal: name }
    this.#world.invariants.requested(request)
    const requestedAt = { process, floor: this.#findFloor(this.#world.time.now) }
    proposePermitted(this.#world.time, driver, request, 2000, (result) => {
      done(result.ok)
      if (result.ok) {
        const { outcome, replayed } = result.value
        this.#checkOutcome(request, requestedAt, process.replica.applied, shown(outcome), replayed)
        this.#raiseFloor(process.replica.applied)
        if (outcome.kind === 'refused') this.#recorder.fail(id, outcome.code)
        else this.#recorder.ok(id, recordedResult(outcome, false))
      } else if (result.problem.written === 'unknown') this.#recorder.unknown(id, result.problem.code)
      else this.#recorder.fail(id, result.problem.code)
    })
  }

  // ---- changes

  #proposeChange(client: Client, requester: Requester, op: ScheduledOp, key: string): void {
    const principal = `${client.name}.${client.sent++}`
    const value = sized(principal, op.x)
    const token = op.kind === 'once' ? longOrShort(`t-${principal}`, op.x) : undefined
    const since = token !== undefined && op.x % 2 === 1 ? asRevision(Math.max(1, client.revision)) : undefined
    const idempotency = token === undefined ? undefined : { token, since }
    const command = this.#drawCommand(client, op, key, value)
    const request: Request = { command, idempotency, principal }
    const operation = recordedOperation(command, key, value, token)
    if (idempotency !== undefined && operation !== undefined) client.once = { request, op: operation }
    this.#propose(client, requester, request, operation === undefined ? [] : [operation])
  }

  /**
   * The client's token with another request, as if the client had forgotten that it used the token. The history shows
   * it as any other request, not as a repetition.
   */
  #reuseToken(client: Client, requester: Requester, key: string): void {
    const { once } = client
    if (once === undefined) return
    const principal = `${client.name}.${client.sent++}`
    const command: Command = {
      kind: 'put',
      key: bytes(key),
      value: bytes(principal),
      condition: undefined,
      prev: false,
    }
    const request: Request = { command, idempotency: once.request.idempotency, principal }
    const operation = recordedOperation(command, key, principal, undefined)
    this.#propose(client, requester, request, operation === undefined ? [] : [operation])
  }

  // ---- sessions and batches

  #openSession(client: Client, requester: Requester, x: number): void {
    const principal = `${client.name}.${client.sent++}`
    const idempotency = x % 2 === 0 ? undefined : { token: `t-${principal}`, since: undefined }
    this.#propose(client, requester, { command: { kind: 'open-session' }, idempotency, principal }, [])
  }

  /** Returns whether anything was asked. */
  #proposeInSession(client: Client, requester: Requester, op: ScheduledOp): boolean {
    const lane = client.lanes.find(({ busy }) => !busy)
    const { session } = client
    if (lane === undefined) return false
    if (session === undefined) {
      if (client.busy) return false
      this.#openSession(client, requester, op.x)
      return true
    }
    const slot = op.x % SLOTS
    const requests = session.slots.get(slot) ?? []
    session.slots.set(slot, requests)
    if (op.kind === 'slot-again') {
      // Mostly the newest. Older ones are late copies.
      const again = requests.at(op.x % 4 === 0 ? -1 - (op.x % 3) : -1)
      if (again === undefined) return false
      this.#propose(client, { ...requester, lane }, again.request, again.operations)
      return true
    }
    // A client that gives up a request continues with a higher number.
    const seq = (requests.at(-1)?.seq ?? 0) + 1 + (op.x % 5 === 0 ? op.x % 3 : 0)
    const idempotency = { session: session.number, slot, seq }
    const { request, operations } = this.#drawChanges(
      client,
      op,
      `${session.number}.${slot}.${seq}`,
      idempotency,
    )
    requests.push({ seq, request, operations })
    this.#propose(client, { ...requester, lane }, request, operations)
    return true
  }

  #proposeBatch(client: Client, requester: Requester, op: ScheduledOp): void {
    const idempotency =
      op.x % 3 === 0 ? { token: `t-${client.name}.${client.sent}`, since: undefined } : undefined
    const { request, operations } = this.#drawChanges(client, op, idempotency?.token, idempotency)
    this.#propose(client, requester, request, operations)
  }

  /** A change or a batch of changes. `token`: how the history names it. */
  #drawChanges(
    client: Client,
    op: ScheduledOp,
    token: string | undefined,
    idempotency: Idempotency | undefined,
  ): { readonly request: Request; readonly operations: readonly HistoryOperation[] } {
    const principal = `${client.name}.${client.sent++}`
    const choices = new DerivedChoices(op.x + 3)
    const count = op.kind === 'batch' ? choices.below(6) : choices.pick([1, 1, 1, 0, 2, 4])
    const commands = Array.from({ length: Math.max(count, 1) }, (_, at) => {
      // Few keys, so that a batch has several changes of one key.
      const key = `k${(op.key + choices.below(2)) % this.#world.config.keys}`
      const kind = choices.pick<ScheduledOp['kind']>(['put', 'put', 'cas', 'create', 'del'])
      const value = `${principal}.${at}`
      // x of a delete would ask for the row before.
      const drawn = this.#drawCommand(client, { ...op, kind, x: op.x - (op.x % 20) + 1 }, key, value)
      if (!('key' in drawn)) throw new Error(`a ${drawn.kind} in a batch`)
      const command = { ...drawn, prev: false as const }
      const name = token === undefined ? undefined : `${token}.${at}`
      return { command, operation: recordedOperation(command, key, value, name) }
    })
    const [first] = commands
    const command: Command =
      count === 1 && first !== undefined && op.kind !== 'batch'
        ? first.command
        : { kind: 'batch', commands: count === 0 ? [] : commands.map(({ command }) => command) }
    const operations = count === 0 ? [] : commands.flatMap(({ operation }) => operation ?? [])
    return { request: { command, idempotency, principal }, operations }
  }

  #drawCommand(client: Client, op: ScheduledOp, keyText: string, value: string): Command {
    const key = bytes(keyText)
    const put = { kind: 'put', key, value: bytes(value), prev: op.kind === 'prev' } as const
    const ifMatch = [asRevision(client.seen.get(keyText) ?? 1)]
    switch (op.kind) {
      case 'del':
        return { kind: 'delete', key, condition: undefined, prev: op.x % 4 === 0 }
      case 'cas':
        if (op.x % 5 === 0)
          return { kind: 'delete', key, condition: { ifMatch, ifNoneMatch: undefined }, prev: false }
        return { ...put, condition: { ifMatch, ifNoneMatch: undefined } }
      case 'create':
        return { ...put, condition: { ifMatch: undefined, ifNoneMatch: 'any' } }
      case 'settings': {
        return { kind: 'settings', settings: chooseSettings(op.x) }
      }
      case 'once': {
        // About half of the requests with a token have a condition too. When such a request is repeated, the condition
        // must not be tested again.
        const condition = new DerivedChoices(op.x).pick([
          undefined,
          undefined,
          { ifMatch, ifNoneMatch: undefined },
          { ifMatch: undefined, ifNoneMatch: 'any' as const },
        ])
        return op.x % 7 === 0 ? { kind: 'delete', key, condition, prev: false } : { ...put, condition }
      }
      default:
        return { ...put, condition: undefined }
    }
  }

  #propose(
    client: Client,
    requester: Requester,
    request: Request,
    operations: readonly HistoryOperation[],
  ): void {
    const world = this.#world
    const open = this.#begin(requester, operations)
    this.#proposeTo(open, requester.driver, request, ({ outcome, replayed }) => {
      if (replayed) world.probeCoverage.hit('idempotent replay')
      this.#updateSession(client, request, outcome, replayed)
      if (outcome.kind === 'precondition-failed') {
        world.probeCoverage.hit('condition failed')
        if (request.idempotency !== undefined) world.probeCoverage.hit('condition failed under a token')
      }
      const outcomes = outcome.kind === 'batch' ? outcome.outcomes : [outcome]
      for (const [at, command] of keyCommands(request.command).entries()) {
        const each = outcomes[at]
        const key = text(command.key)
        if (each?.kind === 'put') client.seen.set(key, each.modRevision)
        if (each?.kind === 'precondition-failed') client.seen.set(key, each.current?.modRevision ?? 0)
      }
      if (outcome.kind === 'refused') {
        const { code } = outcome
        if (code === 'idempotency_key_reused') world.probeCoverage.hit('token of another request refused')
        if (code === 'storage_full' || code === 'value_too_large')
          world.probeCoverage.hit('refused for its size')
        this.#endRefused(open, code)
        return
      }
      if (!replayed) client.revision = Math.max(client.revision, outcome.revision)
      const results = outcomes.map((each) =>
        each.kind === 'refused' ? each.code : recordedResult(each, replayed),
      )
      this.#endAnswered(open, ...results)
      world.triggers.met('answered', requester.process)
    })
  }

  /** `done`: it was answered, and the answer agrees with the log. */
  #proposeTo(
    open: OpenRequest,
    driver: Driver,
    request: Request,
    done: (answer: { readonly outcome: Outcome; readonly replayed: boolean }) => void,
  ): void {
    const { process } = open
    const { invariants, probeCoverage, config, time } = this.#world
    invariants.requested(request)
    proposePermitted(time, driver, request, config.timeoutMs, (result) => {
      if (!result.ok) {
        const { code, written } = result.problem
        if (written === 'unknown') {
          probeCoverage.hit('outcome unknown')
          this.#endUnknown(open, code)
          return
        }
        probeCoverage.hit('outcome refused')
        if (code === 'permission_denied') probeCoverage.hit('change without a right refused')
        if (request.idempotency === undefined) invariants.notWritten(request.principal)
        this.#endRefused(open, code)
        return
      }
      const { outcome, replayed } = result.value
      const index = process.replica.applied
      this.#checkOutcome(request, open, index, shown(outcome), replayed)
      this.#raiseFloor(index)
      done(result.value)
    })
  }

  // ---- for the clients of `store-clients.ts`, whose operations are not in the history

  /** `done`: with the outcome; without one if there was no answer, and the change may have been made. */
  propose(requester: Requester, request: Request, done: AnswerCallback<Outcome>): void {
    const open = this.#begin(requester, [], done)
    this.#proposeTo(open, requester.driver, request, ({ outcome }) => {
      this.#endAnswered(open)
      done(outcome)
      this.#world.triggers.met('answered', requester.process)
    })
  }

  /** `use`: the read is granted, and agrees with the log so far. It must end the request. */
  read(
    requester: Requester,
    options: ReadRequirements,
    use: (index: number, grant: ReadGrant, open: OpenRequest) => void,
    failed: () => void = () => {},
  ): void {
    const open = this.#begin(requester, [], failed)
    requester.driver.read(options, (result) => {
      if (!result.ok) return this.#endRefused(open, result.problem.code)
      const index = requester.process.replica.applied
      this.#checkGrant(open, options, result.value, index)
      this.#raiseFloor(index)
      use(index, result.value, open)
    })
  }

  /** Opens a request that the history does not record. */
  begin(requester: Requester): OpenRequest {
    return this.#begin(requester, [])
  }

  /** Ends a request; `why`: it was refused. */
  end(open: OpenRequest, why?: string): void {
    if (why === undefined) this.#endAnswered(open)
    else this.#endRefused(open, why)
  }

  /** The highest index that any client has seen. */
  get floor(): number {
    return this.#findFloor(this.#world.time.now)
  }

  /** Reads the rows of a range, as HTTP does. `done` is not called if they cannot be read. */
  list(
    open: OpenRequest,
    driver: Driver,
    list: List,
    revision: number | undefined,
    done: (listed: ListRows) => void,
  ): void {
    const at = revision === undefined ? undefined : asRevision(revision)
    const options = { ...scanOptions(list), revision: at }
    const { keysOnly, count, countOnly } = list.op
    const scans = unlessDamaged(() => ({
      // All scans of this moment show the same instant.
      counted: count || countOnly ? driver.listKeys(options) : undefined,
      listed: keysOnly ? driver.listMetadata(options) : driver.list(options),
    }))
    if (scans === DAMAGED) {
      this.#endRefused(open, 'internal')
      return
    }
    open.lists = true
    const failed = (error: Error): void =>
      this.#endRefused(open, error instanceof ScanEndedError ? 'overloaded' : error.message)
    const { counted, listed } = scans
    readList(listed, list, (error, found) => {
      listed.close()
      if (counted === undefined || error !== undefined) {
        counted?.close()
        return error === undefined ? done(found) : failed(error)
      }
      readList(counted, list, (uncounted, { rows }) => {
        counted.close()
        if (uncounted !== undefined) return failed(uncounted)
        if (rows.length !== found.rows.length)
          throw this.wrong(
            'READ-2',
            `${open.process.name} counts ${rows.length} keys, and lists ${found.rows.length}`,
          )
        done(found)
      })
    })
  }

  #updateSession(
    client: Client,
    { command, idempotency }: Request,
    outcome: Outcome,
    replayed: boolean,
  ): void {
    const { probeCoverage } = this.#world
    if (command.kind === 'batch') {
      const keys = command.commands.map(({ key }) => text(key))
      if (new Set(keys).size < keys.length) probeCoverage.hit('batch with several changes of one key')
    }
    if (idempotency !== undefined && 'session' in idempotency) {
      if (replayed) probeCoverage.hit('repeated in a session')
      if (outcome.kind === 'refused' && outcome.reason === 'seq-passed')
        probeCoverage.hit('late copy in a session refused')
      const isOver = outcome.kind === 'refused' && outcome.reason === 'session-expired'
      if (isOver && client.session?.number === idempotency.session) client.session = undefined
    }
    if (command.kind === 'open-session' && outcome.kind === 'session')
      client.session = { number: outcome.session, slots: new Map() }
  }

  /** The answer must match the log, and must come after all operations that had ended when this one began. */
  #checkOutcome(
    request: Request,
    open: Pick<OpenRequest, 'process' | 'floor'>,
    index: number,
    outcome: string,
    replayed: boolean,
  ): void {
    const { invariants } = this.#world
    const effect = invariants.committed[index]?.effect
    const { principal } = request
    const name = open.process.name
    if (effect?.principal !== principal)
      throw this.wrong(
        'ANSWER-3',
        `${name} answers ${principal} at ${index}, where the log has ${effect?.principal ?? 'nothing'}`,
      )
    if (effect.outcome !== outcome || effect.replayed !== replayed)
      throw this.wrong(
        'ANSWER-4',
        `${name} answers ${principal} with "${outcome}"${replayed ? ' (replayed)' : ''}, the log says "${effect.outcome}"${effect.replayed ? ' (replayed)' : ''}`,
      )
    if (index <= open.floor)
      throw this.wrong(
        'ANSWER-5',
        `${principal} began when ${open.floor} was known to be committed, and is at ${index}`,
      )
  }

  // ---- reads

  #readKey(client: Client, requester: Requester, key: string, consistency: ReadConsistency, x: number): void {
    const { process, driver } = requester
    const { config } = this.#world
    const options: ReadRequirements = {
      consistency,
      maxStalenessMs: consistency === 'stale' && x % 3 === 1 ? config.electionMaxMs : undefined,
      minRevision: x % 4 === 2 ? asRevision(client.revision) : undefined,
      timeoutMs: config.timeoutMs,
    }
    const operation: HistoryOperation = { f: 'get', key, ...requirementsText(options) }
    const open = this.#begin(requester, [operation])
    driver.read(options, (result) => {
      if (!result.ok) {
        if (result.problem.code === 'too_stale') this.#world.probeCoverage.hit('stale read refused')
        this.#endRefused(open, result.problem.code)
        return
      }
      const index = process.replica.applied
      this.#checkGrant(open, options, result.value, index)
      this.#raiseFloor(index)
      // The age at this moment: the clock may jump while rows are read.
      const served = this.#recordedAge(open, result.value)
      const scan = unlessDamaged(() =>
        driver.get(bytes(key), (error, stored) => {
          const row = stored ?? null
          if (error !== undefined)
            return this.#endRefused(open, error instanceof ScanEndedError ? 'overloaded' : error.message)
          const found = row === null ? null : { ...row, value: text(row.value) }
          this.#compareRow(process, key, index, found)
          if (row !== null) client.seen.set(key, row.modRevision)
          client.revision = Math.max(client.revision, result.value.revision)
          this.#endAnswered(open, {
            value: found?.value ?? null,
            ...(found === null ? {} : { modRevision: found.modRevision, version: found.version }),
            revision: result.value.revision,
            ...served,
          })
        }),
      )
      if (scan === DAMAGED) this.#endRefused(open, 'internal')
    })
  }

  #readRange(requester: Requester, x: number): void {
    const { process, driver } = requester
    const { config } = this.#world
    const options: ReadRequirements = {
      consistency: x % 4 === 0 ? 'stale' : x % 4 === 1 ? 'lease' : 'linearizable',
      maxStalenessMs: undefined,
      minRevision: undefined,
      timeoutMs: config.timeoutMs,
    }
    const list = drawList(new DerivedChoices(x), config.keys, this.#bounded)
    const open = this.#begin(requester, [{ ...list.op, ...requirementsText(options) }])
    driver.read(options, (result) => {
      if (!result.ok) return this.#endRefused(open, result.problem.code)
      const index = process.replica.applied
      this.#checkGrant(open, options, result.value, index)
      this.#raiseFloor(index)
      // The age at this moment: the clock may jump while the rows are read.
      const served = this.#recordedAge(open, result.value)
      this.list(open, driver, list, undefined, (listed) => {
        if (listed.rows.length > list.rowsMax) this.#world.probeCoverage.hit('list of several slices')
        this.#compareList(process, list.op, index, listed)
        this.#endAnswered(open, {
          ...seenInList(list.op, listed),
          revision: result.value.revision,
          ...served,
        })
      })
    })
  }

  /** Compares with the rows that existed according to the log, in the order asked for. */
  #compareList(process: Process, op: RecordedRange, index: number, { rows, more }: ListRows): void {
    const { prefix = '', start = '', end, order, limit } = op
    const expected = this.#world.invariants.model
      .keysAt(index)
      .filter((key) => key.startsWith(prefix) && key >= start && (end === undefined || key < end))
    if (order === 'desc') expected.reverse()
    const shown = expected.slice(0, limit)
    const found = rows.map(({ key }) => text(key))
    if (found.join() !== shown.join() || more !== expected.length > shown.length)
      throw this.wrong(
        'READ-2',
        `${process.name} lists ${found.join()}${more ? ' and more' : ''} at ${index}, the log says ${expected.join()}`,
      )
    for (const row of rows) {
      const key = text(row.key)
      const value = op.keysOnly ? this.#world.invariants.model.at(key, index)?.value : text(row.value)
      this.#compareRow(process, key, index, { ...row, value: value ?? '' })
    }
  }

  /** Checks that the state that is read is as new as promised. */
  #checkGrant(open: OpenRequest, options: ReadRequirements, grant: ReadGrant, index: number): void {
    const { probeCoverage, time, invariants } = this.#world
    const { process } = open
    const { name } = process
    if (options.consistency !== 'stale' && index < open.floor)
      throw this.wrong(
        grant.served === 'lease' ? 'READ-4' : 'READ-1',
        `${name} serves a ${grant.served} read at ${index}, when it began ${open.floor} was known to be committed`,
        open.ids[0] === undefined ? undefined : { id: open.ids[0], index, floor: open.floor },
      )
    if (grant.served === 'lease')
      probeCoverage.hit(process.role === 'leader' ? 'lease read served' : 'lease read served by a follower')
    if (grant.revision < (options.minRevision ?? 0))
      throw this.wrong(
        'READ-5',
        `${name} serves revision ${grant.revision}, requested ${options.minRevision}`,
      )
    if (grant.revision !== invariants.model.revisionAt(index))
      throw this.wrong(
        'READ-6',
        `${name} says revision ${grant.revision} at ${index}, the log says ${invariants.model.revisionAt(index)}`,
      )
    if (options.minRevision !== undefined && open.floor > index)
      probeCoverage.hit('read waited for a revision')
    if (options.consistency !== 'stale') return
    if (grant.stalenessMs === undefined) {
      if (options.maxStalenessMs === undefined) return
      throw this.wrong(
        'READ-3',
        `${name} serves a state of unknown age, requested ${options.maxStalenessMs} ms at most`,
      )
    }
    probeCoverage.hit('stale read with a proven bound')
    const { clock } = process.machine
    const since = clock.trueTime(clock.at(time.now) - grant.stalenessMs)
    const floor = this.#findFloor(since - ROUNDING_MS)
    if (index < floor)
      throw this.wrong(
        'READ-3',
        `${name} reads at ${index} and says it is at most ${grant.stalenessMs} ms old; ${floor} was known before that`,
      )
    if (options.maxStalenessMs !== undefined && grant.stalenessMs > options.maxStalenessMs)
      throw this.wrong(
        'READ-3',
        `${name} serves a state ${grant.stalenessMs} ms old, requested ${options.maxStalenessMs}`,
      )
  }

  /** The age of a read in true ms, for the history: a node reports it in ms of its own clock. */
  #recordedAge({ process }: OpenRequest, { served, stalenessMs }: ReadGrant) {
    if (stalenessMs === undefined) return { served }
    const { now } = this.#world.time
    const { clock } = process.machine
    return { served, stalenessMs: now - clock.trueTime(clock.at(now) - stalenessMs) + ROUNDING_MS }
  }

  #compareRow(process: Process, key: string, index: number, found: ModelRow | null): void {
    const expected = this.#world.invariants.model.at(key, index)
    if (!isSameRow(found, expected))
      throw this.wrong(
        'READ-2',
        `${process.name} reads ${JSON.stringify(found)} from ${key} at ${index}, the log says ${JSON.stringify(expected)}`,
      )
  }

  /** Compares every key that ever existed, and the node's counts, with the log. `done`: all have been read. */
  final(process: Process, driver: Driver, done: () => void): void {
    const index = process.replica.applied
    this.#compareCounts(process)
    const { keys } = this.#world.invariants.model
    const rows: { key: string; value: string; modRevision: number }[] = []
    const next = (at: number): void => {
      const key = keys[at]
      if (key === undefined) {
        this.#recorder.final(process.name, driver.revision, process.replica.stateHash.toString(16), rows)
        done()
        return
      }
      driver.get(bytes(key), (error, stored) => {
        const row = stored ?? null
        if (error !== undefined) throw error
        const found = row === null ? null : { ...row, value: text(row.value) }
        this.#compareRow(process, key, index, found)
        if (found !== null && isInHistory(key))
          rows.push({ key, value: found.value, modRevision: found.modRevision })
        next(at + 1)
      })
    }
    next(0)
  }

  /** Counts that limits are compared with. A count that is never reduced again causes refusals much later. */
  #compareCounts({ name, storage }: Process): void {
    const { model } = this.#world.invariants
    if (storage === undefined || storage.applied.index !== model.index) return
    const state = decodeState(storage.applied.kv)
    const { revision, settings, storeBytes, keys, idempotencyTokens: tokens, history, leases } = state
    const { horizon, next, toSweep, bytes: slotBytes } = state.clientSessions
    const held = {
      revision,
      settings,
      storeBytes,
      keys,
      tokens: tokens.count,
      tokenBytes: tokens.bytes,
      sessions: [horizon, next, toSweep],
      slotBytes,
      history,
      leases: leases.count,
    }
    const { counts } = model
    if (JSON.stringify(held) !== JSON.stringify(counts))
      throw this.wrong(
        'KV-5',
        `${name} counts ${JSON.stringify(held)}, the log says ${JSON.stringify(counts)}`,
      )
  }

  // ---- the history

  #begin(
    { lane: client, process }: Requester,
    operations: readonly HistoryOperation[],
    unanswered: () => void = () => {},
  ): OpenRequest {
    client.busy = true
    this.#world.say(process, { kind: 'request', client: client.name, operations })
    const ids = operations.map((operation, at) =>
      this.#recorder.invoke(at === 0 ? client.name : `${client.name}+${at}`, process.name, operation),
    )
    const floor = this.#findFloor(this.#world.time.now)
    const term = this.#world.invariants.commitSteps.at(-1)?.term ?? 0
    const { time, config } = this.#world
    const open: OpenRequest = {
      client,
      ids,
      process,
      floor,
      term,
      at: time.now,
      lists: false,
      done: false,
      unanswered,
    }
    this.#open.add(open)
    time.push(time.now + 2 * config.timeoutMs, IO, undefined, () => this.#giveUp(open))
    return open
  }

  /**
   * A stopped process does not answer, and a slow disk may delay a list. Otherwise a node must answer within the
   * timeout, one that was busy so long after it could continue.
   */
  #giveUp(open: OpenRequest): void {
    const { process, at, lists, done } = open
    const { time, config } = this.#world
    const patientUntil = process.busyUntil > at ? process.busyUntil + 2 * config.timeoutMs : time.now
    if (!done && process.serving !== undefined && patientUntil > time.now) {
      time.push(patientUntil, IO, undefined, () => this.#giveUp(open))
      return
    }
    if (!done && !lists && process.serving !== undefined && process.resumedAt < at)
      this.wrong(
        'LIVE-8',
        `${process.name} has not answered ${open.client.name} in twice the time that it was given`,
      )
    this.#endUnknown(open, 'no answer')
  }

  /** The process is gone, and will not answer its open requests. */
  gone(process: Process): void {
    for (const open of [...this.#open]) if (open.process === process) this.#endUnknown(open, 'the node died')
  }

  #end(open: OpenRequest): boolean {
    if (open.done) return false
    open.done = true
    open.client.busy = false
    this.#open.delete(open)
    return true
  }

  /** One result for each of its operations; a string: why this one was refused. */
  #endAnswered(open: OpenRequest, ...results: readonly (Seen | string)[]): void {
    if (!this.#end(open)) return
    this.ok++
    this.#world.say(open.process, { kind: 'answer', client: open.client.name, results })
    for (const [at, id] of open.ids.entries()) {
      const result = results[at]
      if (typeof result === 'string') this.#recorder.fail(id, result)
      else if (result !== undefined) this.#recorder.ok(id, result)
    }
  }

  #endRefused(open: OpenRequest, why: string): void {
    if (!this.#end(open)) return
    this.failed++
    this.#world.say(open.process, { kind: 'refusal', client: open.client.name, why })
    for (const id of open.ids) this.#recorder.fail(id, why)
    open.unanswered()
  }

  #endUnknown(open: OpenRequest, why: string): void {
    if (!this.#end(open)) return
    this.unknown++
    this.#world.say(open.process, { kind: 'unknown-outcome', client: open.client.name, why })
    for (const id of open.ids) this.#recorder.unknown(id, why)
    open.unanswered()
  }

  #raiseFloor(index: number): void {
    const last = this.#floors.at(-1)
    if (last === undefined || index > last.index) this.#floors.push({ at: this.#world.time.now, index })
  }

  /** The highest index that any client had seen by this time. */
  #findFloor(time: number): number {
    return this.#floors.findLast(({ at }) => at <= time)?.index ?? 0
  }

  wrong(invariant: string, detail: string, read?: BrokenRead): RuleViolation {
    const violation = new RuleViolation(invariant, detail, read)
    this.#world.invariants.violation ??= violation
    return violation
  }
}

export const isSameRow = (found: ModelRow | null, expected: ModelRow | null): boolean =>
  found === null || expected === null
    ? found === expected
    : found.value === expected.value &&
      found.modRevision === expected.modRevision &&
      found.createRevision === expected.createRevision &&
      found.version === expected.version &&
      found.lease === expected.lease

/** One of the limits, either so small that a few keys reach it, or its initial value. */
function chooseSettings(x: number): Partial<KvSettings> {
  switch (x % 7) {
    case 0:
    case 1:
      return { idempotencyTokensMax: 1 + (x % 20) }
    case 2:
      return { idempotencyAgeMsMax: 1000 + (x % 60) * 1000 }
    case 3:
      return {
        storeBytesMax: x % 4 === 0 ? DEFAULT_SETTINGS.storeBytesMax : 10 + (x % 97) * (1 + (x % 3) * 10),
      }
    case 4:
      return { idempotencyBytesMax: SETTING_LIMITS.idempotencyBytesMax.min * (x % 4 === 0 ? 4 : 1) }
    case 5:
      return { keyBytesMax: x % 2 === 0 ? 1 + (x % 4) : DEFAULT_SETTINGS.keyBytesMax }
    default:
      return {
        valueBytesMax: x % 4 === 0 ? DEFAULT_SETTINGS.valueBytesMax : 4 + (x % 11) * (1 + (x % 3) * 6),
      }
  }
}

/** A slice of a list holds many small values, but not two large ones. */
function sized(name: string, x: number): string {
  const size = new DerivedChoices(x + 1).pick([0, 0, 0, 15, 40, 130, 300, 300])
  return name.padEnd(size, '~')
}

/** A few long tokens already reach the smallest `idempotencyBytesMax`. */
const longOrShort = (token: string, x: number): string =>
  token.padEnd(new DerivedChoices(x + 2).pick([0, 250]), '~')

function seenInList({ keysOnly, count, countOnly, limit }: RecordedRange, { rows, more }: ListRows): Seen {
  const last = rows.at(-1)
  const listed = countOnly ? [] : rows
  return {
    rows: listed.map(({ key, value, modRevision, version }) => ({
      key: text(key),
      ...(keysOnly ? {} : { value: text(value) }),
      modRevision,
      version,
    })),
    ...(count || countOnly ? { count: rows.length } : {}),
    ...(limit !== undefined && more && last !== undefined ? { more, next: text(last.key) } : { more: false }),
  }
}

/** Other keys are those of `store-clients.ts`. */
const isInHistory = (key: string): boolean => key >= LISTED_FROM

/** Without the bound on age: that is in ms of the node's clock, and was checked before. */
const requirementsText = ({ consistency, minRevision }: ReadRequirements) => ({
  consistency,
  ...(minRevision === undefined ? {} : { minRevision }),
})

const keyCommands = (command: Command): readonly KeyCommand[] =>
  command.kind === 'batch' ? command.commands : 'key' in command ? [command] : []

function recordedOperation(
  command: Command,
  key: string,
  value: string,
  token: string | undefined,
): HistoryOperation | undefined {
  if (!('key' in command)) return undefined
  const { condition } = command
  const tags = condition?.ifMatch
  const conditions = {
    ...(tags === undefined || tags === 'any' ? {} : { ifRevision: tags[0] ?? 0 }),
    ...(condition?.ifNoneMatch === undefined ? {} : { ifAbsent: true as const }),
    ...(token === undefined ? {} : { idempotency: token }),
  }
  return command.kind === 'put' ? { f: 'put', key, value, ...conditions } : { f: 'del', key, ...conditions }
}

function recordedResult(outcome: Parameters<typeof shown>[0], replayed: boolean): Seen {
  const again = replayed ? { replayed: true } : {}
  switch (outcome.kind) {
    case 'put':
      return {
        revision: outcome.revision,
        modRevision: outcome.modRevision,
        version: outcome.version,
        ...again,
      }
    case 'delete':
      return { revision: outcome.revision, deleted: outcome.deleted, ...again }
    case 'precondition-failed':
      return {
        revision: outcome.revision,
        applied: false,
        current: outcome.current?.modRevision ?? null,
        ...again,
      }
    case 'settings':
    case 'session':
    case 'batch':
    case 'compacted':
    case 'revision-raised':
    case 'delete-range':
    case 'txn':
    case 'granted':
    case 'renewed':
    case 'revoked':
    case 'expired':
    case 'auth':
    case 'refused':
      return { revision: outcome.revision, applied: false, ...again }
  }
}
