// etcdserverpb.Watch. Source: etcd's api/etcdserverpb/rpc.proto.

import {
  bool,
  bytes,
  enumeration,
  int64,
  type MessageOf,
  message,
  nested,
  repeated,
  text,
} from '../message.ts'
import { ResponseHeader } from './header.ts'
import { KeyValue } from './kv.ts'

export const EVENT_PUT = 0
export const EVENT_DELETE = 1

export type Event = MessageOf<typeof Event>
export const Event = message({
  type: enumeration(['PUT', 'DELETE'])(1),
  /** A delete has its key, and its revision as that of the modification. */
  kv: nested(2, () => KeyValue),
  prevKv: nested(3, () => KeyValue),
})

export const FILTER_NO_PUT = 0
export const FILTER_NO_DELETE = 1

export type WatchCreateRequest = MessageOf<typeof WatchCreateRequest>
export const WatchCreateRequest = message({
  key: bytes(1),
  rangeEnd: bytes(2),
  /** 0: the next one. */
  startRevision: int64(3),
  progressNotify: bool(4),
  filters: repeated(enumeration(['NOPUT', 'NODELETE'])(5)),
  prevKv: bool(6),
  /** 0: the server chooses. */
  watchId: int64(7),
  fragment: bool(8),
})

export type WatchCancelRequest = MessageOf<typeof WatchCancelRequest>
export const WatchCancelRequest = message({ watchId: int64(1) })

export const WatchProgressRequest = message({})

/** One of its fields is there. */
export type WatchRequest = MessageOf<typeof WatchRequest>
export const WatchRequest = message({
  createRequest: nested(1, () => WatchCreateRequest),
  cancelRequest: nested(2, () => WatchCancelRequest),
  progressRequest: nested(3, () => WatchProgressRequest),
})

export type WatchResponse = MessageOf<typeof WatchResponse>
export const WatchResponse = message({
  header: nested(1, () => ResponseHeader),
  watchId: int64(2),
  created: bool(3),
  canceled: bool(4),
  /** Not 0: the watch was canceled because its start is compacted. */
  compactRevision: int64(5),
  cancelReason: text(6),
  fragment: bool(7),
  events: repeated(nested(11, () => Event)),
})
