// Coalesces the plain changes of this node, from all transports. It is the first of the two stages of a node that
// batch; the other one is group commit.
//
// Plain changes of single keys that arrive together become one entry, a batch. An entry costs each node many times as
// much as a change in it. A change is plain if it cannot be repeated: it has no token and no session. The proposer
// asks that once (`isPlain`), and no other request comes here. The client library gives each change an id, and so
// coalesces its changes itself: they arrive as one batch. A batch applies each of its changes with its own condition,
// revision and outcome, as if it were alone. Puts and deletes are not mixed, since a node whose disk is nearly full
// still accepts deletes.

import type { Span } from '@opentelemetry/api'
import type { Command, Request } from '../../../kv/index.ts'
import { BATCH_COMMANDS_MAX } from '../../../operations/batch.ts'
import type { BatchedCommand } from '../../../operations/index.ts'
import type { MonotonicMs } from '../../../raft/index.ts'
import type { Clock } from '../clock.ts'
import type { CommandResult, Problem } from '../result.ts'

type ProposeCallback = (result: CommandResult) => void
/** `count`: the number of callers that wait for this request. `span`: of the first recorded one. */
type Propose = (
  request: Request,
  timeoutMs: number,
  count: number,
  done: ProposeCallback,
  span: Span | undefined,
) => void

/** Limit on the bytes of keys and values in one entry. No entry makes others wait for long. */
const BYTES_MAX = 128 * 1024
/**
 * Changes share an entry if their deadlines differ by at most this, and by at most this share of the time that is left.
 * The entry has the first of their deadlines, so a caller is answered too early by this at most.
 */
const TIMEOUTS_APART_MS = 100
const TIMEOUTS_APART_SHARE = 0.02

/** A change that may share an entry with others. */
type PlainChange = Request & { readonly command: BatchedCommand }

interface Group {
  readonly principal: string
  readonly madeAt: number | undefined
  readonly authRevision: number | undefined
  readonly commands: BatchedCommand[]
  readonly callers: ProposeCallback[]
  /** The entry belongs to the trace of the first recorded change. */
  span: Span | undefined
  bytes: number
  /** The first deadline of its callers. */
  deadline: MonotonicMs
  /** The last deadline of its callers. */
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

  /** Number of changes that are not proposed yet. */
  get size(): number {
    return this.#group?.commands.length ?? 0
  }

  /** Bytes of their keys and values. */
  get bytes(): number {
    return this.#group?.bytes ?? 0
  }

  /** Keeps the change until `flush`. Proposes those before it that it cannot share an entry with. */
  add(change: PlainChange, timeoutMs: number, done: ProposeCallback, span?: Span): void {
    const { command, principal, authRevision, madeAt } = change
    const bytes = commandSize(command)
    const deadline = this.#clock.now() + timeoutMs
    const apartMs = Math.min(TIMEOUTS_APART_MS, TIMEOUTS_APART_SHARE * timeoutMs)
    const full = this.#hasRoom(change, bytes, deadline, apartMs) ? undefined : this.#take()
    this.#group ??= {
      principal,
      authRevision,
      madeAt,
      commands: [],
      callers: [],
      span: undefined,
      bytes: 0,
      deadline,
      lastDeadline: deadline,
    }
    const group = this.#group
    group.commands.push(command)
    group.callers.push(done)
    if (span !== undefined && group.span !== undefined) span.addLink({ context: group.span.spanContext() })
    else if (span !== undefined) group.span = span
    group.bytes += bytes
    if (deadline < group.deadline) group.deadline = deadline
    else if (deadline > group.lastDeadline) group.lastDeadline = deadline
    // Last, because a caller whose time is over may send another change at once.
    if (full !== undefined) this.#proposeGroup(full)
  }

  /** Proposes the waiting changes. */
  flush(): void {
    const group = this.#take()
    if (group !== undefined) this.#proposeGroup(group)
  }

  #take(): Group | undefined {
    const group = this.#group
    this.#group = undefined
    return group
  }

  /** On a busy node, the time of the callers may be over. */
  #proposeGroup(group: Group): void {
    const { principal, authRevision, madeAt, commands, callers, span, deadline } = group
    const origin = { idempotency: undefined, principal, authRevision, madeAt }
    const timeoutMs = deadline - this.#clock.now()
    if (timeoutMs <= 0) {
      refuseAll(callers, TOO_LATE)
      return
    }
    const [command] = commands
    const [done] = callers
    if (command !== undefined && done !== undefined && commands.length === 1) {
      this.#propose({ command, ...origin }, timeoutMs, 1, done, span)
      return
    }
    const batch: Request = { command: { kind: 'batch', commands }, ...origin }
    const settle = (result: CommandResult): void => {
      for (const [at, caller] of callers.entries()) caller(resultAt(result, at))
    }
    this.#propose(batch, timeoutMs, commands.length, settle, span)
  }

  /** Refuses the waiting changes: none of them was written. */
  endAll(problem: Problem): void {
    refuseAll(this.#take()?.callers ?? [], problem)
  }

  #hasRoom(
    { command, principal, authRevision }: PlainChange,
    bytes: number,
    deadline: MonotonicMs,
    apartMs: number,
  ): boolean {
    const group = this.#group
    if (group === undefined) return true
    return (
      group.principal === principal &&
      group.authRevision === authRevision &&
      group.commands[0]?.kind === command.kind &&
      group.commands.length < BATCH_COMMANDS_MAX &&
      group.bytes + bytes <= BYTES_MAX &&
      deadline - group.deadline <= apartMs &&
      group.lastDeadline - deadline <= apartMs
    )
  }
}

function refuseAll(callers: readonly ProposeCallback[], problem: Problem): void {
  for (const caller of callers) caller({ ok: false, problem })
}

const TOO_LATE: Problem = {
  code: 'overloaded',
  detail: 'the node was busy until the time ran out; nothing was written',
  written: 'no',
}

/** Whether the request is a change that may share an entry with others. */
export const isPlain = (request: Request): request is PlainChange =>
  request.idempotency === undefined && isBatched(request.command)

const isBatched = (command: Command): command is BatchedCommand =>
  (command.kind === 'put' || command.kind === 'delete') &&
  !command.prev &&
  (command.kind === 'delete' || isOfOwnParts(command)) &&
  commandSize(command) <= BYTES_MAX

/** Whether the put needs neither a lease nor anything that its key has. */
const isOfOwnParts = ({ lease, keepsValue, keepsLease }: Extract<Command, { kind: 'put' }>): boolean =>
  lease === undefined && !keepsValue && !keepsLease

const commandSize = (command: Extract<Command, { kind: 'put' | 'delete' }>): number =>
  command.key.length + (command.kind === 'put' ? command.value.length : 0)

/** Returns the result of one change in the batch. */
function resultAt(result: CommandResult, at: number): CommandResult {
  if (!result.ok || result.value.outcome.kind !== 'batch') return result
  const outcome = result.value.outcome.outcomes[at]
  if (outcome === undefined) throw new Error(`a batch has no outcome of its change ${at}`)
  return { ok: true, value: { ...result.value, outcome } }
}
