// Places on the stage: nodes on a ring, lanes between them, and messages on the lanes. Pure functions.

import type { LinkView, MachineView, MessageView } from '../../../jepsen-lite/lab/view.ts'

export const STAGE = { width: 480, height: 540 } as const
export const NODE_RADIUS = 31
/** The election timer is drawn around the node. */
export const ARC_RADIUS = NODE_RADIUS + 8
const RING_RADIUS = 186
const LANE_GAP = ARC_RADIUS + 8
/** Distance between the two directions of a link. */
const APART = 6
/** A ring with more nodes is a little larger. */
const LARGER_FROM = 6

export interface Point {
  readonly x: number
  readonly y: number
}

export interface StageLane {
  readonly from: Point
  readonly to: Point
}

/** The lane of a link; undefined: one of its nodes is not on the stage. */
export type LaneOf = (link: LinkView) => StageLane | undefined

/** Nodes that are, or were, a part of the cluster. */
export const shownNodes = (nodes: readonly MachineView[]): MachineView[] =>
  nodes.filter(({ member, state, lastIndex }) => member !== 'none' || state !== 'down' || lastIndex > 0)

export interface Ring {
  readonly centre: Point
  readonly radius: number
  readonly count: number
}

export function ringOf(count: number): Ring {
  // An odd ring has its lowest nodes higher than its radius.
  const centre = { x: STAGE.width / 2, y: STAGE.height / 2 - 6 + (count % 2 === 1 && count > 1 ? 12 : 0) }
  return { centre, radius: count >= LARGER_FROM ? RING_RADIUS + 6 : RING_RADIUS, count }
}

/** The point in the direction of a node, the first at the top, clockwise. Parts of nodes are between them. */
export function pointAt({ centre, count }: Ring, at: number, radius: number): Point {
  const angle = (2 * Math.PI * at) / count - Math.PI / 2
  return { x: round(centre.x + radius * Math.cos(angle)), y: round(centre.y + radius * Math.sin(angle)) }
}

export function nodePlace(at: number, count: number): Point {
  const ring = ringOf(count)
  return count === 1 ? ring.centre : pointAt(ring, at, ring.radius)
}

/** Way of the messages from one node to another. The opposite direction is beside it. */
export function laneBetween(from: Point, to: Point): StageLane {
  const length = Math.hypot(to.x - from.x, to.y - from.y) || 1
  const [dx, dy] = [(to.x - from.x) / length, (to.y - from.y) / length]
  const [sideX, sideY] = [-dy * APART, dx * APART]
  return {
    from: { x: from.x + dx * LANE_GAP + sideX, y: from.y + dy * LANE_GAP + sideY },
    to: { x: to.x - dx * LANE_GAP + sideX, y: to.y - dy * LANE_GAP + sideY },
  }
}

/** The part of its way that a message has made. One that waits at the end, as for a paused process, has made all. */
export function travelled({ sentAt, arrivesAt }: MessageView, instant: number): number {
  if (arrivesAt <= sentAt) return 1
  return Math.min(1, Math.max(0, (instant - sentAt) / (arrivesAt - sentAt)))
}

export const pointOn = ({ from, to }: StageLane, part: number): Point => ({
  x: round(from.x + (to.x - from.x) * part),
  y: round(from.y + (to.y - from.y) * part),
})

export const degreesOf = ({ from, to }: StageLane): number =>
  round((Math.atan2(to.y - from.y, to.x - from.x) * 180) / Math.PI)

/** The part of the longest election timeout that is left. */
export function timeLeft(
  { from, until }: { readonly from: number; readonly until: number },
  instant: number,
): number {
  return Math.min(1, Math.max(0, (until - instant) / (until - from)))
}

/** An arc around (0, 0) from the top, clockwise, over this part of the circle. */
export function arcPath(part: number, radius: number): string {
  // The ends of a whole circle are equal, and it would not be drawn.
  const angle = 2 * Math.PI * Math.min(part, 0.9999)
  const [x, y] = [round(radius * Math.sin(angle)), round(-radius * Math.cos(angle))]
  return `M0 ${-radius}A${radius} ${radius} 0 ${part > 0.5 ? 1 : 0} 1 ${x} ${y}`
}

const round = (value: number): number => Math.round(value * 100) / 100
