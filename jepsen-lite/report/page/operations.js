// Operations as bars, in a lane for each client, with the points of the order that the checker found.

import { fitText, msAt, xAt } from './ink.js'
/** @import { PageCall, PageData, PagePoint } from '../data.ts' */
/** @import { Filter } from './layout.js' */
/** @import { Frame } from './ink.js' */
import { isShown, Lane } from './layout.js'

/**
 * An operation in its lane. `endMs` is where its bar ends. The bar of an operation that never ended ends at the next
 * operation of this client, or at the end.
 * @typedef {{ readonly call: PageCall, readonly place: number, readonly startMs: number, readonly endMs: number }} Bar
 */

const LANE_HEIGHT = { max: 22, min: 6, all: 8_000 }
const BAR_WIDTH_MIN = 2
/** On narrower bars points are drawn only if one key is selected. */
const POINT_BAR_WIDTH_MIN = 6
/** The pointer is on a bar if it is at most this far away. */
const REACH = 4

export class Operations {
  #data
  /** For each operation, its points of all keys. @type {ReadonlyMap<number, readonly PagePoint[]>} */
  pointsOf
  /** @type {ReadonlySet<number>} */
  #misfits
  /** Keys that have no explanation. @type {ReadonlySet<number>} */
  #broken
  /** @type {readonly { readonly client: number, readonly lane: Lane<Bar> }[]} */
  #lanes = []
  /**
   * The points of the selected key. @type {Lane<PagePoint & { readonly startMs: number, readonly endMs: number }>
   * | undefined}
   */
  #order
  #laneHeight = LANE_HEIGHT.max

  /** @param {PageData} data */
  constructor(data) {
    this.#data = data
    this.pointsOf = Map.groupBy(data.points, ({ call }) => call)
    this.#misfits = new Set(data.misfits.map(({ call }) => call))
    this.#broken = new Set(data.misfits.map(({ key }) => key))
  }

  /** @param {Filter} filter */
  show(filter) {
    const { calls, clients, keys, endMs: lastMs, points } = this.#data
    /** @type {Map<number, { call: PageCall, place: number, startMs: number, endMs: number }[]>} */
    const byClient = new Map(clients.map((_, client) => [client, []]))
    calls.forEach((call, place) => {
      if (!isShown(call, filter, keys)) return
      const bars = byClient.get(call.client)
      const before = bars?.at(-1)
      if (before?.call.endMs === null) before.endMs = call.startMs
      bars?.push({ call, place, startMs: call.startMs, endMs: call.endMs ?? lastMs })
    })
    this.#lanes = [...byClient]
      .filter(([, bars]) => bars.length > 0)
      .map(([client, bars]) => ({ client, lane: new Lane(bars) }))
    const fair = Math.floor(LANE_HEIGHT.all / Math.max(1, this.#lanes.length))
    this.#laneHeight = Math.max(LANE_HEIGHT.min, Math.min(LANE_HEIGHT.max, fair))
    const ofKey = filter.key === -1 ? undefined : points.filter(({ key }) => key === filter.key)
    this.#order =
      ofKey && new Lane(ofKey.map((point) => ({ ...point, startMs: point.timeMs, endMs: point.timeMs })))
  }

  get height() {
    return Math.max(1, this.#lanes.length) * this.#laneHeight + 4
  }

  /** @param {Frame} frame @param {number} picked @param {number} hovered */
  draw(frame, picked, hovered) {
    const { ctx, ink, left, right } = frame
    ctx.font = ink.smallFont
    ctx.textBaseline = 'middle'
    this.#lanes.forEach(({ client }, row) => {
      const y = row * this.#laneHeight
      if (row % 2 === 1) {
        ctx.fillStyle = ink.of('line')
        ctx.globalAlpha = 0.25
        ctx.fillRect(left, y + 2, right - left, this.#laneHeight)
        ctx.globalAlpha = 1
      }
      if (this.#laneHeight >= 12) {
        ctx.fillStyle = ink.of('ink')
        fitText(ctx, clientLabel(this.#data.clients[client] ?? ''), 4, y + 2 + this.#laneHeight / 2, left - 8)
      }
    })
    ctx.save()
    ctx.beginPath()
    ctx.rect(left, 0, right - left, frame.height)
    ctx.clip()
    for (const [row, { lane }] of this.#lanes.entries()) this.#drawLane(frame, lane, row)
    this.#drawOrder(frame)
    for (const place of [hovered, picked]) this.#drawChosen(frame, place)
    ctx.restore()
  }

  /** @param {Frame} frame @param {Lane<Bar>} lane @param {number} row */
  #drawLane(frame, lane, row) {
    const top = row * this.#laneHeight + 4
    const height = this.#laneHeight - 4
    // Answered bars on one pixel are drawn once. All other bars are drawn, above the answered ones.
    let drawnTo = Number.NEGATIVE_INFINITY
    /** @type {Bar[]} */
    const odd = []
    for (const bar of lane.within(frame.view)) {
      if (bar.call.outcome !== 'ok' || this.#misfits.has(bar.place)) {
        odd.push(bar)
        continue
      }
      if (xAt(frame, bar.endMs) < drawnTo) continue
      this.#drawBar(frame, bar, top, height)
      drawnTo = Math.max(xAt(frame, bar.endMs), xAt(frame, bar.startMs) + BAR_WIDTH_MIN)
    }
    for (const bar of odd) this.#drawBar(frame, bar, top, height)
  }

  /** @param {Frame} frame @param {Bar} bar @param {number} top @param {number} height */
  #drawBar(frame, bar, top, height) {
    const { ctx, ink, left, right } = frame
    const { call, place } = bar
    const { x, width } = barExtent(frame, bar)
    const points = this.pointsOf.get(place) ?? []
    const isMisfit = this.#misfits.has(place)
    const isLeftOut = call.outcome === 'ok' && points.length === 0 && this.#broken.has(call.key) && !isMisfit
    ctx.globalAlpha = isLeftOut ? 0.35 : 1
    ctx.lineWidth = 1
    if (call.outcome === 'ok') {
      ctx.fillStyle = call.writes ? ink.of('written') : ink.tint('ink', 'strong')
      ctx.fillRect(x, top, width, height)
    } else if (call.outcome === 'fail') {
      ctx.strokeStyle = ink.of('not-written')
      ctx.strokeRect(x + 0.5, top + 0.5, Math.max(1, width - 1), height - 1)
      cross(ctx, x + width, top + height / 2, Math.min(4, height / 2))
    } else {
      ctx.fillStyle = ink.of('paper')
      ctx.fillRect(x, top, width, height)
      ctx.fillStyle = ink.pattern('unknown', 'stripes')
      ctx.fillRect(x, top, width, height)
      ctx.strokeStyle = ink.of('unknown')
      openFrame(ctx, x, top, width, height)
    }
    if (isMisfit) {
      ctx.strokeStyle = ctx.fillStyle = ink.of('down')
      ctx.lineWidth = 3
      ctx.strokeRect(x, top, width, height)
      flag(ctx, x, top)
    }
    if (width > 34 && height >= 12) {
      // The text of a bar that begins before the visible part is shown at the left edge.
      const from = Math.max(x, left) + 5
      ctx.fillStyle = call.outcome === 'ok' ? ink.of(call.writes ? 'on-ink' : 'ink') : ink.of('ink')
      const room = Math.min(x + width, right) - from - 8
      const halo = call.outcome === 'unknown' ? ink.of('paper') : undefined
      fitText(ctx, `${call.what} → ${call.answer}`, from, top + height / 2 + 0.5, room, halo)
    }
    if (width >= POINT_BAR_WIDTH_MIN || this.#order !== undefined)
      for (const point of points) this.#drawPoint(frame, point, x, x + width, top, height)
    ctx.globalAlpha = 1
  }

  /**
   * @param {Frame} frame @param {PagePoint} point @param {number} barStart @param {number} barEnd @param {number} top
   * @param {number} height
   */
  #drawPoint(frame, { timeMs }, barStart, barEnd, top, height) {
    const { ctx, ink } = frame
    const x = xAt(frame, timeMs)
    ctx.lineWidth = 1
    if (x > barEnd) {
      // The operation took effect after its client had given up.
      ctx.strokeStyle = ink.of('unknown')
      ctx.setLineDash([2, 3])
      ctx.beginPath()
      ctx.moveTo(barEnd, top + height / 2)
      ctx.lineTo(x, top + height / 2)
      ctx.stroke()
      ctx.setLineDash([])
    }
    if (barEnd - barStart < POINT_BAR_WIDTH_MIN) {
      // On a narrow bar the point is small, so that it does not hide the bar.
      ctx.fillStyle = ink.of('ink')
      ctx.fillRect(x - 1, top - 3, 2, 5)
      return
    }
    ctx.fillStyle = ink.of('paper')
    ctx.fillRect(x - 2, top - 2, 4, height + 4)
    ctx.fillStyle = ink.of('ink')
    ctx.fillRect(x - 1, top - 2, 2, height + 4)
  }

  /** A line from each point of the chosen key to the next. @param {Frame} frame */
  #drawOrder(frame) {
    if (this.#order === undefined) return
    const { ctx, ink } = frame
    const rows = new Map(this.#lanes.map(({ client }, row) => [client, row]))
    ctx.strokeStyle = ink.of('ink')
    ctx.lineWidth = 1.25
    ctx.globalAlpha = 0.6
    ctx.beginPath()
    for (const { call, timeMs } of this.#order.within(frame.view)) {
      const row = rows.get(this.#data.calls[call]?.client ?? -1)
      if (row !== undefined) ctx.lineTo(xAt(frame, timeMs), (row + 0.5) * this.#laneHeight + 2)
    }
    ctx.stroke()
    ctx.globalAlpha = 1
  }

  /** @param {Frame} frame @param {number} place */
  #drawChosen(frame, place) {
    const found = this.find(place)
    if (found === undefined) return
    const { ctx, ink } = frame
    const { x, width } = barExtent(frame, found.bar)
    for (const [colour, line] of /** @type {const} */ ([
      ['paper', 5],
      ['ink', 2],
    ])) {
      ctx.strokeStyle = ink.of(colour)
      ctx.lineWidth = line
      ctx.strokeRect(x - 2, found.row * this.#laneHeight + 2, width + 4, this.#laneHeight)
    }
  }

  /** @param {number} place */
  find(place) {
    const client = this.#data.calls[place]?.client
    const row = this.#lanes.findIndex((lane) => lane.client === client)
    const bars = this.#lanes[row]?.lane.items ?? []
    const at = bars.findIndex((bar) => bar.place === place)
    const bar = bars[at]
    return bar === undefined ? undefined : { row, at, bar }
  }

  /**
   * The operation `by` places later in the same lane, or the one at the same time `lanes` lanes below. @param {number}
   * place
   * @param {number} by @param {number} lanes
   */
  beside(place, by, lanes) {
    const found = this.find(place)
    if (found === undefined) return this.#lanes[0]?.lane.items[0]?.place
    const bars = this.#lanes[found.row + lanes]?.lane.items ?? []
    if (lanes === 0) return bars[found.at + by]?.place
    const later = bars.findIndex(({ endMs }) => endMs >= found.bar.startMs)
    return bars.at(later)?.place
  }

  /** The first operation that is at least partly visible. @param {Frame['view']} view */
  firstIn(view) {
    for (const { lane } of this.#lanes) for (const { place } of lane.within(view)) return place
    return undefined
  }

  /** @param {Frame} frame @param {number} x @param {number} y */
  hit(frame, x, y) {
    const lane = this.#lanes[Math.floor((y - 2) / this.#laneHeight)]?.lane
    if (lane === undefined || x < frame.left) return undefined
    const around = { fromMs: msAt(frame, x - REACH), toMs: msAt(frame, x + REACH) }
    let [nearest, distance] = [/** @type {Bar | undefined} */ (undefined), Number.POSITIVE_INFINITY]
    for (const bar of lane.within(around)) {
      const extent = barExtent(frame, bar)
      const away = Math.max(extent.x - x, x - extent.x - extent.width, 0)
      if (away <= distance) [nearest, distance] = [bar, away]
    }
    return nearest?.place
  }
}

/** The name of a client; a number alone would not be clear. @param {string} client */
const clientLabel = (client) => (/^\d+$/.test(client) ? `client ${client}` : client)

/** @param {Frame} frame @param {Bar} bar */
function barExtent(frame, { startMs, endMs }) {
  // A canvas does not correctly draw shapes that are far outside of it.
  const x = Math.max(xAt(frame, startMs), -50)
  return { x, width: Math.max(BAR_WIDTH_MIN, Math.min(xAt(frame, endMs), frame.right + 50) - x) }
}

/** @param {CanvasRenderingContext2D} ctx @param {number} x @param {number} y @param {number} size */
export function cross(ctx, x, y, size) {
  ctx.beginPath()
  ctx.moveTo(x - size, y - size)
  ctx.lineTo(x + size, y + size)
  ctx.moveTo(x - size, y + size)
  ctx.lineTo(x + size, y - size)
  ctx.stroke()
}

/**
 * A frame with a tip at the right: the operation may take effect later. @param {CanvasRenderingContext2D} ctx @param
 * {number} x @param {number} top @param {number} width @param {number} height
 */
function openFrame(ctx, x, top, width, height) {
  ctx.beginPath()
  ctx.moveTo(x + width, top + 0.5)
  ctx.lineTo(x + 0.5, top + 0.5)
  ctx.lineTo(x + 0.5, top + height - 0.5)
  ctx.lineTo(x + width, top + height - 0.5)
  ctx.lineTo(x + width + 5, top + height / 2)
  ctx.lineTo(x + width, top + 0.5)
  ctx.stroke()
}

/** @param {CanvasRenderingContext2D} ctx @param {number} x @param {number} top */
function flag(ctx, x, top) {
  ctx.beginPath()
  ctx.moveTo(x - 1, top - 4)
  ctx.lineTo(x - 13, top)
  ctx.lineTo(x - 1, top + 5)
  ctx.fill()
}
