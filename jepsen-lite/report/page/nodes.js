// The states and events of the nodes, in a lane for each node, and the faults, in rows.

/** @import { PageData } from '../data.ts' */
/** @import { Band, NodeMark, Span } from '../nodes.ts' */
/** @import { Frame } from './ink.js' */
import { fitText, xAt } from './ink.js'
import { Lane, packed } from './layout.js'

const NODE_HEIGHT = 26
const ROW_HEIGHT = 17

const GLYPHS = { elected: '▲', kill: '✕', start: '●', pause: '‖', resume: '▸', wipe: '⌫', ended: '■' }

/** @typedef {Span & { readonly startMs: number, readonly endMs: number }} SpanItem */

export class Nodes {
  #data
  /** @type {readonly Lane<SpanItem>[]} */
  #lanes

  /** @param {PageData} data */
  constructor(data) {
    this.#data = data
    this.#lanes = data.nodes.map((_, node) => {
      const spans = data.spans.filter((span) => span.node === node)
      return new Lane(spans.map((span) => ({ ...span, startMs: span.fromMs, endMs: span.toMs })))
    })
  }

  get height() {
    return this.#lanes.length * NODE_HEIGHT + 4
  }

  /** @param {Frame} frame */
  draw(frame) {
    const { ctx, ink, left, right, height } = frame
    ctx.textBaseline = 'middle'
    ctx.font = ink.font
    ctx.fillStyle = ink.of('ink')
    for (const [node, name] of this.#data.nodes.entries())
      fitText(ctx, name, 4, (node + 0.5) * NODE_HEIGHT, left - 8)
    ctx.save()
    ctx.beginPath()
    ctx.rect(left, 0, right - left, height)
    ctx.clip()
    this.#lanes.forEach((lane, node) => {
      for (const span of lane.within(frame.view)) drawSpan(frame, span, node * NODE_HEIGHT + 4)
    })
    for (const fault of this.#data.faults) this.#underline(frame, fault)
    ctx.font = ink.font
    ctx.textAlign = 'center'
    for (const mark of this.#data.marks) drawMark(frame, mark)
    ctx.textAlign = 'start'
    ctx.restore()
  }

  /** Underlines the nodes that a fault hit. @param {Frame} frame @param {Band} fault */
  #underline(frame, { nodes, fromMs, toMs }) {
    const { ctx, ink } = frame
    const x = xAt(frame, fromMs)
    ctx.fillStyle = ink.of('fault')
    for (const node of nodes)
      ctx.fillRect(x, (node + 1) * NODE_HEIGHT - 2, Math.max(2, xAt(frame, toMs) - x), 3)
  }

  /** The name and the state of the node at this place and time. @param {number} y @param {number} ms */
  hit(y, ms) {
    const node = Math.floor(y / NODE_HEIGHT)
    const [span] = this.#lanes[node]?.within({ fromMs: ms, toMs: ms }) ?? []
    return span && { name: this.#data.nodes[node] ?? '', span }
  }

  /** The events of a node around a time. @param {number} node @param {number} ms @param {number} withinMs */
  marksAround(node, ms, withinMs) {
    return this.#data.marks.filter((mark) => mark.node === node && Math.abs(mark.timeMs - ms) <= withinMs)
  }
}

/** @param {Frame} frame @param {SpanItem} span @param {number} top */
function drawSpan(frame, { state, term, fromMs, toMs }, top) {
  const { ctx, ink, left, right } = frame
  const x = xAt(frame, fromMs)
  const width = Math.max(1, xAt(frame, toMs) - x)
  const height = NODE_HEIGHT - 8
  if (state === 'down') {
    ctx.strokeStyle = ink.of('down')
    ctx.lineWidth = 1.5
    ctx.setLineDash([4, 4])
    ctx.beginPath()
    ctx.moveTo(x, top + height / 2)
    ctx.lineTo(x + width, top + height / 2)
    ctx.stroke()
    ctx.setLineDash([])
  } else if (state === 'leader') {
    ctx.fillStyle = ink.of('leader')
    ctx.fillRect(x, top, width, height)
  } else if (state === 'candidate' || state === 'pre-candidate') {
    ctx.fillStyle = ink.pattern('candidate', 'stripes')
    ctx.fillRect(x, top, width, height)
  } else if (state === 'paused') {
    ctx.fillStyle = ink.pattern('down', 'dots')
    ctx.fillRect(x, top, width, height)
  } else {
    const colour = state === 'follower' || state === 'learner' ? state : 'soft'
    ctx.fillStyle = ink.tint(colour, 'weak')
    ctx.fillRect(x, top, width, height)
    ctx.strokeStyle = ink.of(colour)
    ctx.lineWidth = 1
    if (width > 3) ctx.strokeRect(x + 1.5, top + 0.5, width - 2, height - 1)
  }
  // The line between two spans.
  ctx.fillStyle = ink.of('paper')
  if (width > 3) ctx.fillRect(x, top, 1, height)
  if (width < 24 || state === 'down') return
  const from = Math.max(x, left) + 10
  ctx.font = ink.smallFont
  ctx.fillStyle = state === 'leader' ? ink.of('on-ink') : ink.of('ink')
  const words = term === null ? state : `${state} ${term}`
  const isPatterned = state === 'paused' || state === 'candidate' || state === 'pre-candidate'
  const halo = isPatterned ? ink.of('paper') : undefined
  fitText(ctx, words, from, top + height / 2 + 0.5, Math.min(x + width, right) - from - 2, halo)
}

/** @param {Frame} frame @param {NodeMark} mark */
function drawMark(frame, { node, timeMs, what }) {
  const { ctx, ink, view } = frame
  if (timeMs < view.fromMs || timeMs > view.toMs) return
  const [x, y] = [xAt(frame, timeMs), node * NODE_HEIGHT + 13]
  ctx.lineWidth = 3
  ctx.strokeStyle = ink.of('paper')
  ctx.strokeText(GLYPHS[what], x, y)
  ctx.fillStyle = what === 'kill' || what === 'ended' || what === 'wipe' ? ink.of('down') : ink.of('ink')
  ctx.fillText(GLYPHS[what], x, y)
}

export class Faults {
  #faults
  #rows

  /** @param {PageData} data */
  constructor({ faults, startMs, endMs }) {
    this.#faults = faults
    this.#rows = packed(faults, (endMs - startMs) / 500)
  }

  get height() {
    return (Math.max(-1, ...this.#rows) + 1) * ROW_HEIGHT + 4
  }

  /** @param {Frame} frame */
  draw(frame) {
    const { ctx, ink, left, right, height } = frame
    ctx.font = ink.smallFont
    ctx.textBaseline = 'middle'
    ctx.save()
    ctx.beginPath()
    ctx.rect(left, 0, right - left, height)
    ctx.clip()
    this.#faults.forEach((fault, at) => {
      const { x, width, y } = this.#barPlace(frame, at)
      if (x > right || x + width < left) return
      ctx.globalAlpha = 0.25
      ctx.fillStyle = ink.of('fault')
      if (fault.effect !== null) ctx.fillRect(x, y, width, ROW_HEIGHT - 3)
      ctx.globalAlpha = 1
      ctx.strokeStyle = ink.of('fault')
      ctx.lineWidth = 1
      ctx.setLineDash(fault.effect === null ? [3, 3] : [])
      ctx.strokeRect(x + 0.5, y + 0.5, width - 1, ROW_HEIGHT - 4)
      ctx.setLineDash([])
      ctx.fillStyle = ink.of('ink')
      const from = Math.max(x, left) + 4
      fitText(ctx, fault.kind, from, y + ROW_HEIGHT / 2 - 1, Math.min(x + width, right) - from - 2)
    })
    ctx.restore()
  }

  /** @param {Frame} frame @param {number} at */
  #barPlace(frame, at) {
    const { fromMs, toMs } = this.#faults[at] ?? { fromMs: 0, toMs: 0 }
    const x = Math.max(-50, xAt(frame, fromMs))
    const width = Math.max(3, Math.min(frame.right + 50, xAt(frame, toMs)) - x)
    return { x, width, y: (this.#rows[at] ?? 0) * ROW_HEIGHT + 2 }
  }

  /** @param {Frame} frame @param {number} x @param {number} y */
  hit(frame, x, y) {
    return this.#faults.find((_, at) => {
      const place = this.#barPlace(frame, at)
      return x >= place.x - 2 && x <= place.x + place.width + 2 && y >= place.y && y < place.y + ROW_HEIGHT
    })
  }
}
