// The messages between `kv cluster …` and the supervisor of a local cluster, and the status that they carry. A command
// and a supervisor may be of different versions: an update of the program ends no cluster. Names in camelCase are those
// of version 0.1.0.

import {
  type DocumentType,
  document,
  flag,
  listOf,
  oneOf,
  optional,
  orNull,
  spelled,
  text,
  union,
  wholeNumber,
} from './document.ts'

/** A node of a local cluster, from its process and from its report. */
export const LocalNodeDocument = document('a node', {
  name: text,
  pid: orNull(wholeNumber),
  url: text,
  state: oneOf(['running', 'paused', 'stopped', 'unreachable']),
  role: orNull(text),
  term: orNull(wholeNumber),
  commitIndex: orNull(wholeNumber),
  appliedIndex: orNull(wholeNumber),
  revision: orNull(wholeNumber),
})
export type LocalNodeStatus = DocumentType<typeof LocalNodeDocument>

/** The output of `kv cluster status -o json`. */
export const LocalClusterDocument = document('the status of a cluster', {
  /** null until the cluster is founded. */
  clusterId: orNull(text),
  leader: orNull(text),
  term: orNull(wholeNumber),
  nodes: listOf(LocalNodeDocument),
})
export type LocalClusterStatus = DocumentType<typeof LocalClusterDocument>

// ---------------------------------------------------------------------------------------------------------------------
// Requests

/** The messages of `from` to `to`; `both`: those of `to` to `from` as well. */
const FaultLinkDocument = document('a link', { from: text, to: text, both: flag })
export type FaultLink = DocumentType<typeof FaultLinkDocument>

const StatusRequest = document('a request', { command: oneOf(['status']) })
const StopRequest = document('a request', { command: oneOf(['stop']) })
/**
 * Replied to when every node is ready, or when it is certain that one of them will not become ready. Refused for a
 * cluster that runs without TLS, with relays, or with the API of etcd, if the user wants the opposite.
 */
const FormedRequest = document('a request', {
  command: oneOf(['formed']),
  tls: optional(flag),
  direct: optional(flag),
  etcdApi: spelled('etcdApi', optional(flag)),
})
const NodeRequest = document('a request', {
  command: oneOf(['kill', 'pause', 'resume', 'restart']),
  node: text,
})
const RejoinRequest = document('a request', {
  command: oneOf(['rejoin']),
  node: text,
  /** The user agrees that a node that is ready loses its data. */
  evenIfHealthy: spelled('evenIfHealthy', flag),
  /** The Authorization header with which the fresh replica joins. */
  authorization: optional(text),
})
const PartitionRequest = document('a request', {
  command: oneOf(['partition']),
  groups: listOf(listOf(text)),
  reset: flag,
})
const CutRequest = document('a request', { command: oneOf(['cut']), ...FaultLinkDocument.table })
const HealRequest = document('a request', {
  command: oneOf(['heal']),
  /** The link of a cut which is undone; undefined: all partitions and cuts are undone. */
  link: optional(FaultLinkDocument),
})

/** A request that changes nodes or the network between them. */
const FAULT_REQUESTS = [NodeRequest, RejoinRequest, PartitionRequest, CutRequest, HealRequest] as const
export type FaultRequest = DocumentType<(typeof FAULT_REQUESTS)[number]>
export type NodeCommand = DocumentType<typeof NodeRequest>['command']

export const ControlRequestDocument = union('a request', 'command', [
  StatusRequest,
  FormedRequest,
  StopRequest,
  ...FAULT_REQUESTS,
])
export type ControlRequest = ReturnType<typeof ControlRequestDocument.decode>

// ---------------------------------------------------------------------------------------------------------------------
// Replies

const SuccessDocument = document('a reply', {
  ok: oneOf([true]),
  /** For a person. */
  message: text,
  status: optional(LocalClusterDocument),
  /** With `status`: the address of the console, with its token. Absent when none runs. */
  console: optional(text),
})

const FailureDocument = document('a reply', {
  ok: oneOf([false]),
  exitCode: spelled('exitCode', wholeNumber),
  /** For a person. */
  message: text,
  /** `stopping`: the supervisor is about to end, and `stop` waits for that. `ended`: it has ended. */
  supervisor: optional(oneOf(['stopping', 'ended'])),
  /** Name of a node that is ready: `rejoin` needs `evenIfHealthy`. */
  healthy: optional(text),
})
export type ControlError = DocumentType<typeof FailureDocument>

export const ControlReplyDocument = union('a reply', 'ok', [SuccessDocument, FailureDocument])
export type ControlReply = ReturnType<typeof ControlReplyDocument.decode>
