// Charts of latency and throughput over time, and the overview of the whole history.

/** @import { PageCall, PageData } from '../data.ts' */
/** @import { Filter, Stretch } from './layout.js' */
/** @import { Frame } from './ink.js' */
import { xAt } from './ink.js'
import { decades, isShown, Lane, logPart, quantile, roundStep } from './layout.js'
import { cross } from './operations.js'

/**
 * An operation that ended. @typedef {{ readonly call: PageCall, readonly place: number, readonly startMs: number,
 * readonly endMs: number }} Ended
 */

const MARGIN = 8
/** The lower end of the scale: differences between shorter latencies do not matter. */
const LATENCY_MIN_MS = 0.1
/** A quantile is drawn only for at least this many operations. */
const SAMPLE_MIN = 10
/** Sizes of the dots: large if fewer than `few` are shown. */
const DOTS = { few: 1_000, large: 4, small: 2.5 }
const BUCKET = { latencyPx: 24, throughputPx: 7 }

const KINDS = ['ok', 'fail', 'unknown']

export class Latency {
  #data
  /** @type {Lane<Ended>} */
  #lane = new Lane([])
  /** @type {[min: number, max: number]} */
  #range = [1, 10]
  height = 160

  /** @param {PageData} data */
  constructor(data) {
    this.#data = data
  }

  /** @param {Filter} filter */
  show(filter) {
    const ended = findEndedCalls(this.#data, filter)
    this.#lane = new Lane(ended)
    let [least, most] = [Number.POSITIVE_INFINITY, 0]
    for (const { startMs, endMs } of ended) {
      least = Math.min(least, endMs - startMs)
      most = Math.max(most, endMs - startMs)
    }
    this.#range = ended.length === 0 ? [1, 10] : decades(Math.max(LATENCY_MIN_MS, least), most)
  }

  /** @param {Frame} frame @param {number} ms */
  #yAt({ height }, ms) {
    return height - MARGIN - logPart(ms, ...this.#range) * (height - 2 * MARGIN)
  }

  /** @param {Frame} frame */
  draw(frame) {
    const { ctx, ink, left, right } = frame
    const [min, max] = this.#range
    ctx.font = ink.smallFont
    ctx.textBaseline = 'middle'
    ctx.textAlign = 'end'
    for (let ms = min; ms <= max * 1.01; ms *= 10) {
      const y = this.#yAt(frame, ms)
      ctx.fillStyle = ink.of('line')
      ctx.fillRect(left, y, right - left, 1)
      ctx.fillStyle = ink.of('ink')
      ctx.fillText(ms >= 1000 ? `${ms / 1000} s` : `${Number(ms.toPrecision(1))} ms`, left - 6, y)
    }
    ctx.textAlign = 'start'
    ctx.save()
    ctx.beginPath()
    ctx.rect(left, 0, right - left, frame.height)
    ctx.clip()
    this.#drawDots(frame)
    this.#drawQuantile(frame, 0.5, [])
    this.#drawQuantile(frame, 0.99, [5, 3])
    ctx.restore()
  }

  /** @param {Frame} frame */
  #drawDots(frame) {
    const { ctx, ink } = frame
    const taken = new Set()
    const shown = [...this.#lane.within(frame.view)]
    const size = shown.length < DOTS.few ? DOTS.large : DOTS.small
    ctx.lineWidth = 1
    for (const { call, startMs, endMs } of shown) {
      const [x, y] = [xAt(frame, startMs), this.#yAt(frame, endMs - startMs)]
      // Equal dots in a square of two pixels are drawn once.
      const cell = ((x >> 1) * 1_024 + (y >> 1)) * 8 + KINDS.indexOf(call.outcome) * 2 + Number(call.writes)
      if (taken.has(cell)) continue
      taken.add(cell)
      if (call.outcome === 'ok') {
        ctx.fillStyle = call.writes ? ink.of('written') : ink.tint('ink', 'strong')
        ctx.fillRect(x - size / 2, y - size / 2, size, size)
      } else if (call.outcome === 'fail') {
        ctx.strokeStyle = ink.of('not-written')
        cross(ctx, x, y, 2.5)
      } else {
        ctx.strokeStyle = ink.of('unknown')
        ctx.strokeRect(x - 2.5, y - 2.5, 5, 5)
      }
    }
  }

  /**
   * A quantile of the latency of answered operations. @param {Frame} frame @param {number} part @param {number[]} dash
   */
  #drawQuantile(frame, part, dash) {
    const { ctx, ink, view } = frame
    const sizeMs = bucketMs(frame, BUCKET.latencyPx)
    /** @type {Map<number, number[]>} */
    const buckets = new Map()
    for (const { call, startMs, endMs } of this.#lane.within(view)) {
      if (call.outcome !== 'ok') continue
      const bucket = Math.floor(startMs / sizeMs)
      const values = buckets.get(bucket)
      if (values === undefined) buckets.set(bucket, [endMs - startMs])
      else values.push(endMs - startMs)
    }
    ctx.strokeStyle = ink.of('ink')
    ctx.lineWidth = 1.5
    ctx.setLineDash(dash)
    ctx.beginPath()
    let last = Number.NaN
    for (const bucket of [...buckets.keys()].sort((a, b) => a - b)) {
      const values = buckets.get(bucket) ?? []
      if (values.length < SAMPLE_MIN) continue
      const x = xAt(frame, (bucket + 0.5) * sizeMs)
      const y = this.#yAt(frame, quantile(Float64Array.from(values).sort(), part))
      if (bucket === last + 1) ctx.lineTo(x, y)
      else ctx.moveTo(x, y)
      last = bucket
    }
    ctx.stroke()
    ctx.setLineDash([])
  }

  /** @param {Frame} frame @param {number} x @param {number} y */
  hit(frame, x, y) {
    let [nearest, distance] = [/** @type {number | undefined} */ (undefined), 8]
    for (const { place, startMs, endMs } of this.#lane.within(frame.view)) {
      const away = Math.hypot(xAt(frame, startMs) - x, this.#yAt(frame, endMs - startMs) - y)
      if (away < distance) [nearest, distance] = [place, away]
    }
    return nearest
  }
}

export class Throughput {
  #data
  /** @type {readonly Ended[]} */
  #ended = []
  height = 110

  /** @param {PageData} data */
  constructor(data) {
    this.#data = data
  }

  /** @param {Filter} filter */
  show(filter) {
    this.#ended = findEndedCalls(this.#data, filter)
  }

  /** @param {Frame} frame */
  draw(frame) {
    const { ctx, ink, left, right, height } = frame
    const sizeMs = bucketMs(frame, BUCKET.throughputPx)
    const { buckets, most } = this.#count(frame.view, sizeMs)
    const perSecond = 1000 / sizeMs
    const top = roundStep(Math.max(1, most) * perSecond)
    const scale = ((height - 2 * MARGIN) / top) * perSecond
    ctx.font = ink.smallFont
    ctx.textBaseline = 'middle'
    for (const value of [0, top / 2, top]) {
      const y = height - MARGIN - (value / perSecond) * scale
      ctx.fillStyle = ink.of('line')
      ctx.fillRect(left, y, right - left, 1)
      ctx.fillStyle = ink.of('ink')
      ctx.textAlign = 'end'
      ctx.fillText(`${Number(value.toPrecision(3))}/s`, left - 6, y)
      ctx.textAlign = 'start'
    }
    ctx.save()
    ctx.beginPath()
    ctx.rect(left, 0, right - left, height)
    ctx.clip()
    for (const [bucket, { change, read, fail, unknown }] of buckets) {
      const x = xAt(frame, bucket * sizeMs)
      const width = Math.max(1, xAt(frame, (bucket + 1) * sizeMs) - x - 1)
      let y = height - MARGIN
      const stack = (/** @type {number} */ count) => {
        y -= count * scale
        return /** @type {const} */ ([x, y, width, count * scale])
      }
      ctx.fillStyle = ink.of('written')
      ctx.fillRect(...stack(change))
      ctx.fillStyle = ink.tint('ink', 'strong')
      ctx.fillRect(...stack(read))
      ctx.fillStyle = ink.pattern('unknown', 'stripes')
      ctx.fillRect(...stack(unknown))
      if (fail === 0) continue
      ctx.strokeStyle = ink.of('not-written')
      const [, from, , tall] = stack(fail)
      ctx.strokeRect(x + 0.5, from + 0.5, Math.max(1, width - 1), Math.max(1, tall - 1))
    }
    ctx.restore()
  }

  /** @param {Stretch} view @param {number} sizeMs */
  #count({ fromMs, toMs }, sizeMs) {
    /** @type {Map<number, { change: number, read: number, fail: number, unknown: number }>} */
    const buckets = new Map()
    let most = 0
    for (const { call, endMs } of this.#ended) {
      if (endMs < fromMs - sizeMs || endMs > toMs + sizeMs) continue
      const bucket = Math.floor(endMs / sizeMs)
      const counts = buckets.get(bucket) ?? { change: 0, read: 0, fail: 0, unknown: 0 }
      buckets.set(bucket, counts)
      counts[call.outcome !== 'ok' ? call.outcome : call.writes ? 'change' : 'read'] += 1
      most = Math.max(most, counts.change + counts.read + counts.fail + counts.unknown)
    }
    return { buckets, most }
  }
}

/**
 * The whole history: how many operations were answered, whether some failed or are of unknown outcome, the faults, and
 * the part that the other charts show.
 */
export class Overview {
  #data
  /** Counts for each column; computed again when the width changes. */
  #counts = { ok: new Float64Array(0), fail: new Float64Array(0), unknown: new Float64Array(0) }
  height = 40

  /** @param {PageData} data */
  constructor(data) {
    this.#data = data
  }

  /** @param {Frame} frame of the whole @param {Stretch} shown */
  draw(frame, shown) {
    const { ctx, ink, left, right, height } = frame
    const columns = Math.max(1, Math.floor((right - left) / 2))
    if (this.#counts.ok.length !== columns) this.#counts = this.#count(columns)
    const { ok, fail, unknown } = this.#counts
    const most = ok.reduce((a, b) => Math.max(a, b), 1)
    ctx.font = ink.font
    ctx.textBaseline = 'middle'
    ctx.fillStyle = ink.of('ink')
    ctx.fillText('all', 4, height / 2)
    for (const { fromMs, toMs } of this.#data.faults) {
      ctx.globalAlpha = 0.18
      ctx.fillStyle = ink.of('fault')
      ctx.fillRect(xAt(frame, fromMs), 0, Math.max(2, xAt(frame, toMs) - xAt(frame, fromMs)), height)
      ctx.globalAlpha = 1
    }
    for (let column = 0; column < columns; column++) {
      const tall = ((ok[column] ?? 0) / most) * (height - 10)
      ctx.fillStyle = ink.of('soft')
      ctx.fillRect(left + 2 * column, height - tall, 2, tall)
      const isUnknown = (unknown[column] ?? 0) > 0
      ctx.fillStyle = ink.of(isUnknown ? 'unknown' : 'not-written')
      if (isUnknown || (fail[column] ?? 0) > 0) ctx.fillRect(left + 2 * column, 2, 2, 5)
    }
    ctx.fillStyle = ink.of('down')
    const { misfits, brokenMs } = this.#data
    for (const ms of [...misfits.map(({ timeMs }) => timeMs), ...brokenMs])
      ctx.fillRect(xAt(frame, ms) - 1, 0, 3, height)
    const [from, to] = [xAt(frame, shown.fromMs), xAt(frame, shown.toMs)]
    ctx.globalAlpha = 0.55
    ctx.fillStyle = ink.of('paper')
    ctx.fillRect(left, 0, from - left, height)
    ctx.fillRect(to, 0, right - to, height)
    ctx.globalAlpha = 1
    ctx.strokeStyle = ink.of('ink')
    ctx.lineWidth = 2
    ctx.strokeRect(from, 1, Math.max(4, to - from), height - 2)
  }

  /** @param {number} columns */
  #count(columns) {
    const { calls, startMs, endMs: lastMs } = this.#data
    const counts = {
      ok: new Float64Array(columns),
      fail: new Float64Array(columns),
      unknown: new Float64Array(columns),
    }
    for (const { outcome, endMs } of calls) {
      const at = Math.floor((((endMs ?? lastMs) - startMs) / (lastMs - startMs)) * columns)
      const column = Math.min(columns - 1, at)
      counts[outcome][column] = (counts[outcome][column] ?? 0) + 1
    }
    return counts
  }
}

/** @param {PageData} data @param {Filter} filter @returns {Ended[]} */
const findEndedCalls = ({ calls, keys }, filter) =>
  calls.flatMap((call, place) =>
    call.endMs === null || !isShown(call, filter, keys)
      ? []
      : [{ call, place, startMs: call.startMs, endMs: call.endMs }],
  )

/** @param {Frame} frame @param {number} px */
const bucketMs = ({ view, left, right }, px) =>
  roundStep(((view.toMs - view.fromMs) * px) / Math.max(1, right - left))
