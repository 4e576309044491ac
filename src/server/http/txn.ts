// POST /v1/txn: comparisons, and what is done if all of them hold, or if not. With changes it is one entry of the log;
// without, a read. A multiplexed connection uses the same code (mux/txn.ts).

import { areTooManyKeys, keyAfter } from '../../kv/index.ts'
import { rejection } from '../../kv/rejections.ts'
import { keyLimits } from '../../kv/settings.ts'
import { onlyReads, TXN_DEPTH_MAX, TXN_OPERATIONS_MAX, txnFault } from '../../kv/txn.ts'
import type {
  Idempotency,
  KeyRow,
  Operation,
  Revision,
  Settings,
  Txn,
  TxnResult,
  Where,
} from '../../kv/types.ts'
import type { RecordScan } from '../node/record-scan.ts'
import type { NodeApi, ReadGrant } from '../node/types.ts'
import { type ApiRequest, answering, jsonAnswer, type Respond } from './answer.ts'
import { readIdentity } from './idempotency-headers.ts'
import { ESCAPED_BYTES_MAX } from './json.ts'
import { HISTORY_PARAMETERS, type ParameterValues, READ_PARAMETERS } from './parameters.ts'
import { ApiError } from './problem.ts'
import { holding, prevWithToken, propose, refusalOf, unexpected } from './propose.ts'
import { finish, type Instant, type RangeReader, slicesOf } from './range-reading.ts'
import { checkRevision, type Freshness, freshnessHeaders } from './read-options.ts'
import type { OutboundBudget, Reservation } from './response-budget.ts'
import { type Route, route } from './route.ts'
import { type GivenTxn, TxnAnswer, TxnBody, TxnSchema, txnJson, txnOf } from './txn-json.ts'
import { prepareTxn, type Records, type Snapshot } from './txn-reading.ts'

/** Of the JSON. Ten times as many operations as are allowed are still counted, and refused by their number. */
const PARTS_MAX = 16_000
/** A transaction within another one is three brackets deeper. */
const DEPTH_MAX = 4 * TXN_DEPTH_MAX

const PARAMETERS = { ...HISTORY_PARAMETERS, ...READ_PARAMETERS }

/** A result without records, at most. */
const RESULT_BYTES_MAX = 128

export interface TxnOptions {
  readonly node: NodeApi
  readonly backlog: OutboundBudget
  readonly ranges: RangeReader
}

export const txnRoute = (options: TxnOptions): Route =>
  route(
    {
      method: 'POST',
      path: '/v1/txn',
      summary: 'Compare, and do one of two lists of operations, at one revision',
      parameters: PARAMETERS,
      takesToken: true,
      body: TxnBody,
      bodyPartsMax: PARTS_MAX,
      bodyDepthMax: DEPTH_MAX,
      describedBody: TxnSchema,
      answers: TxnAnswer,
      schemas: { Transaction: TxnSchema, TransactionResult: TxnAnswer },
    },
    ({ asked, values, body }, respond) => {
      const txn = acceptedTxn(options.node, body as GivenTxn)
      const idempotency = readIdentity(asked.headers)
      if (onlyReads(txn)) {
        read(options, asked, values, txn, respond)
        return
      }
      if (Object.keys(values).length > 0)
        throw new ApiError('bad_request', `${Object.keys(values).join(' and ')}: ${NO_READ}`)
      if (idempotency !== undefined && wantsPrev(txn))
        throw prevWithToken('token' in idempotency ? 'Idempotency-Key' : 'Kv-Session')
      change(options, asked, txn, idempotency, respond)
    },
  )

/** Throws `Refused` for a transaction that is refused whatever the store holds. */
export function acceptedTxn(node: NodeApi, given: GivenTxn): Txn {
  const txn = txnOf(given, node)
  const fault = txnFault(txn)
  if (fault !== undefined)
    throw refusalOf(rejection(node.revision, fault, [TXN_OPERATIONS_MAX, TXN_DEPTH_MAX]))
  return txn
}

/** Why parameters of reads are refused. */
export const NO_READ = 'this transaction is no read'

/** With those of nested transactions. */
const operationsOf = ({ success, failure }: Txn): readonly Operation[] =>
  [...success, ...failure].flatMap((operation) =>
    operation.kind === 'txn' ? [operation, ...operationsOf(operation.txn)] : [operation],
  )

export const wantsPrev = (txn: Txn): boolean =>
  operationsOf(txn).some((operation) => 'prev' in operation && operation.prev)

// ---------------------------------------------------------------------------------------------------------------------
// With changes

function change(
  { node, backlog }: TxnOptions,
  asked: ApiRequest,
  txn: Txn,
  idempotency: Idempotency | undefined,
  respond: Respond,
): void {
  const answer = holding(backlog, respond, answerBytes(txn, node.status().settings))
  const make = answering(answer, () =>
    propose(node, asked, { command: { kind: 'txn', txn }, idempotency }, answer, (outcome, headers) => {
      if (outcome.kind !== 'txn') throw unexpected(outcome)
      const { revision } = outcome
      answer(jsonAnswer(txnJson(txn, outcome, revision), headers, revision))
    }),
  )
  make(undefined)
}

/** What is reserved. How many records an answer will have is not known before, so as much as they may have. */
export function answerBytes(txn: Txn, { rangeBytesMax }: Settings): number {
  const operations = operationsOf(txn)
  const keys = operations.map(keyBytesMax)
  const hasRecords = wantsPrev(txn) || keys.includes(undefined)
  const bytes = hasRecords ? rangeBytesMax : keys.reduce<number>((sum, bytes = 0) => sum + bytes, 0)
  return (1 + operations.length) * RESULT_BYTES_MAX + bytes
}

/** Of what a read answers without values; undefined: it may answer many keys, or a value. */
function keyBytesMax(operation: Operation): number | undefined {
  if (operation.kind !== 'get' || operation.countOnly) return 0
  const { where, keysOnly } = operation
  return 'key' in where && keysOnly ? RESULT_BYTES_MAX + ESCAPED_BYTES_MAX * where.key.length : undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Without changes

function read(
  options: TxnOptions,
  asked: ApiRequest,
  values: ParameterValues<typeof PARAMETERS>,
  txn: Txn,
  respond: Respond,
): void {
  const evaluated = (result: TxnResult, grant: ReadGrant, hold: Reservation): void => {
    const json = txnJson(txn, result, grant.revision)
    hold.release()
    respond(jsonAnswer(json, freshnessHeaders(grant), grant.revision))
  }
  evaluate(options, asked, values, txn, evaluated, respond)
}

/** `use` is called with the result, and with the room that was held for it. */
export function evaluate(
  { node, ranges }: Pick<TxnOptions, 'node' | 'ranges'>,
  asked: Instant['asked'],
  { revision, ...freshness }: Freshness & { readonly revision?: Revision | undefined },
  txn: Txn,
  use: (result: TxnResult, grant: ReadGrant, hold: Reservation) => void,
  failed: (error: Error) => void,
): void {
  const read = async (instant: Instant): Promise<void> => {
    checkRevision(node, revision, instant.grant)
    const hold = instant.backlog.hold()
    try {
      const snapshot = new InstantSnapshot(instant, revision, node.status().settings, hold)
      const result = await prepareTxn(txn, snapshot)()
      use(result, instant.grant, hold)
    } finally {
      hold.release()
    }
  }
  ranges.readInstant(asked, freshness, read, failed)
}

/** An instant, read within the limits of one transaction. */
class InstantSnapshot implements Snapshot {
  readonly #instant: Instant
  readonly #revision: Revision | undefined
  readonly #settings: Settings
  readonly #hold: Reservation
  /** Keys of ranges that were read, and their bytes. */
  #keys = 0
  #keyBytes = 0
  /** Keys and values that will be in the answer. */
  #bytes = 0

  constructor(instant: Instant, revision: Revision | undefined, settings: Settings, hold: Reservation) {
    this.#instant = instant
    this.#revision = revision
    this.#settings = settings
    this.#hold = hold
  }

  open(where: Where, keysOnly: boolean): Records {
    const isKey = 'key' in where
    const range = isKey ? { start: where.key, end: keyAfter(where.key) } : where
    const scan = this.#instant.open({ ...range, reverse: false, revision: this.#revision, keysOnly })
    return { each: (take) => this.#each(scan, isKey, take) }
  }

  keep({ key, value }: KeyRow): void {
    const bytes = key.length + value.length
    this.#bytes += bytes
    const { rangeBytesMax } = this.#settings
    if (this.#bytes > rangeBytesMax)
      throw refusalOf(
        rejection(this.#instant.grant.revision, 'records-too-large', [this.#bytes, rangeBytesMax]),
      )
    this.#hold.grow(bytes)
  }

  async #each(scan: RecordScan, isKey: boolean, take: (record: KeyRow) => boolean): Promise<void> {
    const rowsMax = isKey ? 1 : Number.MAX_SAFE_INTEGER
    for await (const { rows } of slicesOf(this.#instant, scan, rowsMax)) {
      this.#checkTime()
      if (!isKey) this.#count(rows)
      if (!rows.every(take)) break
    }
    await finish(scan)
  }

  #checkTime(): void {
    if (performance.now() > this.#instant.asked.deadline)
      throw new ApiError('overloaded', 'the transaction could not be read within the timeout')
  }

  #count(rows: readonly KeyRow[]): void {
    this.#keys += rows.length
    for (const { key } of rows) this.#keyBytes += key.length
    if (areTooManyKeys(this.#keys, this.#keyBytes, this.#settings))
      throw refusalOf(rejection(this.#instant.grant.revision, 'range-too-large', keyLimits(this.#settings)))
  }
}
