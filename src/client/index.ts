/// <reference lib="esnext.disposable" preserve="true" />
// The client library: how an application uses a cluster.
//
//   const kv = new Client({ endpoints: ['http://127.0.0.1:7301'] })
//   await kv.put('greeting', 'hello')
//   console.log((await kv.get('greeting'))?.text())
//
// How it works, from the outside in:
//
//   client.ts     the calls; what the client remembers: the cluster's id, the highest revision seen, its idempotency tokens
//   turns.ts      limits the calls under way; the others wait for their turn
//   hedges.ts     limits how often a second node is asked when the first is silent
//   call.ts       one call: which node to ask, when to ask another one, when to try again and when not
//   verdict.ts    the error of a call that failed, and whether it may have been applied
//   endpoints.ts  round robin with a circuit breaker per endpoint
//   questions.ts  the question before the first change
//   exchange.ts   one HTTP request and its answer, and whether a byte left;  timer.ts: time-outs of any length
//   lookup.ts     DNS lookups of host names; the server uses it too
//   arguments.ts  the arguments of each call, checked before anything is sent;  check.ts, nearest.ts: how
//   list.ts       ranges, by page or as one stream;  decode.ts, address.ts: JSON and URLs
//
// Any node accepts any request, so the client does not need the leader. It learns the nodes from the first one that
// answers. A call is tried again, with back-off and jitter, until its deadline, and asks a second node when the first
// is silent. Reads always do so. Put and delete do so because each carries a unique idempotency key, by which the
// cluster applies it at most once. Changes of the cluster itself do so only while no byte has left or a node has said
// that nothing was done. When a call fails, `error.written` says whether it may have been applied.
//
// Limits: it does not cache, does not batch calls into one request, and does not watch keys. It trusts the network as
// the nodes do (no TLS yet). Reads never return older data than earlier ones of the same Client object; this does not
// hold across several Client objects.

export { Client } from './client.ts'
export {
  AbortedError,
  type ErrorCode,
  type ErrorDetails,
  OutcomeUnknownError,
  PreconditionFailedError,
  QuorateError,
  type RecordMeta,
  UnavailableError,
  UnreachableError,
  type Written,
} from './errors.ts'
export type {
  AnswerInfo,
  CallOptions,
  ClientOptions,
  ClusterInfo,
  Consistency,
  DeleteOptions,
  DeleteResult,
  KvRecord,
  ListOptions,
  Member,
  NewMember,
  NodeCallOptions,
  NodeStatus,
  PutOptions,
  PutResult,
  RangeOptions,
  ReadOptions,
  Settings,
} from './types.ts'
