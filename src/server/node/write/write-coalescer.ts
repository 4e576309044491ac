// Coalesces the plain changes of this node, from all transports. It is the first of the two stages of a node that
// batch; the other one is group commit.
//
// Plain changes of single keys that arrive together become one entry, a batch. An entry costs each node many times as
// much as a change in it. A change is plain if it cannot be repeated: it has no token and no session. The proposer
// asks that once (`isPlain`), and no other request comes here. The client library gives each change an id, and so
// coalesces its changes itself: they arrive as one batch. A batch applies each of its changes with its own condition,
// revision and outcome, as if it were alone. Puts and deletes are not mixed, since a node whose disk is nearly full
// still accepts deletes.
//
// Changes wait for others that will share their entry and its fsync. Clients whose writes were committed together
// receive their outcomes together, and write again together. If their first few writes were proposed at once, the
// disks and the network would get a small batch, and then a second one with all others. So changes wait until as many
// have arrived as were pending lately, but no longer than two writes take. In that time the batch that they have just
// missed is committed, and its clients write again. With 64 clients this saves a sixth of the CPU time of a write, and
// the latency of every client is lower. A few clients never wait. PostgreSQL's commit_delay with commit_siblings does
// the same.

import type { Span } from '@opentelemetry/api'
import type { Command, Request } from '../../../kv/index.ts'
import { BATCH_COMMANDS_MAX } from '../../../operations/batch.ts'
import type { BatchedCommand } from '../../../operations/index.ts'
import type { MonotonicMs } from '../../../raft/index.ts'
import type { Clock } from '../clock.ts'
import type { DriverLimits } from '../limits.ts'
import type { CommandResult, Problem } from '../result.ts'

type ProposeCallback = (result: CommandResult) => void
type Proposed = Parameters<ProposeCallback>[0]
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

/** The share of the recent number of changes that is awaited. The last few may not come. */
const SHARE_AWAITED = 0.9
/** The delay is at most as long as this many writes take. */
const WRITES_MAX = 2
/** Each batch multiplies the awaited number by this, because clients may have left. */
const CROWD_DECAY = 0.95
/** A proposal without a result after this long is not used to measure the duration of a write. */
const MEASURE_MS_MAX = 1_000

/** A change that may share an entry with others. */
export type PlainChange = Request & { readonly command: BatchedCommand }

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
  readonly #limits: Pick<DriverLimits, 'batchDelayFrom' | 'batchDelayMsMax'>
  readonly #propose: Propose
  #group: Group | undefined
  /** The largest number of changes that were pending together lately. */
  #crowd = 0
  /** When the current delay began. */
  #delayedSince: MonotonicMs | undefined
  /** The duration of a recent write. */
  #writeMs = 0
  /** The proposal whose duration is being measured. */
  #measured: { readonly seq: number; readonly at: MonotonicMs } | undefined

  constructor(
    clock: Pick<Clock, 'now'>,
    limits: Pick<DriverLimits, 'batchDelayFrom' | 'batchDelayMsMax'>,
    propose: Propose,
  ) {
    this.#clock = clock
    this.#limits = limits
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

  /**
   * Milliseconds to wait for more changes; 0: propose now. `queued`: the changes that are not proposed yet, `pending`:
   * all changes without a result.
   */
  delayMs(queued: number, pending: number): number {
    const now = this.#clock.now()
    const { batchDelayFrom, batchDelayMsMax } = this.#limits
    this.#crowd = Math.max(this.#crowd, pending)
    if (this.#crowd >= batchDelayFrom && queued < SHARE_AWAITED * this.#crowd) {
      this.#delayedSince ??= now
      const leftMs = Math.min(batchDelayMsMax, WRITES_MAX * this.#writeMs) - (now - this.#delayedSince)
      if (leftMs > 0) return leftMs
    }
    this.#delayedSince = undefined
    this.#crowd = Math.max(pending, this.#crowd * CROWD_DECAY)
    return 0
  }

  /** Records that a batch of proposals was handed to the core. `seq`: its first proposal. */
  proposed(seq: number): void {
    const now = this.#clock.now()
    if (this.#measured === undefined || now - this.#measured.at > MEASURE_MS_MAX)
      this.#measured = { seq, at: now }
  }

  /** Records that a proposal has its result. */
  ended(seq: number): void {
    if (this.#measured?.seq !== seq) return
    this.#writeMs = this.#clock.now() - this.#measured.at
    this.#measured = undefined
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
    const settle = (result: Proposed): void => {
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
  (command.kind === 'delete' || command.lease === undefined) &&
  commandSize(command) <= BYTES_MAX

const commandSize = (command: Extract<Command, { kind: 'put' | 'delete' }>): number =>
  command.key.length + (command.kind === 'put' ? command.value.length : 0)

/** Returns the result of one change in the batch. */
function resultAt(result: Proposed, at: number): Proposed {
  if (!result.ok || result.value.outcome.kind !== 'batch') return result
  const outcome = result.value.outcome.outcomes[at]
  if (outcome === undefined) throw new Error(`a batch has no outcome of its change ${at}`)
  return { ok: true, value: { ...result.value, outcome } }
}
