// Compares, and does one of two lists of operations, at one revision.

import type { EntryFacts, HttpForm } from './definition.ts'
import type { AnswerHead } from './forms/answer-head.ts'
import type { FreshnessOptions, ReadGrant } from './forms/freshness.ts'
import { freshnessHeaders, jsonResponseOf, replayedHeader } from './forms/http.ts'
import { type Idempotency, readIdempotency } from './forms/idempotency.ts'
import { freshnessOf, HISTORY_PARAMETERS, READ_PARAMETERS } from './forms/parameters.ts'
import {
  type AccessDemand,
  attaching,
  CALL,
  changing,
  type LeaseDemand,
  NO_LEASES,
  reading,
} from './forms/rights.ts'
import { route } from './forms/route.ts'
import type { Revision } from './forms/store.ts'
import type { KvTxn, KvTxnOperation, KvTxnResult } from './forms/transactions.ts'
import {
  decodeTxnBody,
  TXN_BODY_BRACKETS,
  TXN_BODY_PARTS,
  TxnBody,
  TxnResponse,
  TxnSchema,
  txnJsonParts,
} from './txn-http.ts'

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

export const txn = {
  effect: 'change',
  isAudited: true,
  label: 'other',
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
          freshness: freshnessOf(freshness),
        }),
      ),
    ],
    encodeResult: (result, head, { txn: requested }) =>
      jsonResponseOf(
        txnJsonParts(requested, result, result.revision),
        isGrant(head) ? freshnessHeaders(head) : replayedHeader(head),
        result.revision,
      ),
  },
} satisfies EntryFacts<Pick<TxnRequest, 'txn'>> & {
  readonly http: HttpForm<TxnRequest, TxnOutcome, AnswerHead, Pick<TxnRequest, 'txn'>>
}

/** A transaction that only reads is answered as a read. */
const isGrant = (head: AnswerHead): head is ReadGrant => head.served !== undefined

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
