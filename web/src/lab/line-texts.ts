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

export type ReadKind = 'get' | 'lease' | 'stale'

export const writeLine = (client: number, node: LineTarget, key = 0): string =>
  `put,client=${client},node=${place(node)},key=${key},x=${PLAIN_X}`
export const readLine = (kind: ReadKind, client: number, node: LineTarget, key = 0): string =>
  `${kind},client=${client},node=${place(node)},key=${key},x=${PLAIN_X}`
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
export const crashLine = (target: LineTarget, ms: number): string =>
  `crash,target=${place(target)},point=now,skip=0,inFlight=lost,silent=false,ms=${ms}`
export const pauseLine = (target: LineTarget, ms: number): string => `pause,target=${place(target)},ms=${ms}`
export const slowDiskLine = (target: LineTarget, ms: number): string =>
  `slow-disk,target=${place(target)},factor=${SLOW_DISK_FACTOR},ms=${ms}`
export const transferLine = (to: LineTarget): string => `transfer,target=leader,to=${place(to)}`
export const joinLine = (target: LineTarget): string => `join,target=${place(target)}`
/** `members`: those of the newest configuration, in its order. */
export const removeLine = (target: LineTarget, members: readonly string[]): string =>
  `remove,asked=leader,member=${Math.max(0, members.indexOf(target))},evenSmall=true`
export const messageLine = (
  { from, to, number }: Pick<MessageView, 'from' | 'to' | 'number'>,
  fate: 'lost' | 'late' | 'doubled',
  delayMs: number,
): string => `message,from=${place(from)},to=${place(to)},number=${number},fate=${fate},delayMs=${delayMs}`

/** Clients of the cluster of the lab. Each has one request in flight. */
export const CLIENTS = 3

/** The first client that waits for nothing. */
export function freeClient(operations: readonly OperationView[]): number | undefined {
  const waiting = new Set(operations.filter(({ outcome }) => outcome === 'waits').map(({ client }) => client))
  return Array.from({ length: CLIENTS }, (_, at) => at).find((at) => !waiting.has(`c${at + 1}`))
}
