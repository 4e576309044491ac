// The lines that a person adds to a schedule, as text (jepsen-lite/lab/schedule-link.ts).

import type { FaultView, MessageView, OperationView } from '../../../jepsen-lite/lab/view.ts'

/** A machine by its role, or by its name. */
export type LineTarget = 'leader' | string

/** Machines are numbered from 0 and named from n1. */
const place = (target: LineTarget): string =>
  target === 'leader' ? target : String(Number(target.slice(1)) - 1)

const CUT = 'stalls=false,refuses=false,breaks=false'
/** The `x` of an operation that has a short value, and demands nothing else. */
const PLAIN_X = 41
const SLOW_DISK_FACTOR = 30

/** The duration of a lease. Followers that promised it elect nobody for so long. */
const LEASE_MS = 1500

/** Requests of clients: each has numbers from which the simulator derives what it does not name. */
const REQUESTS = {
  put: PLAIN_X,
  get: PLAIN_X,
  lease: PLAIN_X,
  stale: PLAIN_X,
  del: PLAIN_X,
  cas: PLAIN_X,
  create: PLAIN_X,
  /** A put with a token and no condition. */
  once: 102,
  again: PLAIN_X,
  /** All keys, from now on. */
  watch: 1363,
  /** Five seconds longer than the shortest lease. */
  grant: 4,
  /** The key b0, with a lease that was granted. */
  attach: 16,
  /** All leases that were granted. */
  'keep-alive': 40,
  revoke: PLAIN_X,
  compact: PLAIN_X,
} as const
export type RequestKind = keyof typeof REQUESTS
/** Requests whose number means something only together with the first key. */
const OF_FIRST_KEY: ReadonlySet<RequestKind> = new Set(['watch', 'grant', 'attach', 'keep-alive'])

export const requestLine = (kind: RequestKind, client: number, node: LineTarget, key: number): string =>
  `${kind},client=${client},node=${place(node)},key=${OF_FIRST_KEY.has(kind) ? 0 : key},x=${REQUESTS[kind]}`

/** A request about the lock. The simulator knows its keys. */
export const lockLine = (
  kind: 'lock' | 'release' | 'write' | 'fenced-write',
  client: number,
  node: LineTarget,
): string => `${kind},client=${client},node=${place(node)},key=0,x=0`
/** The process of the client stands still. What it is to do meanwhile, it does when it continues. */
export const standStillLine = (client: number, node: LineTarget, ms: number): string =>
  `stand-still,client=${client},node=${place(node)},key=0,x=${ms}`

export const writeLine = (client: number, node: LineTarget, key = 0): string =>
  requestLine('put', client, node, key)
export const cutOffLine = (target: LineTarget, ms: number): string =>
  `isolate,target=${place(target)},ms=${ms},${CUT}`
/** It sends nothing to that node any more. */
export const cutLinkLine = (from: LineTarget, to: LineTarget, ms: number): string =>
  `one-way,from=${place(from)},to=${place(to)},ms=${ms},${CUT}`
/** `in`: it hears nobody; `out`: nobody hears it. */
export const deafLine = (target: LineTarget, direction: 'in' | 'out', ms: number): string =>
  `deaf,target=${place(target)},direction=${direction},ms=${ms},${CUT}`
/** Nothing passes between these nodes and the others. */
export const partitionLine = (side: readonly string[], ms: number): string =>
  `partition,side=(${side.map(place).join('+')}),ms=${ms},${CUT}`
/** The faults of that kind that hit those nodes end. */
export function healLine({ kind, nodes }: Pick<FaultView, 'kind' | 'nodes'>): string {
  const [first = 'n1', second] = nodes
  const peer = second === undefined ? '' : `,peer=${place(second)}`
  return `heal,fault=${kind},target=${place(first)}${peer}`
}
/**
 * A crash. inFlight: what becomes of the write that is not yet durable; silent: the power goes, and no connection is
 * closed.
 */
export const crashLine = (
  target: LineTarget,
  ms: number,
  inFlight: 'lost' | 'kept' = 'lost',
  silent = false,
): string => `crash,target=${place(target)},point=now,skip=0,inFlight=${inFlight},silent=${silent},ms=${ms}`
export const stallDiskLine = (target: LineTarget, ms: number): string =>
  `stall-disk,target=${place(target)},ms=${ms}`
export const fullDiskLine = (target: LineTarget, ms: number): string =>
  `full-disk,target=${place(target)},ms=${ms}`
export const jumpLine = (target: LineTarget, forwardMs: number): string =>
  `jump,target=${place(target)},forwardMs=${forwardMs}`
/** Its clock counts so many milliseconds in a second. */
export const skewLine = (target: LineTarget, perMille: number, ms: number): string =>
  `skew,target=${place(target)},perMille=${perMille},ms=${ms}`
export const compactLogLine = (target: LineTarget, ms: number): string =>
  `compact-log,target=${place(target)},ms=${ms}`
/** Leader leases of the cluster. */
export const leasesLine = (isOn: boolean): string => `leases,target=leader,on=${isOn},durationMs=${LEASE_MS}`
export const pauseLine = (target: LineTarget, ms: number): string => `pause,target=${place(target)},ms=${ms}`
export const slowDiskLine = (target: LineTarget, ms: number): string =>
  `slow-disk,target=${place(target)},factor=${SLOW_DISK_FACTOR},ms=${ms}`
export const transferLine = (to: LineTarget): string => `transfer,target=leader,to=${place(to)}`
export const joinLine = (target: LineTarget): string => `join,target=${place(target)}`
/** `members`: those of the newest configuration, in its order. */
export const removeLine = (target: LineTarget, members: readonly string[]): string =>
  `remove,${changeOf(target, members)}`
/** A spare machine takes its place. */
export const replaceLine = (target: LineTarget, members: readonly string[]): string =>
  `replace,${changeOf(target, members)}`
const changeOf = (target: LineTarget, members: readonly string[]): string =>
  `asked=leader,member=${members.indexOf(target)},evenSmall=true`
export const messageLine = (
  { from, to, number }: Pick<MessageView, 'from' | 'to' | 'number'>,
  fate: 'lost' | 'late' | 'doubled',
  delayMs: number,
): string => `message,from=${place(from)},to=${place(to)},number=${number},fate=${fate},delayMs=${delayMs}`

/** Clients of the cluster of the lab. Each has one request in flight. */
export const CLIENTS = 3

/** The first client that waits for nothing and does not stand still. */
export function freeClient(
  operations: readonly OperationView[],
  standing: Pick<ReadonlyMap<string, string>, 'has'> = new Map(),
): number | undefined {
  const waiting = new Set(operations.filter(({ outcome }) => outcome === 'waits').map(({ client }) => client))
  return Array.from({ length: CLIENTS }, (_, at) => at).find(
    (at) => !waiting.has(`c${at + 1}`) && !standing.has(`c${at + 1}`),
  )
}
