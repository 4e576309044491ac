// The space-time diagram: which lines it has, what is on them, and where. Pure functions.

import type {
  DiagramEventView,
  DiagramMessageView,
  DiagramView,
} from '../../../jepsen-lite/lab/fold-views.ts'
import type { MachineView, OperationView } from '../../../jepsen-lite/lab/view.ts'
import { type CausalEdge, type CausalPoint, HappensBefore } from './happens-before.ts'
import { messageText } from './message-kinds.ts'
import { outcomeText } from './operation-lanes.ts'

/** Distance of two lines. */
export const ROW = 40
/** Space above the first line, for labels. */
const TOP = 26

/** Lengths of time that a diagram can show. */
export const SHOWN_TIMES = [125, 250, 500, 1000, 2000] as const
export type ShownTime = (typeof SHOWN_TIMES)[number]

/** A narrow screen shows less time, so that messages keep their slope. */
export const usualTime = (width: number): ShownTime => (width < 560 ? 250 : 500)

export interface DiagramLine {
  readonly name: string
  readonly kind: 'node' | 'client'
  readonly y: number
}

/** A thing on the diagram that can be picked. A message and an answer lead from one line to another. */
export interface DiagramItem {
  readonly id: string
  readonly what:
    | { readonly kind: 'message'; readonly message: DiagramMessageView }
    | { readonly kind: 'event'; readonly event: DiagramEventView }
    | { readonly kind: 'call' | 'answer'; readonly operation: OperationView }
  readonly from: DiagramPlace
  /** undefined: it is on one line, or has not reached the other one. */
  readonly to: DiagramPlace | undefined
  readonly text: string
}

export interface DiagramPlace {
  readonly line: string
  readonly at: number
  /** The point of the relation "happens before". */
  readonly point: string
}

export interface Diagram {
  readonly lines: readonly DiagramLine[]
  /** By time. */
  readonly items: readonly DiagramItem[]
  readonly height: number
}

export function diagramOf(
  { messages, events }: Pick<DiagramView, 'messages' | 'events'>,
  operations: readonly OperationView[],
  nodes: readonly Pick<MachineView, 'name'>[],
  since: number,
): Diagram {
  const clients = [...new Set(operations.map(({ client }) => client))].sort()
  const names = [
    ...nodes.map(({ name }) => ({ name, kind: 'node' as const })),
    ...clients.map((name) => ({ name, kind: 'client' as const })),
  ]
  const lines = names.map((line, at) => ({ ...line, y: TOP + at * ROW }))
  const known = new Set(names.map(({ name }) => name))
  const items = [
    ...messages.map(messageItem),
    ...events.map(eventItem),
    ...operations.flatMap(operationItems),
  ]
    .filter((item) => known.has(item.from.line) && known.has(lineTo(item)))
    .filter(({ from, to }) => (to?.at ?? from.at) >= since)
    .sort((a, b) => a.from.at - b.from.at || RANK[a.what.kind].from - RANK[b.what.kind].from)
  return { lines, items, height: TOP + lines.length * ROW }
}

/** Order at one moment: arrivals are before events, and events are before what is sent. */
const RANK = {
  message: { from: 2, to: 0 },
  event: { from: 1, to: 1 },
  call: { from: 0, to: 0 },
  answer: { from: 2, to: 2 },
}

function happensBefore(items: readonly DiagramItem[]): HappensBefore {
  const points: CausalPoint[] = []
  const edges: CausalEdge[] = []
  for (const { from, to, what } of items) {
    const rank = RANK[what.kind]
    points.push({ id: from.point, line: from.line, at: from.at, rank: rank.from })
    if (to === undefined) continue
    points.push({ id: to.point, line: to.line, at: to.at, rank: rank.to })
    edges.push({ from: from.point, to: to.point })
  }
  return new HappensBefore(points, edges)
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(3)} s`

function messageItem(message: DiagramMessageView): DiagramItem {
  const { id, from, to, sentAt, endsAt, end, term } = message
  const ended =
    end === 'arrived'
      ? `arrived ${seconds(endsAt)}`
      : end === 'lost'
        ? `lost ${seconds(endsAt)}`
        : 'in flight'
  return {
    ...{ id, what: { kind: 'message', message } },
    from: { line: from, at: sentAt, point: `${id} sent` },
    to: end === 'arrived' ? { line: to, at: endsAt, point: `${id} arrived` } : undefined,
    text: `${messageText(message)}, term ${term}: sent ${seconds(sentAt)}, ${ended}`,
  }
}

function eventItem(event: DiagramEventView): DiagramItem {
  const { id, node, at, text } = event
  return {
    ...{ id, what: { kind: 'event', event }, to: undefined },
    from: { line: node, at, point: id },
    text: `${seconds(at)}: ${text}`,
  }
}

/** The request, and the answer if there is one. A client that cannot know the outcome has no answer from the node. */
function operationItems(operation: OperationView): DiagramItem[] {
  const { id, client, node, text, from, until, outcome, answer } = operation
  const call: DiagramItem = {
    ...{ id: `call ${id}`, what: { kind: 'call', operation } },
    from: { line: client, at: from, point: `call ${id}` },
    to: { line: node, at: from, point: `call ${id} at the node` },
    text: `${seconds(from)}: ${client} asks ${node}: ${text}`,
  }
  if (until === undefined) return [call]
  const end = `answer ${id}`
  const told = { line: client, at: until, point: end }
  return [
    call,
    {
      ...{ id: end, what: { kind: 'answer', operation } },
      ...(outcome === 'unknown'
        ? { from: told, to: undefined }
        : { from: { line: node, at: until, point: `${end} at the node` }, to: told }),
      text: `${seconds(until)}: ${outcomeText(operation)}: ${text}, ${answer}`,
    },
  ]
}

/** The line that a message leads to, whether or not it arrives. */
export function lineTo({ what, from, to }: Pick<DiagramItem, 'what' | 'from' | 'to'>): string {
  return what.kind === 'message' ? what.message.to : (to?.line ?? from.line)
}

/** How an item stands to the picked one. */
export type CausalRelation = 'picked' | 'before' | 'after' | 'concurrent'

export interface Cone {
  readonly relationOf: (item: DiagramItem) => CausalRelation
  readonly before: number
  readonly after: number
  /** On each line, the last moment before the picked item and the first one after it. */
  readonly pastUntil: ReadonlyMap<string, number>
  readonly futureFrom: ReadonlyMap<string, number>
}

/** The past and the future of an item: what may have caused it, and what it may have caused. */
export function coneOf(items: readonly DiagramItem[], id: string | undefined): Cone | undefined {
  const picked = items.find((item) => item.id === id)
  if (picked === undefined) return undefined
  const order = happensBefore(items)
  const past = order.past(picked.from.point)
  const lasting =
    picked.what.kind === 'message' && picked.to === undefined ? undefined : (picked.to ?? picked.from)
  const future: ReadonlySet<string> = lasting === undefined ? new Set() : order.future(lasting.point)
  const relationOf = (item: DiagramItem): CausalRelation => {
    if (item === picked) return 'picked'
    if (past.has((item.to ?? item.from).point) && (item.what.kind !== 'message' || item.to !== undefined))
      return 'before'
    return future.has(item.from.point) ? 'after' : 'concurrent'
  }
  const relations = items.map(relationOf)
  const pastUntil = new Map<string, number>([[picked.from.line, picked.from.at]])
  const futureFrom = new Map<string, number>()
  if (lasting !== undefined) futureFrom.set(lasting.line, lasting.at)
  for (const { line, at, point } of items.flatMap(({ from, to }) =>
    to === undefined ? [from] : [from, to],
  )) {
    if (past.has(point)) pastUntil.set(line, Math.max(at, pastUntil.get(line) ?? at))
    if (future.has(point)) futureFrom.set(line, Math.min(at, futureFrom.get(line) ?? at))
  }
  const count = (relation: CausalRelation): number => relations.filter((one) => one === relation).length
  return { relationOf, before: count('before'), after: count('after'), pastUntil, futureFrom }
}

/** The state of a node between two moments. */
export interface StateSpan {
  readonly node: string
  readonly state: string
  readonly from: number
  readonly to: number
}

export function stateSpans({ states }: Pick<DiagramView, 'states'>, until: number): StateSpan[] {
  return states.map(({ node, at, state }, place) => {
    const next = states.slice(place + 1).find((other) => other.node === node)
    return { node, state, from: at, to: next?.at ?? until }
  })
}

/** Words beside events, where they do not cover each other. The later of two has no words. */
export function labelledEvents(
  items: readonly DiagramItem[],
  pixelsPerMs: number,
): ReadonlyMap<string, string> {
  const labels = new Map<string, string>()
  const ends = new Map<string, number>()
  for (const { id, what, from } of items) {
    if (what.kind !== 'event' || what.event.label === '') continue
    const x = from.at * pixelsPerMs
    if (x < (ends.get(from.line) ?? Number.NEGATIVE_INFINITY)) continue
    labels.set(id, what.event.label)
    ends.set(from.line, x + what.event.label.length * LABEL_CHARACTER + LABEL_GAP)
  }
  return labels
}

const LABEL_CHARACTER = 6
const LABEL_GAP = 12
