// The states and events of nodes and processes, in a lane for each, with what processes have written; and the faults,
// in rows.

/** @import { PageData, PageLine } from '../data.ts' */
/** @import { Band, LaneMark, Span } from '../nodes.ts' */
/** @import { Frame } from './ink.js' */
import { fitText, xAt } from './ink.js'
import { Lane, packed } from './layout.js'

const STATE_HEIGHT = 26
const OUTPUT_HEIGHT = 16
const ROW_HEIGHT = 17
/** The least distance of the beginnings of two lines. */
const TICK_GAP = 3
/** Less room than this says nothing of a line of output. */
const LINE_WIDTH_MIN = 24

const GLYPHS = {
  ...{ elected: '▲', kill: '✕', start: '●', pause: '‖', resume: '▸', block: '‖', unblock: '▸', wipe: '⌫' },
  ended: '■',
}

/** @typedef {Span & { readonly startMs: number, readonly endMs: number }} SpanItem */
/** A line of output is shown until the next one. @typedef {PageLine & { readonly startMs: number, readonly endMs:
 * number }} LineItem */

/**
 * Content of lanes. `struck`: the indexes of those that a fault hit.
 * @typedef {object} LaneData
 * @property {readonly string[]} names
 * @property {readonly Span[]} spans
 * @property {readonly LaneMark[]} marks
 * @property {readonly PageLine[]} output
 * @property {boolean} isExpectedToEnd
 * @property {(fault: Band) => readonly number[]} struck
 */

/** The lanes of the nodes, or of the processes. */
export class Lanes {
  #data
  #faults
  /** @type {readonly { readonly top: number, readonly states: Lane<SpanItem>, readonly output: Lane<LineItem> }[]} */
  #lanes
  height = 4

  /** @param {LaneData} data @param {PageData} page */
  constructor(data, { faults, endMs }) {
    this.#data = data
    this.#faults = faults
    this.#lanes = data.names.map((_, place) => {
      const spans = data.spans.filter(({ lane }) => lane === place)
      const lines = data.output.filter(({ process }) => process === place)
      const top = this.height - 4
      this.height += STATE_HEIGHT + (lines.length > 0 ? OUTPUT_HEIGHT : 0)
      return {
        top,
        states: new Lane(spans.map((span) => ({ ...span, startMs: span.fromMs, endMs: span.toMs }))),
        output: new Lane(
          lines.map((line, at) => ({ ...line, startMs: line.timeMs, endMs: lines[at + 1]?.timeMs ?? endMs })),
        ),
      }
    })
  }

  /** @param {Frame} frame */
  draw(frame) {
    const { ctx, ink, left, right, height } = frame
    ctx.textBaseline = 'middle'
    ctx.font = ink.font
    ctx.fillStyle = ink.of('ink')
    for (const [place, { top }] of this.#lanes.entries())
      fitText(ctx, this.#data.names[place] ?? '', 4, top + STATE_HEIGHT / 2, left - 8)
    ctx.save()
    ctx.beginPath()
    ctx.rect(left, 0, right - left, height)
    ctx.clip()
    for (const { top, states, output } of this.#lanes) {
      for (const span of states.within(frame.view)) drawSpan(frame, span, top + 4)
      drawOutput(frame, output, top + STATE_HEIGHT)
    }
    for (const fault of this.#faults) this.#underline(frame, fault)
    ctx.font = ink.font
    ctx.textAlign = 'center'
    const { marks, isExpectedToEnd } = this.#data
    for (const mark of marks) drawMark(frame, mark, this.#lanes[mark.lane]?.top ?? 0, isExpectedToEnd)
    ctx.textAlign = 'start'
    ctx.restore()
  }

  /** Underlines the lanes that a fault hit. @param {Frame} frame @param {Band} fault */
  #underline(frame, fault) {
    const { ctx, ink } = frame
    const x = xAt(frame, fault.fromMs)
    ctx.fillStyle = ink.of('fault')
    for (const place of this.#data.struck(fault)) {
      const { top } = this.#lanes[place] ?? { top: 0 }
      ctx.fillRect(x, top + STATE_HEIGHT - 2, Math.max(2, xAt(frame, fault.toMs) - x), 3)
    }
  }

  /**
   * The name and the state of the lane at this place and time, with the last lines that were written until then.
   * @param {number} y @param {number} ms
   */
  hit(y, ms) {
    const place = this.#lanes.findLastIndex(({ top }) => y >= top)
    const lane = this.#lanes[place]
    const [span] = lane?.states.within({ fromMs: ms, toMs: ms }) ?? []
    if (lane === undefined || span === undefined) return undefined
    const lines = lane.output.items.filter(({ startMs }) => startMs <= ms).slice(-LINES_TOLD)
    return { name: this.#data.names[place] ?? '', span, lines }
  }

  /** The events of a lane around a time. @param {number} lane @param {number} ms @param {number} withinMs */
  marksAround(lane, ms, withinMs) {
    return this.#data.marks.filter((mark) => mark.lane === lane && Math.abs(mark.timeMs - ms) <= withinMs)
  }
}

const LINES_TOLD = 4

/** @param {Frame} frame @param {Lane<LineItem>} lines @param {number} top */
function drawOutput(frame, lines, top) {
  const { ctx, ink, left, right } = frame
  const y = top + OUTPUT_HEIGHT / 2
  ctx.font = ink.smallFont
  let [tickTo, textTo] = [left, left]
  for (const line of lines.within(frame.view)) {
    const [x, words] = [xAt(frame, line.startMs), line.isError ? `! ${line.text}` : line.text]
    ctx.fillStyle = ink.of(line.isError ? 'down' : 'ink')
    const freeFrom = Math.max(tickTo, textTo)
    // A part of the lines where there are many.
    if (x >= tickTo) {
      ctx.fillRect(x, top + 2, line.isError ? 2 : 1, OUTPUT_HEIGHT - 5)
      tickTo = x + TICK_GAP
    }
    const from = Math.max(x, left) + 4
    const width = Math.min(xAt(frame, line.endMs), right) - from - 3
    if (width >= LINE_WIDTH_MIN) {
      fitText(ctx, words, from, y, width)
      textTo = from + Math.min(width, ctx.measureText(words).width)
    } else if (line === lines.items.at(-1)) {
      // The last line is often that before a failure, and has no room at its right.
      ctx.textAlign = 'end'
      fitText(ctx, words, x - 4, y, x - freeFrom - 12)
      ctx.textAlign = 'start'
    }
  }
}

/** @param {Frame} frame @param {SpanItem} span @param {number} top */
function drawSpan(frame, { state, term, fromMs, toMs }, top) {
  const { ctx, ink, left, right } = frame
  const x = xAt(frame, fromMs)
  const width = Math.max(1, xAt(frame, toMs) - x)
  const height = STATE_HEIGHT - 8
  if (state === 'ended') return
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
  } else if (state === 'paused' || state === 'blocked') {
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
  const isPatterned = ['paused', 'blocked', 'candidate', 'pre-candidate'].includes(state)
  const halo = isPatterned ? ink.of('paper') : undefined
  fitText(ctx, words, from, top + height / 2 + 0.5, Math.min(x + width, right) - from - 2, halo)
}

/** @param {Frame} frame @param {LaneMark} mark @param {number} top @param {boolean} isExpectedToEnd */
function drawMark(frame, { timeMs, what }, top, isExpectedToEnd) {
  const { ctx, ink, view } = frame
  if (timeMs < view.fromMs || timeMs > view.toMs) return
  const [x, y] = [xAt(frame, timeMs), top + STATE_HEIGHT / 2]
  ctx.lineWidth = 3
  ctx.strokeStyle = ink.of('paper')
  ctx.strokeText(GLYPHS[what], x, y)
  const isDown = what === 'kill' || what === 'wipe' || (what === 'ended' && !isExpectedToEnd)
  ctx.fillStyle = ink.of(isDown ? 'down' : 'ink')
  ctx.fillText(GLYPHS[what], x, y)
}

export class Faults {
  #faults
  #rows
  /** @type {readonly string[]} */
  #labels

  /** @param {PageData} data */
  constructor({ faults, startMs, endMs, nodes, processes }) {
    this.#faults = faults
    this.#labels = faults.map((fault) => {
      const struck = [...fault.processes.map((at) => processes[at]), ...fault.nodes.map((at) => nodes[at])]
      return [fault.kind, ...struck].join(' ')
    })
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
      fitText(
        ctx,
        this.#labels[at] ?? '',
        from,
        y + ROW_HEIGHT / 2 - 1,
        Math.min(x + width, right) - from - 2,
      )
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
