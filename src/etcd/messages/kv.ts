// etcdserverpb.KV: reads and changes of keys. Source: etcd's api/etcdserverpb/rpc.proto and api/mvccpb/kv.proto.

import {
  bigInt64,
  bool,
  bytes,
  enumeration,
  int64,
  type MessageCodec,
  type MessageOf,
  message,
  nested,
  optional,
  repeated,
} from '../message.ts'
import { ResponseHeader } from './header.ts'

export type KeyValue = MessageOf<typeof KeyValue>
export const KeyValue = message({
  key: bytes(1),
  createRevision: int64(2),
  modRevision: int64(3),
  version: int64(4),
  value: bytes(5),
  lease: bigInt64(6),
})

const header = nested(1, () => ResponseHeader)

/** A fieldless number of an enumeration is its place in its list. */
export const SORT_ORDERS = ['NONE', 'ASCEND', 'DESCEND']
export const SORT_TARGETS = ['KEY', 'VERSION', 'CREATE', 'MOD', 'VALUE']

export type RangeRequest = MessageOf<typeof RangeRequest>
export const RangeRequest = message({
  key: bytes(1),
  /** Empty: only the key. A zero byte: all keys from the key on. */
  rangeEnd: bytes(2),
  /** 0: no limit. */
  limit: int64(3),
  /** 0 or less: the newest. */
  revision: int64(4),
  sortOrder: enumeration(SORT_ORDERS)(5),
  sortTarget: enumeration(SORT_TARGETS)(6),
  serializable: bool(7),
  keysOnly: bool(8),
  countOnly: bool(9),
  minModRevision: int64(10),
  maxModRevision: int64(11),
  minCreateRevision: int64(12),
  maxCreateRevision: int64(13),
})

export type RangeResponse = MessageOf<typeof RangeResponse>
export const RangeResponse = message({
  header,
  kvs: repeated(nested(2, () => KeyValue)),
  more: bool(3),
  /** Number of keys in the range, whatever limit and filters leave of them. */
  count: int64(4),
})

export type RangeStreamResponse = MessageOf<typeof RangeStreamResponse>
export const RangeStreamResponse = message({ rangeResponse: nested(1, () => RangeResponse) })

export type PutRequest = MessageOf<typeof PutRequest>
export const PutRequest = message({
  key: bytes(1),
  value: bytes(2),
  /** 0: none. */
  lease: bigInt64(3),
  prevKv: bool(4),
  ignoreValue: bool(5),
  ignoreLease: bool(6),
})

export type PutResponse = MessageOf<typeof PutResponse>
export const PutResponse = message({ header, prevKv: nested(2, () => KeyValue) })

export type DeleteRangeRequest = MessageOf<typeof DeleteRangeRequest>
export const DeleteRangeRequest = message({ key: bytes(1), rangeEnd: bytes(2), prevKv: bool(3) })

export type DeleteRangeResponse = MessageOf<typeof DeleteRangeResponse>
export const DeleteRangeResponse = message({
  header,
  deleted: int64(2),
  prevKvs: repeated(nested(3, () => KeyValue)),
})

export const COMPARE_RESULTS = ['EQUAL', 'GREATER', 'LESS', 'NOT_EQUAL']
export const COMPARE_TARGETS = ['VERSION', 'CREATE', 'MOD', 'VALUE', 'LEASE']

export type Compare = MessageOf<typeof Compare>
export const Compare = message({
  result: enumeration(COMPARE_RESULTS)(1),
  target: enumeration(COMPARE_TARGETS)(2),
  key: bytes(3),
  // At most one of the next five is there.
  version: optional(int64(4)),
  createRevision: optional(int64(5)),
  modRevision: optional(int64(6)),
  value: optional(bytes(7)),
  lease: optional(bigInt64(8)),
  rangeEnd: bytes(64),
})

/** One of its fields is there. */
export interface RequestOp {
  readonly requestRange: RangeRequest | undefined
  readonly requestPut: PutRequest | undefined
  readonly requestDeleteRange: DeleteRangeRequest | undefined
  readonly requestTxn: TxnRequest | undefined
}
export const RequestOp: MessageCodec<RequestOp> = message({
  requestRange: nested(1, () => RangeRequest),
  requestPut: nested(2, () => PutRequest),
  requestDeleteRange: nested(3, () => DeleteRangeRequest),
  requestTxn: nested(4, () => TxnRequest),
})

export interface TxnRequest {
  readonly compare: readonly Compare[]
  readonly success: readonly RequestOp[]
  readonly failure: readonly RequestOp[]
}
export const TxnRequest: MessageCodec<TxnRequest> = message({
  compare: repeated(nested(1, () => Compare)),
  success: repeated(nested(2, () => RequestOp)),
  failure: repeated(nested(3, () => RequestOp)),
})

/** One of its fields is there. The headers within have only a revision. */
export interface ResponseOp {
  readonly responseRange: RangeResponse | undefined
  readonly responsePut: PutResponse | undefined
  readonly responseDeleteRange: DeleteRangeResponse | undefined
  readonly responseTxn: TxnResponse | undefined
}
export const ResponseOp: MessageCodec<ResponseOp> = message({
  responseRange: nested(1, () => RangeResponse),
  responsePut: nested(2, () => PutResponse),
  responseDeleteRange: nested(3, () => DeleteRangeResponse),
  responseTxn: nested(4, () => TxnResponse),
})

export interface TxnResponse {
  readonly header: ResponseHeader | undefined
  readonly succeeded: boolean
  readonly responses: readonly ResponseOp[]
}
export const TxnResponse: MessageCodec<TxnResponse> = message({
  header,
  succeeded: bool(2),
  responses: repeated(nested(3, () => ResponseOp)),
})

export type CompactionRequest = MessageOf<typeof CompactionRequest>
export const CompactionRequest = message({ revision: int64(1), physical: bool(2) })

export type CompactionResponse = MessageOf<typeof CompactionResponse>
export const CompactionResponse = message({ header })
