// Compares, and does one of two lists of operations, at one revision.

import type { EntryFacts, HttpForm } from './definition.ts'
import { isGrant } from './forms/answer-head.ts'
import { decodeRevision } from './forms/decode.ts'
import type { FreshnessOptions } from './forms/freshness.ts'
import type { Idempotency } from './forms/idempotency.ts'
import { unsayable } from './forms/problems.ts'
import {
  type AccessDemand,
  attaching,
  CALL,
  changing,
  type LeaseDemand,
  NO_LEASES,
  reading,
} from './forms/rights.ts'
import type { Revision } from './forms/store.ts'
import {
  type KvTxn,
  type KvTxnOperation,
  type KvTxnResult,
  onlyReads,
  wantsPrev,
} from './forms/transactions.ts'
import { decodeTxnResult } from './forms/txn-results.ts'
import { freshnessHeaders, jsonResponseFromParts, replayedHeader } from './http/form.ts'
import { readIdempotency } from './http/idempotency.ts'
import { decodeRecordFields } from './http/json.ts'
import { freshnessFrom, HISTORY_PARAMETERS, READ_PARAMETERS } from './http/parameters.ts'
import { jsonChange, withFreshness, withQuery } from './http/requests.ts'
import { route } from './http/route.ts'
import {
  decodeTxnBody,
  encodeTxnBody,
  TXN_BODY_BRACKETS,
  TXN_BODY_PARTS,
  TxnBody,
  TxnResponse,
  TxnSchema,
  txnJsonParts,
} from './http/transactions.ts'
import { nestedBytes } from './mux/fields.ts'
import {
  decodeChangeHead,
  decodeReadHead,
  decodeResultRevision,
  type MuxForm,
  SUCCESS,
  servedField,
  stalenessField,
} from './mux/form.ts'
import { OPCODES } from './mux/opcodes.ts'
import {
  decodeFreshness,
  decodeIdempotency,
  encodeFreshness,
  encodeIdempotency,
  idempotencySize,
  minRevisionField,
} from './mux/options.ts'
import {
  decodeTxn,
  decodeTxnItem,
  encodeTxn,
  encodeTxnResult,
  txnCredit,
  txnOverhead,
  txnResultBytes,
} from './mux/transactions.ts'

export interface TxnRequest {
  readonly kind: 'txn'
  readonly txn: KvTxn
  readonly idempotency: Idempotency | undefined
  /** Allowed only if the transaction has no changes, as `freshness`. */
  readonly revision?: Revision | undefined
  readonly freshness: FreshnessOptions
}

/** The result of a transaction, at the revision of its changes, or at which it has read. */
export interface TxnOutcome extends KvTxnResult {
  readonly revision: Revision
}

/** The kind of its item on the multiplexed connection. */
const OPCODE = OPCODES.txn

export const txn = {
  effect: 'change',
  isAudited: true,
  label: 'other',
  repeat: ({ txn }) => (onlyReads(txn) ? 'freely' : wantsPrev(txn) ? 'never' : 'by-id'),
  room: 'takes',
  demands: (operation) => [...CALL, ...demandsOfTxn(operation.txn), ...leasesOfTxn(operation.txn)],
  leases: (operation) => leasesOfTxn(operation.txn),
  http: {
    routes: [
      route(
        {
          method: 'POST',
          path: '/v1/txn',
          summary:
            'Run a transaction: if the comparisons hold, the first list of operations, else the second',
          parameters: { ...HISTORY_PARAMETERS, ...READ_PARAMETERS },
          takesToken: true,
          body: TxnBody,
          bodyPartsMax: TXN_BODY_PARTS,
          bodyDepthMax: TXN_BODY_BRACKETS,
          describedBody: TxnSchema,
          answers: TxnResponse,
          schemas: { Transaction: TxnSchema, TransactionResult: TxnResponse },
        },
        ({ headers, values: { revision, ...freshness }, body }) => ({
          kind: 'txn',
          txn: decodeTxnBody(body),
          idempotency: readIdempotency(headers),
          revision,
          freshness: freshnessFrom(freshness),
        }),
      ),
    ],
    encode: ({ txn: requested, revision, freshness, idempotency }) =>
      jsonChange(
        withFreshness(withQuery('/v1/txn', { revision }), freshness),
        encodeTxnBody(requested),
        idempotency,
      ),
    encodeResult: (result, head, { txn: requested }) =>
      jsonResponseFromParts(
        txnJsonParts(requested, result, result.revision),
        isGrant(head) ? freshnessHeaders(head) : replayedHeader(head),
        result.revision,
      ),
    decodeResult: (body, { txn: requested }) => ({
      ...decodeTxnResult(requested, body, decodeRecordFields),
      revision: decodeRevision(body.revision, 'revision'),
    }),
  },
  mux: {
    opcode: OPCODE,
    elementsMax: 7,
    encode(id, timeoutMs, { txn: requested, idempotency, revision, freshness }) {
      if (revision !== undefined) throw unsayable('the revision of a transaction')
      const minRevision = minRevisionField(freshness)
      const options = encodeFreshness(freshness)
      const fields = encodeTxn(requested)
      const identity = encodeIdempotency(idempotency)
      return minRevision === null && options === null
        ? [id, OPCODE, timeoutMs, fields, identity]
        : [id, OPCODE, timeoutMs, fields, identity, minRevision, options]
    },
    decode(item, { requestBytesMax }) {
      const requested = decodeTxn(item[3], requestBytesMax)
      const idempotency = decodeIdempotency(item[4])
      return { kind: 'txn', txn: requested, idempotency, freshness: decodeFreshness(item[5], item[6]) }
    },
    credit: ({ txn: requested }) => txnCredit(requested),
    itemCredit: (item) => nestedBytes(item[3]),
    size: ({ txn: requested, idempotency }) =>
      txnOverhead(requested) + txnCredit(requested) + idempotencySize(idempotency),
    encodeResult(id, outcome, head, { txn: requested }) {
      const { revision } = outcome
      const result = encodeTxnResult(requested, outcome, revision)
      return isGrant(head)
        ? [id, SUCCESS, revision, result, false, servedField(head), stalenessField(head)]
        : [id, SUCCESS, revision, result, head.replayed ?? false]
    },
    decodeResult: (item, { txn: requested }) => ({
      ...decodeTxnItem(requested, item[3]),
      revision: decodeResultRevision(item),
    }),
    decodeHead: (item) => (item.length > 5 ? decodeReadHead(item, 5) : decodeChangeHead(item, 4)),
    resultBytes: (outcome, { txn: requested }) => txnResultBytes(requested, outcome),
  },
} satisfies EntryFacts<Pick<TxnRequest, 'txn'>> & {
  readonly http: HttpForm<TxnRequest, TxnOutcome>
  readonly mux: MuxForm<TxnRequest, TxnOutcome>
}

/** The demands of all branches, nested transactions too: which one is done is known only when it is applied. */
const demandsOfTxn = ({ compare, success, failure }: KvTxn): readonly AccessDemand[] => [
  ...compare.map(({ where }) => reading(where)),
  ...[...success, ...failure].flatMap(demandsOfOperation),
]

function demandsOfOperation(operation: KvTxnOperation): readonly AccessDemand[] {
  switch (operation.kind) {
    case 'put':
      return changing({ key: operation.key }, operation.prev)
    case 'get':
      return [reading(operation.where)]
    case 'delete':
      return changing(operation.where, operation.prev)
    case 'txn':
      return demandsOfTxn(operation.txn)
  }
}

const leasesOfTxn = ({ success, failure }: KvTxn): readonly LeaseDemand[] =>
  [...success, ...failure].flatMap(leasesOfOperation)

function leasesOfOperation(operation: KvTxnOperation): readonly LeaseDemand[] {
  switch (operation.kind) {
    case 'put':
      return attaching(operation.lease)
    case 'get':
    case 'delete':
      return NO_LEASES
    case 'txn':
      return leasesOfTxn(operation.txn)
  }
}
