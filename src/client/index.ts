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
//   turns.ts      how many calls are under way at a time; the others wait for their turn
//   hedges.ts     how many of them may be sent to a second node since the first keeps silent
//   call.ts       one call: whom to ask, when to ask another as well, when to try again, when never to
//   verdict.ts    what to say of a call that failed, and whether it may have been applied
//   endpoints.ts  round robin with a circuit breaker per endpoint
//   questions.ts  what is asked before the first change
//   exchange.ts   one HTTP request and its answer, and whether a byte of it left;  timer.ts: time-outs of any length
//   lookup.ts     where the host of a name is; the server uses it too
//   arguments.ts  what each call takes, checked before anything is sent;  check.ts, nearest.ts: how
//   list.ts       ranges, by page or as one stream;  decode.ts, address.ts: the wire
//
// Any node takes any request, so the client needs no leader; it learns the nodes from the first that answers. A call is
// tried again, with back-off and jitter, until its deadline, and asks a second node when the first keeps silent: reads
// always; put and delete because each carries an idempotency key of its own, by which the cluster applies it at most
// once; changes of the cluster itself only while no byte has left or a node has said that nothing was done. When a call
// fails, `error.written` says whether it may have been applied.
//
// What it does not do: cache, batch calls into one request, or watch. It trusts the network as the nodes do (no TLS
// yet). Its promise that reads never go back holds for one Client object, not across several.

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
