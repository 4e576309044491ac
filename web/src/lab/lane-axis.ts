// The time axis of the lanes. Most operations take milliseconds, and seconds pass between them: time in which no client
// waits has a fixed width, however long it is. Pure functions.

import type { OperationView } from '../../../jepsen-lite/lab/view.ts'

/** A time in which operations are open, and where it is in pixels. */
export interface LaneStretch {
  readonly from: number
  readonly to: number
  readonly x1: number
  readonly x2: number
}

/** Ordered by time. The last one ends now. */
export type LaneAxis = readonly LaneStretch[]

/** Time that is shown before and after an operation. */
const AROUND_MS = 20
/** A shorter time without operations is shown as it is. */
const IDLE_MS_MIN = 120
/** Width of any longer one. */
const IDLE_WIDTH = 34
/** Part of the axis that they may have together. */
const IDLE_PART_MAX = 0.4
/** Time with operations in all stretches, at least and at most. One that is longer is alone. */
const BUSY_MS = { min: 250, max: 2500 }

type Interval = Pick<OperationView, 'from' | 'until'>

export function laneAxis(operations: readonly Interval[], now: number, width: number): LaneAxis {
  const shown = newest(busyTimes(operations, now), width)
  const busy = shown.reduce((sum, { from, to }) => sum + to - from, 0)
  const scale = (width - (shown.length - 1) * IDLE_WIDTH) / Math.max(BUSY_MS.min, busy)
  let x = 0
  return shown.map(({ from, to }) => {
    const stretch = { from, to, x1: x, x2: x + (to - from) * scale }
    x = stretch.x2 + IDLE_WIDTH
    return stretch
  })
}

interface BusyTime {
  readonly from: number
  to: number
}

function busyTimes(operations: readonly Interval[], now: number): BusyTime[] {
  const times: BusyTime[] = []
  const around = operations.map(({ from, until = now }) => ({
    from: Math.max(0, from - AROUND_MS),
    to: Math.min(now, until + AROUND_MS),
  }))
  for (const next of [...around.sort((a, b) => a.from - b.from), { from: now, to: now }]) {
    const last = times.at(-1)
    if (last !== undefined && next.from - last.to < IDLE_MS_MIN) last.to = Math.max(last.to, next.to)
    else times.push({ ...next })
  }
  return times
}

function newest(times: readonly BusyTime[], width: number): readonly BusyTime[] {
  const most = 1 + Math.floor((width * IDLE_PART_MAX) / IDLE_WIDTH)
  let busy = 0
  let count = 0
  for (const { from, to } of times.toReversed()) {
    busy += to - from
    if (count >= 1 && (count === most || busy > BUSY_MS.max)) break
    count++
  }
  return times.slice(-Math.max(1, count))
}

/** Pixels of a moment; 0 for an earlier one than the axis has. */
export function placeOn(axis: LaneAxis, time: number): number {
  const after = axis.findIndex(({ to }) => to >= time)
  const [before, stretch] = [axis[after - 1], axis[after]]
  if (stretch === undefined) return axis.at(-1)?.x2 ?? 0
  const { from, to, x1, x2 } = stretch
  if (time >= from) return to === from ? x1 : x1 + ((time - from) / (to - from)) * (x2 - x1)
  if (before === undefined) return 0
  return before.x2 + ((time - before.to) / (from - before.to)) * (x1 - before.x2)
}
