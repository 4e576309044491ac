// Plain changes of single keys that arrive together become one entry, a batch. An entry costs each node many times what
// a change in it costs. The client library gathers its own changes in the same way; this is for clients that send one
// request for each, over HTTP for example.
//
// A change is plain if nobody can ask for it again: it has no token and no session. A batch applies each of its changes
// with its own condition, revision and outcome, as if it were alone. Puts and deletes are not mixed, since a node whose
// disk is nearly full still takes deletes.

import { BATCH_COMMANDS_MAX, type BatchedCommand, type Command, type Request } from '../../kv/index.ts'
import type { MonotonicMs } from '../../raft/index.ts'
import type { Clock, NodeApi, Problem } from './types.ts'

type Done = Parameters<NodeApi['propose']>[2]
type Proposed = Parameters<Done>[0]
/** `count`: the callers that wait for this request. */
type Propose = (request: Request, timeoutMs: number, count: number, done: Done) => void

/** Of the keys and values in one entry, so that no entry keeps others waiting for long. */
const BYTES_MAX = 128 * 1024
/** Changes whose time runs out at about the same time share an entry; each is answered at most so much too early. */
const TIMEOUTS_APART_MS = 100

interface Group {
  readonly principal: string
  readonly commands: BatchedCommand[]
  readonly callers: Done[]
  bytes: number
  /** The first and the last one of its callers. */
  deadline: MonotonicMs
  lastDeadline: MonotonicMs
}

export class WriteCoalescer {
  readonly #clock: Pick<Clock, 'now'>
  readonly #propose: Propose
  #group: Group | undefined

  constructor(clock: Pick<Clock, 'now'>, propose: Propose) {
    this.#clock = clock
    this.#propose = propose
  }

  /** Changes that are not proposed yet. */
  get size(): number {
    return this.#group?.commands.length ?? 0
  }

  /** Of their keys and values. */
  get bytes(): number {
    return this.#group?.bytes ?? 0
  }

  /** Keeps the change until `flush`, or proposes it with all before it, in their order. */
  add(request: Request, timeoutMs: number, done: Done): void {
    const command = plainOf(request)
    if (command === undefined) {
      this.flush()
      this.#propose(request, timeoutMs, 1, done)
      return
    }
    const { principal } = request
    const bytes = bytesOf(command)
    const deadline = this.#clock.now() + timeoutMs
    const full = this.#hasRoom(principal, command, bytes, deadline) ? undefined : this.#take()
    this.#group ??= { principal, commands: [], callers: [], bytes: 0, deadline, lastDeadline: deadline }
    const group = this.#group
    group.commands.push(command)
    group.callers.push(done)
    group.bytes += bytes
    if (deadline < group.deadline) group.deadline = deadline
    else if (deadline > group.lastDeadline) group.lastDeadline = deadline
    // At the end: who is told that it came too late may ask for something else at once.
    this.#proposeGroup(full)
  }

  /** Proposes what was gathered. */
  flush(): void {
    this.#proposeGroup(this.#take())
  }

  #take(): Group | undefined {
    const group = this.#group
    this.#group = undefined
    return group
  }

  /** A busy node may come to that when the time of the callers is over. */
  #proposeGroup(group: Group | undefined): void {
    if (group === undefined) return
    const { principal, commands, callers, deadline } = group
    const timeoutMs = deadline - this.#clock.now()
    if (timeoutMs <= 0) {
      tellAll(callers, tooLate)
      return
    }
    const [command] = commands
    const [done] = callers
    if (command !== undefined && done !== undefined && commands.length === 1) {
      this.#propose({ command, idempotency: undefined, principal }, timeoutMs, 1, done)
      return
    }
    const batch: Request = { command: { kind: 'batch', commands }, idempotency: undefined, principal }
    this.#propose(batch, timeoutMs, commands.length, (result) => {
      for (const [at, caller] of callers.entries()) caller(resultOf(result, at))
    })
  }

  /** Nothing of what was gathered was written. */
  endAll(problem: Problem): void {
    tellAll(this.#take()?.callers ?? [], problem)
  }

  #hasRoom(principal: string, { kind }: BatchedCommand, bytes: number, deadline: MonotonicMs): boolean {
    const group = this.#group
    if (group === undefined) return true
    return (
      group.principal === principal &&
      group.commands[0]?.kind === kind &&
      group.commands.length < BATCH_COMMANDS_MAX &&
      group.bytes + bytes <= BYTES_MAX &&
      deadline - group.deadline <= TIMEOUTS_APART_MS &&
      group.lastDeadline - deadline <= TIMEOUTS_APART_MS
    )
  }
}

function tellAll(callers: readonly Done[], problem: Problem): void {
  for (const caller of callers) caller({ ok: false, problem })
}

const tooLate: Problem = {
  code: 'overloaded',
  detail: 'the node was busy until the time ran out; nothing was written',
  written: 'no',
}

/** The command, if it may be in a batch of this node. */
function plainOf({ command, idempotency }: Request): BatchedCommand | undefined {
  if (idempotency !== undefined) return undefined
  if (!isBatched(command) || bytesOf(command) > BYTES_MAX) return undefined
  return command.kind === 'put' && command.lease !== undefined ? undefined : command
}

const isBatched = (command: Command): command is BatchedCommand =>
  (command.kind === 'put' || command.kind === 'delete') && !command.prev

const bytesOf = (command: BatchedCommand): number =>
  command.key.length + (command.kind === 'put' ? command.value.length : 0)

/** Of one change in the batch. */
function resultOf(result: Proposed, at: number): Proposed {
  if (!result.ok || result.value.outcome.kind !== 'batch') return result
  const outcome = result.value.outcome.outcomes[at]
  if (outcome === undefined) throw new Error(`a batch has no outcome of its change ${at}`)
  return { ok: true, value: { ...result.value, outcome } }
}
