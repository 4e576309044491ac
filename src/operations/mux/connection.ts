// The items of a multiplexed connection that are no operations, both ends: its welcome and notices from the node, and
// from the client the cancellation of an operation and the trace context of the next one.

import { isObject, isWholeNumber } from '../forms/decode.ts'
import type { Item } from './form.ts'
import { OPCODES } from './opcodes.ts'

export const SUBPROTOCOL = 'quorate.v1'
const PROTOCOL_VERSION = 1

/** Largest id of an operation. */
export const LARGEST_ID = 2 ** 31 - 1

/** The id of items of a node that answer no operation. */
const NOTICE = 0

// ---------------------------------------------------------------------------------------------------------------------
// From the node

/** The leader of a term, as a node knows it. */
export interface KnownLeader {
  readonly term: number
  readonly name: string | undefined
}

/** First item of a node. */
export interface ConnectionWelcome {
  readonly cluster: string
  readonly node: string
  /** Version of its program. */
  readonly server: string
  readonly leader: KnownLeader
  readonly revision: number
  /** Operations without an answer, and bytes of their credit. */
  readonly operationsMax: number
  readonly bytesMax: number
  readonly messageBytesMax: number
  /** Changes of a batch. */
  readonly changesMax: number
  readonly watchesMax: number
  /** Operations of a transaction. */
  readonly txnOperationsMax: number
  /** Leases of a keep-alive. */
  readonly keepAliveMax: number
}

export const encodeWelcome = (welcome: ConnectionWelcome): Item => [
  NOTICE,
  'welcome',
  {
    version: PROTOCOL_VERSION,
    cluster: welcome.cluster,
    node: welcome.node,
    server: welcome.server,
    term: welcome.leader.term,
    leader: welcome.leader.name ?? null,
    revision: welcome.revision,
    operations_max: welcome.operationsMax,
    bytes_max: welcome.bytesMax,
    message_bytes_max: welcome.messageBytesMax,
    changes_max: welcome.changesMax,
    watches_max: welcome.watchesMax,
    txn_operations_max: welcome.txnOperationsMax,
    keep_alive_max: welcome.keepAliveMax,
  },
]

/** undefined: the item is no welcome of this version of the protocol. */
export function decodeWelcome(item: Item): ConnectionWelcome | undefined {
  const [id, kind, fields] = item
  if (id !== NOTICE || kind !== 'welcome' || !isObject(fields)) return undefined
  const { version, cluster, node, server, revision } = fields
  if (version !== PROTOCOL_VERSION || typeof cluster !== 'string' || typeof node !== 'string')
    return undefined
  const operationsMax = decodeLimit(fields.operations_max)
  const bytesMax = decodeLimit(fields.bytes_max)
  const messageBytesMax = decodeLimit(fields.message_bytes_max)
  if (!isWholeNumber(revision) || operationsMax < 1 || bytesMax < 1 || messageBytesMax < 1) return undefined
  return {
    cluster,
    node,
    server: typeof server === 'string' ? server : '',
    leader: decodeKnownLeader(fields.term, fields.leader),
    revision,
    operationsMax,
    bytesMax,
    messageBytesMax,
    changesMax: decodeLimit(fields.changes_max),
    watchesMax: decodeLimit(fields.watches_max),
    txnOperationsMax: decodeLimit(fields.txn_operations_max),
    keepAliveMax: decodeLimit(fields.keep_alive_max),
  }
}

/** A limit that a node does not name is 0: it does not have such operations. */
const decodeLimit = (field: unknown): number => (isWholeNumber(field) ? field : 0)

const decodeKnownLeader = (term: unknown, name: unknown): KnownLeader => ({
  term: isWholeNumber(term) ? term : 0,
  name: typeof name === 'string' ? name : undefined,
})

/** Tells of another leader, or of another term. */
export const encodeLeaderNotice = ({ term, name }: KnownLeader): Item => [
  NOTICE,
  'leader',
  term,
  name ?? null,
]

/** The node stops: it takes no more operations. */
export const CLOSING_NOTICE: Item = [NOTICE, 'closing']

export const isNotice = (item: Item): boolean => item[0] === NOTICE

type Notice =
  | { readonly kind: 'leader'; readonly leader: KnownLeader }
  | { readonly kind: 'closing' }
  /** A newer node may send others. */
  | { readonly kind: 'other' }

export function decodeNotice([, kind, term, name]: Item): Notice {
  if (kind === 'leader') return { kind, leader: decodeKnownLeader(term, name) }
  return { kind: kind === 'closing' ? kind : 'other' }
}

// ---------------------------------------------------------------------------------------------------------------------
// From the client

/** Gives up a read or a watch. A change is answered all the same. */
export const encodeCancel = (id: number): Item => [id, OPCODES.cancel]

/** The trace context (W3C Trace Context) of the operation that follows, which has the same id. */
export const encodeTrace = (id: number, traceparent: string, tracestate: string): Item =>
  tracestate === '' ? [id, OPCODES.trace, traceparent] : [id, OPCODES.trace, traceparent, tracestate]

/** The texts are not checked. */
export const decodeTrace = ([, , traceparent, tracestate]: Item): readonly [
  traceparent: unknown,
  tracestate: unknown,
] => [traceparent, tracestate]
