// The arithmetic of the charts. It does not use the page, and has separate tests.

/** @import { PageCall } from '../data.ts' */

/** A stretch of time. @typedef {{ readonly fromMs: number, readonly toMs: number }} Stretch */

/** The shortest part of time that can be shown. */
const SHORTEST_MS = 0.05

/**
 * The part of `whole` that is shown after zooming by `factor` (below 1: zoom in) around a time that keeps its place.
 * @param {Stretch} view @param {number} factor @param {number} aroundMs @param {Stretch} whole @returns {Stretch}
 */
export function zoomed(view, factor, aroundMs, whole) {
  const length = view.toMs - view.fromMs
  const longest = whole.toMs - whole.fromMs
  const wanted = Math.min(longest, Math.max(Math.min(SHORTEST_MS, longest), length * factor))
  const fromMs = aroundMs - ((aroundMs - view.fromMs) * wanted) / length
  return within({ fromMs, toMs: fromMs + wanted }, whole)
}

/** @param {Stretch} view @param {number} byMs @param {Stretch} whole @returns {Stretch} */
export const moved = (view, byMs, whole) =>
  within({ fromMs: view.fromMs + byMs, toMs: view.toMs + byMs }, whole)

/** The stretch with some room at both ends. @param {Stretch} view @param {Stretch} whole @returns {Stretch} */
export function stretched({ fromMs, toMs }, whole) {
  const room = Math.max(1, (toMs - fromMs) * 0.15)
  return within({ fromMs: fromMs - room, toMs: toMs + room }, whole)
}

/**
 * The stretch, moved into `whole`, and not longer than it. @param {Stretch} view @param {Stretch} whole @returns
 * {Stretch}
 */
function within(view, whole) {
  const length = Math.min(view.toMs - view.fromMs, whole.toMs - whole.fromMs)
  const fromMs = Math.max(whole.fromMs, Math.min(view.fromMs, whole.toMs - length))
  return { fromMs, toMs: fromMs + length }
}

/** The smallest of 1, 2 and 5 times a power of ten that is at least `least`. @param {number} least */
export function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(least))
  const part = least / power
  return power * (part <= 1.000001 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10)
}

/**
 * Round times in a stretch, at most about `countMax`. @param {Stretch} view @param {number} countMax @returns {{
 * readonly stepMs: number, readonly at: readonly number[] }}
 */
export function ticks({ fromMs, toMs }, countMax) {
  const stepMs = roundStep((toMs - fromMs) / Math.max(1, countMax))
  const first = Math.ceil(fromMs / stepMs)
  const last = Math.floor(toMs / stepMs)
  return { stepMs, at: Array.from({ length: Math.max(0, last - first + 1) }, (_, n) => (first + n) * stepMs) }
}

/** A time with as many digits as the step needs. @param {number} ms @param {number} stepMs */
export function timeText(ms, stepMs) {
  const inSeconds = stepMs >= 1
  const step = inSeconds ? stepMs / 1000 : stepMs
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9))
  return inSeconds ? `${(ms / 1000).toFixed(digits)} s` : `${ms.toFixed(digits)} ms`
}

/**
 * Items with a start and an end. Finds the visible ones without looking at all others.
 * @template {{ readonly startMs: number, readonly endMs: number | null }} T
 */
export class Lane {
  /** In the order of their start. @type {readonly T[]} */
  items
  /** For each item, the latest end of it and of all items before it. @type {Float64Array} */
  #reach

  /** @param {readonly T[]} items  in the order of their starts */
  constructor(items) {
    this.items = items
    this.#reach = new Float64Array(items.length)
    let reach = Number.NEGATIVE_INFINITY
    items.forEach(({ startMs, endMs }, at) => {
      reach = Math.max(reach, endMs ?? startMs)
      this.#reach[at] = reach
    })
  }

  /**
   * The items that overlap a stretch. For an item that never ended, only its start counts. @param {Stretch} view
   * @returns {Generator<T, void>}
   */
  *within({ fromMs, toMs }) {
    for (let at = this.#firstReaching(fromMs); at < this.items.length; at++) {
      const item = this.items[at]
      if (item === undefined || item.startMs > toMs) return
      if ((item.endMs ?? item.startMs) >= fromMs) yield item
    }
  }

  /** @param {number} ms */
  #firstReaching(ms) {
    let [low, high] = [0, this.items.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#reach[middle] ?? 0) < ms) low = middle + 1
      else high = middle
    }
    return low
  }
}

/**
 * For each interval, the first row in which no other one overlaps it. Intervals are in the order of their start. @param
 * {readonly Stretch[]} intervals @param {number} gapMs
 */
export function packed(intervals, gapMs) {
  /** @type {number[]} */
  const ends = []
  return intervals.map(({ fromMs, toMs }) => {
    const free = ends.findIndex((endMs) => endMs + gapMs <= fromMs)
    const row = free === -1 ? ends.length : free
    ends[row] = toMs
    return row
  })
}

/**
 * The place on a logarithmic scale, from 0 at `min` to 1 at `max`. @param {number} value @param {number} min @param
 * {number} max
 */
export const logPart = (value, min, max) =>
  Math.log(Math.min(max, Math.max(min, value)) / min) / Math.log(max / min)

/**
 * Powers of ten around all values, at least one decade apart. @param {number} least @param {number} most @returns
 * {[min: number, max: number]}
 */
export function decades(least, most) {
  const low = Math.floor(Math.log10(Math.max(least, 1e-3)))
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(most, 1e-3))))
  return [10 ** low, 10 ** high]
}

/** The value of which this part of a sorted list is below. @param {ArrayLike<number>} sorted @param {number} part */
export const quantile = (sorted, part) =>
  sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0

/**
 * Which operations are shown. @typedef {{ readonly key: number, readonly client: number, readonly outcome: string
 * }} Filter
 */

/** @param {PageCall} call @param {Filter} filter @param {readonly string[]} keys */
export function isShown(call, { key, client, outcome }, keys) {
  if (client !== -1 && call.client !== client) return false
  if (outcome !== '' && call.outcome !== outcome) return false
  if (key === -1 || call.key === key) return true
  return call.key === -1 && (keys[key] ?? '').startsWith(call.prefix)
}
