// A partition on the stage: which nodes are on either side of a line, and the wall between the sides. Pure functions.

import { type Point, pointAt, type Ring } from './ring-layout.ts'

/** A drawn line divides the nodes only if it is at least so long, in units of the stage. */
export const LINE_MIN = 90

/** A wall ends so far outside of the ring. */
const WALL_OUTSIDE = 50

/** The nodes to the right of the line, which continues at both ends, by their places in the list. */
export function besideLine(from: Point, to: Point, places: readonly Point[]): number[] {
  if (Math.hypot(to.x - from.x, to.y - from.y) < LINE_MIN) return []
  return places.flatMap(({ x, y }, at) =>
    (to.x - from.x) * (y - from.y) - (to.y - from.y) * (x - from.x) > 0 ? [at] : [],
  )
}

/** The smaller side, and of two equal ones that without the first node; undefined: one side is empty. */
export function smallerSide(side: readonly string[], all: readonly string[]): readonly string[] | undefined {
  const inside = all.filter((name) => side.includes(name))
  const outside = all.filter((name) => !side.includes(name))
  if (inside.length === 0 || outside.length === 0) return undefined
  if (inside.length !== outside.length) return inside.length < outside.length ? inside : outside
  return inside[0] === all[0] ? outside : inside
}

/** Neighbours on the ring that are on the same side. */
export interface SideRun {
  readonly first: number
  readonly count: number
}

/** The runs of nodes on a side; none if all are, or none is. */
export function sideRuns(isOnSide: readonly boolean[]): SideRun[] {
  const { length } = isOnSide
  return isOnSide.flatMap((is, first) => {
    if (!is || isOnSide[(first + length - 1) % length]) return []
    let count = 1
    while (isOnSide[(first + count) % length]) count++
    return [{ first, count }]
  })
}

export interface SideShape {
  /** The area of the run. */
  readonly area: string
  /** The wall, which bends around its nodes. */
  readonly wall: string
  /** Place of its words. */
  readonly words: Point
}

export function sideShape(ring: Ring, { first, count }: SideRun): SideShape {
  const radius = ring.radius + WALL_OUTSIDE
  const [start, end] = [pointAt(ring, first - 0.5, radius), pointAt(ring, first + count - 0.5, radius)]
  const { x, y } = ring.centre
  const wall = `M${start.x} ${start.y}Q${x} ${y} ${end.x} ${end.y}`
  const isLarge = count * 2 > ring.count ? 1 : 0
  return {
    wall,
    area: `${wall}A${radius} ${radius} 0 ${isLarge} 0 ${start.x} ${start.y}Z`,
    words: pointAt(ring, first + (count - 1) / 2, ring.radius * wordsAt(count)),
  }
}

/** Place of the words, as a part of the radius: between two nodes, or far enough from the one in the middle. */
const wordsAt = (count: number): number => (count > 1 && count % 2 === 1 ? 0.3 : 0.6)
