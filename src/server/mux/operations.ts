// What each operation asks of the node, and its answer. Refusals come from the same code as those of HTTP.

import type { Idempotency, KeyRow, Outcome, OutcomeOfKey, Request, Revision } from '../../kv/index.ts'
import { keyAfter, SESSION_SLOTS_MAX } from '../../kv/index.ts'
import { onlyReads } from '../../kv/txn.ts'
import type { Txn } from '../../kv/types.ts'
import { withCount } from '../http/delete-range.ts'
import type { HttpLimits } from '../http/limits.ts'
import { answerWithinMs } from '../http/parameters.ts'
import { ApiError, problemDocument, refusedByNode } from '../http/problem.ts'
import { acceptedOf, prevWithToken, refusalOf, unexpected } from '../http/propose.ts'
import {
  countRows,
  type RangeReader,
  type Reading,
  readFirst,
  readPage,
  refusedIfEnded,
} from '../http/range-reading.ts'
import { checkRevision, readOptions } from '../http/read-options.ts'
import type { OutboundBudget } from '../http/response-budget.ts'
import { acceptedTxn, answerBytes, evaluate, wantsPrev } from '../http/txn.ts'
import type { NodeApi, ReadGrant, Result } from '../node/types.ts'
import {
  checkLength,
  invalid,
  readAsOf,
  readChanges,
  readConditions,
  readDeleteRange,
  readFreshness,
  readIdentity,
  readKey,
  readLeases,
  readPutOptions,
  readRange,
  readTimeout,
  readValue,
} from './fields.ts'
import type { Item } from './messages.ts'
import { type Operation, OUTCOME_BYTES, OUTCOME_PROBLEM_BYTES, RECORD_BYTES } from './operation.ts'
import {
  CHANGES,
  COMPACT,
  DELETE,
  DELETE_RANGE,
  GET,
  KEEP_ALIVE,
  OPEN_SESSION,
  PUT,
  RANGE,
  SUCCESS,
  TXN,
  WATCH,
} from './protocol.ts'
import { record, type WireRecord } from './record.ts'
import { checkNoRead, readTxn, txnAnswer } from './txn.ts'
import { watch } from './watch.ts'

export interface OperationsOptions {
  readonly node: NodeApi
  readonly limits: HttpLimits
  readonly backlog: OutboundBudget
  readonly ranges: RangeReader
  /** The problem for an error. Reports the error if it is not the client's fault. */
  readonly refused: (error: unknown) => ApiError
}

type KeyRequest = Request & { readonly command: Extract<Request['command'], { kind: 'put' | 'delete' }> }
type Changed = Result<{ readonly outcome: Outcome; readonly replayed: boolean }>

export class Operations {
  readonly #options: OperationsOptions

  constructor(options: OperationsOptions) {
    this.#options = options
  }

  /** Answers the operation exactly once, now or later. */
  run(operation: Operation, item: Item): void {
    try {
      this.#options.backlog.check(0)
      if (operation.op === PUT) this.#put(operation, item)
      else if (operation.op === GET) this.#get(operation, item)
      else if (operation.op === DELETE) this.#delete(operation, item)
      else if (operation.op === RANGE) this.#range(operation, item)
      else if (operation.op === CHANGES) this.#changes(operation, item)
      else if (operation.op === TXN) this.#txn(operation, item)
      else if (operation.op === DELETE_RANGE) this.#deleteRange(operation, item)
      else if (operation.op === COMPACT) this.#compact(operation, item)
      else if (operation.op === KEEP_ALIVE) this.#keepAlive(operation, item)
      else if (operation.op === WATCH) watch(this.#options, operation, item)
      else this.#openSession(operation, item)
    } catch (error) {
      // Nothing was proposed.
      operation.refuse(this.#options.refused(error), 'no')
    }
  }

  #put(operation: Operation, item: Item): void {
    checkLength(item, 7)
    const timeoutMs = answerWithinMs(readTimeout(item[2]))
    const key = readKey(item[3])
    const value = readValue(item[4])
    const idempotency = readIdentity(item[5])
    const { condition, prev, lease } = readPutOptions(item[6], this.#options.node)
    const command = { kind: 'put', key, value, condition, prev, lease } as const
    this.#propose(operation, { command, idempotency, principal: '' }, timeoutMs)
  }

  #delete(operation: Operation, item: Item): void {
    checkLength(item, 6)
    const timeoutMs = answerWithinMs(readTimeout(item[2]))
    const key = readKey(item[3])
    const idempotency = readIdentity(item[4])
    const { condition, prev } = readConditions(item[5])
    const command = { kind: 'delete', key, condition, prev } as const
    this.#propose(operation, { command, idempotency, principal: '' }, timeoutMs)
  }

  #changes(operation: Operation, item: Item): void {
    checkLength(item, 5)
    const timeoutMs = answerWithinMs(readTimeout(item[2]))
    const command = { kind: 'batch', commands: readChanges(item[3], this.#options.node) } as const
    const request: Request = { command, idempotency: readIdentity(item[4]), principal: '' }
    this.#options.node.propose(request, timeoutMs, (result) => this.#changed(operation, result))
  }

  #openSession(operation: Operation, item: Item): void {
    checkLength(item, 3)
    const timeoutMs = answerWithinMs(readTimeout(item[2]))
    const request: Request = { command: { kind: 'open-session' }, idempotency: undefined, principal: '' }
    this.#options.node.propose(request, timeoutMs, (result) => this.#changed(operation, result))
  }

  #propose(operation: Operation, request: KeyRequest, timeoutMs: number): void {
    const { node, backlog } = this.#options
    const { command, idempotency } = request
    if (command.prev) {
      if (idempotency !== undefined) throw prevWithToken('an identity')
      // The answer to a change is never refused, so room for it is reserved before.
      operation.hold = backlog.hold()
      node.get(command.key, (error, row) => {
        try {
          if (error !== undefined) throw refusedIfEnded(error)
          operation.hold?.grow(bytesOf(row))
        } catch (thrown) {
          operation.refuse(this.#options.refused(thrown), 'no')
          return
        }
        node.propose(request, timeoutMs, (result) => this.#changed(operation, result))
      })
    } else node.propose(request, timeoutMs, (result) => this.#changed(operation, result))
  }

  #changed(operation: Operation, result: Changed): void {
    let replayed = false
    try {
      if (!result.ok) {
        operation.refuse(refusedByNode(result.problem), result.problem.written)
        return
      }
      replayed = result.value.replayed
      const outcome = acceptedOf(result.value.outcome)
      const { id, op } = operation
      if (outcome.kind === 'session' && op === OPEN_SESSION) {
        operation.end(200, [
          id,
          SUCCESS,
          outcome.revision,
          outcome.session,
          outcome.ageMsMax,
          SESSION_SLOTS_MAX,
        ])
        return
      }
      if (outcome.kind === 'batch' && op === CHANGES) {
        const { revision, outcomes } = outcome
        const answer = [id, SUCCESS, revision, outcomes.map(changeOutcome), replayed]
        operation.end(200, answer, outcomeBytes(outcomes))
        return
      }
      if ((outcome.kind !== 'put' && outcome.kind !== 'delete') || outcome.kind !== operation.name)
        throw unexpected(outcome)
      const { revision, prev } = outcome
      const answer: unknown[] =
        outcome.kind === 'put'
          ? [id, SUCCESS, revision, outcome.createRevision, outcome.modRevision, outcome.version, replayed]
          : [id, SUCCESS, revision, outcome.deleted, replayed]
      if (prev !== undefined) answer.push(prev === null ? null : record(prev.key, prev))
      operation.end(200, answer, prev?.value.length)
    } catch (error) {
      operation.refuse(this.#options.refused(error), error instanceof ApiError ? 'no' : 'unknown', replayed)
    }
  }

  #get(operation: Operation, item: Item): void {
    checkLength(item, 7)
    const timeoutMs = answerWithinMs(readTimeout(item[2]))
    const key = readKey(item[3])
    const options = readOptions(timeoutMs, readFreshness(item[4], item[5]))
    const asOf = readAsOf(item[6])
    this.#options.node.read(options, (result) => this.#granted(operation, key, asOf, result))
  }

  #granted(
    operation: Operation,
    key: Uint8Array,
    asOf: Revision | undefined,
    result: Result<ReadGrant>,
  ): void {
    if (operation.isAbandoned) {
      operation.end(0, [])
      return
    }
    const { node, refused } = this.#options
    if (!result.ok) operation.refuse(refused(refusedByNode(result.problem)), 'no')
    else if (asOf !== undefined) void this.#getAsOf(operation, result.value, key, asOf)
    else node.get(key, (error, row) => this.#found(operation, result.value, error, row))
  }

  /** The key as it was at a revision. */
  async #getAsOf(operation: Operation, grant: ReadGrant, key: Uint8Array, revision: Revision): Promise<void> {
    const { node, refused } = this.#options
    try {
      checkRevision(node, revision, grant)
      const range = { start: key, end: keyAfter(key), reverse: false, revision, keysOnly: false }
      this.#found(operation, grant, undefined, await readFirst(node, range))
    } catch (error) {
      operation.refuse(refused(error), 'no')
    }
  }

  #found(operation: Operation, grant: ReadGrant, error: Error | undefined, row: KeyRow | undefined): void {
    const { revision, served, stalenessMs } = grant
    try {
      if (error !== undefined) throw refusedIfEnded(error)
      const bytes = bytesOf(row)
      operation.checkRoom(bytes)
      const found = row === undefined ? null : record(null, row)
      operation.end(
        found === null ? 404 : 200,
        [operation.id, SUCCESS, revision, found, served, bound(stalenessMs)],
        bytes,
      )
    } catch (thrown) {
      operation.refuse(this.#options.refused(thrown), 'no')
    }
  }

  #range(operation: Operation, item: Item): void {
    const { limits, ranges, refused } = this.#options
    checkLength(item, 6)
    const timeoutMs = answerWithinMs(readTimeout(item[2]))
    const values = readRange(item[3], limits.pageRowsMax)
    const freshness = readFreshness(item[4], item[5])
    const asked = {
      deadline: operation.arrivedAt + timeoutMs,
      isAbandoned: () => operation.isAbandoned,
    }
    const counts = values.count_only === true || values.count === true
    const limit = values.limit ?? limits.pageRowsDefault
    ranges.read(
      { asked, values, freshness, limit, counts },
      (reading) => page(operation, reading),
      (error) => operation.refuse(refused(error), 'no'),
    )
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Transactions, ranges to delete, and the end of history

  #txn(operation: Operation, item: Item): void {
    const { node, limits } = this.#options
    checkLength(item, 7)
    const timeoutMs = answerWithinMs(readTimeout(item[2]))
    const { bytes } = operation
    if (bytes > limits.requestBytesMax)
      throw new ApiError(
        'request_too_large',
        `transaction of ${bytes} bytes, at most ${limits.requestBytesMax}`,
      )
    const txn = acceptedTxn(node, readTxn(item[3]))
    const idempotency = readIdentity(item[4])
    const freshness = readFreshness(item[5], item[6])
    if (onlyReads(txn)) {
      const deadline = operation.arrivedAt + timeoutMs
      const asked = { deadline, isAbandoned: () => operation.isAbandoned }
      evaluate(
        this.#options,
        asked,
        freshness,
        txn,
        (result, grant, hold) => {
          const { result: answer, bytes: answered } = txnAnswer(txn, result, grant.revision)
          hold.release()
          operation.checkRoom(answered)
          const { revision, served, stalenessMs } = grant
          operation.end(
            200,
            [operation.id, SUCCESS, revision, answer, false, served, bound(stalenessMs)],
            answered,
          )
        },
        (error) => operation.refuse(this.#options.refused(error), 'no'),
      )
      return
    }
    checkNoRead(freshness)
    if (idempotency !== undefined && wantsPrev(txn)) throw prevWithToken('an identity')
    this.#change(operation, txn, idempotency, timeoutMs)
  }

  #change(operation: Operation, txn: Txn, idempotency: Idempotency | undefined, timeoutMs: number): void {
    const { node, backlog } = this.#options
    // The answer to a change is never refused, so room for it is reserved before.
    operation.hold = backlog.hold()
    operation.hold.grow(answerBytes(txn, node.status().settings))
    const request: Request = { command: { kind: 'txn', txn }, idempotency, principal: '' }
    node.propose(request, timeoutMs, (result) =>
      this.#settle(operation, result, ({ outcome, replayed }) => {
        const accepted = acceptedOf(outcome)
        if (accepted.kind !== 'txn') throw unexpected(accepted)
        const { result: answer, bytes } = txnAnswer(txn, accepted, accepted.revision)
        operation.end(200, [operation.id, SUCCESS, accepted.revision, answer, replayed], bytes)
      }),
    )
  }

  #deleteRange(operation: Operation, item: Item): void {
    const { node, ranges } = this.#options
    checkLength(item, 5)
    const timeoutMs = answerWithinMs(readTimeout(item[2]))
    const range = readDeleteRange(item[3])
    const idempotency = readIdentity(item[4])
    const request: Request = { command: { kind: 'delete-range', range }, idempotency, principal: '' }
    const asked = {
      deadline: operation.arrivedAt + timeoutMs,
      isAbandoned: () => operation.isAbandoned,
    }
    node.propose(request, timeoutMs, (result) =>
      this.#settle(operation, result, ({ outcome, replayed }) => {
        if (outcome.kind === 'refused' && outcome.code === 'range_too_large') {
          withCount(refusalOf(outcome), ranges, asked, range, (refusal) =>
            operation.refuse(refusal, 'no', replayed),
          )
          return
        }
        const accepted = acceptedOf(outcome)
        if (accepted.kind !== 'delete-range') throw unexpected(accepted)
        operation.end(200, [operation.id, SUCCESS, accepted.revision, accepted.deleted, replayed])
      }),
    )
  }

  #compact(operation: Operation, item: Item): void {
    checkLength(item, 5)
    const timeoutMs = answerWithinMs(readTimeout(item[2]))
    const revision = readAsOf(item[3])
    if (revision === undefined) throw invalid('revision', 'a revision')
    const request: Request = {
      command: { kind: 'compact', revision },
      idempotency: readIdentity(item[4]),
      principal: '',
    }
    this.#options.node.propose(request, timeoutMs, (result) =>
      this.#settle(operation, result, ({ outcome, replayed }) => {
        const accepted = acceptedOf(outcome)
        if (accepted.kind !== 'compacted') throw unexpected(accepted)
        operation.end(200, [operation.id, SUCCESS, accepted.revision, accepted.compactRevision, replayed])
      }),
    )
  }

  #keepAlive(operation: Operation, item: Item): void {
    const { node, refused } = this.#options
    checkLength(item, 4)
    const timeoutMs = answerWithinMs(readTimeout(item[2]))
    node.keepAlive(readLeases(item[3]), timeoutMs, (result) => {
      if (!result.ok) operation.refuse(refused(refusedByNode(result.problem)), 'no')
      else {
        const lives = result.value.map((ttlMs) => ttlMs ?? null)
        operation.end(200, [operation.id, SUCCESS, node.revision, lives], OUTCOME_BYTES * lives.length)
      }
    })
  }

  /** Answers a change, whatever becomes of it. */
  #settle(
    operation: Operation,
    result: Changed,
    accept: (applied: Extract<Changed, { readonly ok: true }>['value']) => void,
  ): void {
    try {
      if (result.ok) accept(result.value)
      else operation.refuse(refusedByNode(result.problem), result.problem.written)
    } catch (error) {
      const replayed = result.ok && result.value.replayed
      operation.refuse(this.#options.refused(error), error instanceof ApiError ? 'no' : 'unknown', replayed)
    }
  }
}

/** Memory of the outcomes of a batch. Only a failed condition has the key. */
function outcomeBytes(outcomes: readonly OutcomeOfKey[]): number {
  let bytes = 0
  for (const outcome of outcomes) {
    if (outcome.kind === 'put' || outcome.kind === 'delete') bytes += OUTCOME_BYTES
    else bytes += OUTCOME_PROBLEM_BYTES
    if (outcome.kind === 'precondition-failed') bytes += outcome.current?.key.length ?? 0
  }
  return bytes
}

/** Of one change of a batch: two or three numbers, or a problem. */
function changeOutcome(outcome: OutcomeOfKey): readonly number[] | object {
  if (outcome.kind === 'put') return [outcome.createRevision, outcome.modRevision, outcome.version]
  if (outcome.kind === 'delete') return [outcome.deleted, outcome.revision]
  return { ...problemDocument(refusalOf(outcome)), written: 'no' }
}

async function page(operation: Operation, reading: Reading): Promise<void> {
  const { grant, backlog, values } = reading
  const hold = backlog.hold()
  try {
    const { slices, more } = await readPage(reading, hold, values.keys_only ? KEYS : RECORDS)
    const count = await countRows(reading)
    const records = slices.flat()
    const bytes = records.reduce((sum, one) => sum + recordBytes(one), 0)
    hold.release()
    operation.checkRoom(bytes)
    const { revision, served, stalenessMs } = grant
    operation.end(
      200,
      [operation.id, SUCCESS, revision, records, more, count ?? null, served, bound(stalenessMs)],
      bytes,
    )
  } finally {
    hold.release()
  }
}

const bytesOf = (row: KeyRow | undefined): number => (row === undefined ? 0 : RECORD_BYTES + row.value.length)

const recordBytes = ([key, value]: WireRecord): number =>
  (key?.length ?? 0) + (value?.length ?? 0) + RECORD_BYTES

const form = (one: (row: KeyRow) => WireRecord) => ({
  record: one,
  bytes: recordBytes,
  slice: (records: WireRecord[]) => records,
})
const RECORDS = form((row) => record(row.key, row))
const KEYS = form((row) => record(row.key, { ...row, value: null }))

/** Rounded up, because a bound must not become smaller. */
const bound = (stalenessMs: number | undefined): number | null =>
  stalenessMs === undefined ? null : Math.ceil(stalenessMs)
