// The page: the layout of the charts, what they show, and the control by pointer and keyboard.

import { Latency, Overview, Throughput } from './charts.js'
import { Ink, msAt, xAt } from './ink.js'
/** @import { PageCall, PageData } from '../data.ts' */
/** @import { Band as Fault } from '../nodes.ts' */
/** @import { Filter, Stretch } from './layout.js' */
/** @import { Frame } from './ink.js' */
/** @import { LaneData } from './nodes.js' */
import { moved, stretched, ticks, timeText, zoomed } from './layout.js'
import { Faults, Lanes } from './nodes.js'
import { Operations } from './operations.js'

/**
 * The text about what the pointer or the keyboard selects, for example an operation. @typedef {{
 * readonly title: string, readonly rows: readonly (readonly [name: string, text: string])[] }} Description
 */

/**
 * One of the charts with the common axis of time.
 * @typedef {object} Chart
 * @property {HTMLCanvasElement} canvas
 * @property {{ readonly height: number }} part
 * @property {boolean} shaded  it is shaded during faults
 * @property {(frame: Frame) => void} draw
 * @property {(frame: Frame, x: number, y: number) => number | Description | undefined} hit
 */

/** Classes of the samples in style.css, with their words. @typedef {readonly (readonly [string, string])[]} Legend */

/** @satisfies {Record<string, Legend>} */
const LEGENDS = {
  faults: [
    ['fault', 'took effect'],
    ['idle', 'no effect was seen'],
  ],
  nodes: [
    ['leader', 'leader'],
    ['follower', 'follower'],
    ['learner', 'learner'],
    ['candidate', 'candidate'],
    ['paused', 'paused'],
    ['down', 'down'],
  ],
  processes: [
    ['running', 'running'],
    ['paused', 'paused or blocked'],
    ['down', 'down'],
    ['failure', 'failure'],
  ],
  operations: [
    ['change', 'change'],
    ['read', 'read'],
    ['fail', 'failed'],
    ['unknown', 'unknown'],
  ],
  latency: [
    ['median', 'median'],
    ['p99', '99th percentile of answered operations'],
  ],
}

const AXIS_HEIGHT = 22
const TICK_PX = 110
const WHEEL_FACTOR = 0.0015
/** Steps of keys and buttons: `move` is a part of the visible time, `zoom` a factor. */
const STEP = { move: 0.2, zoom: 0.6 }
/** If a table leads to an operation, this many times its length is shown. */
const AROUND = 12
/** If a table leads to a time, one of so many parts of the whole is shown, or less. */
const PARTS = 8
const STATES_SHOWN_MAX = 4
const POINTS_BEFORE = 6

class Page {
  #data
  #whole
  /** @type {Stretch} */
  #view
  /** @type {Filter} */
  #filter = { key: -1, client: -1, outcome: '' }
  #picked = -1
  #hovered = -1
  #misfit = -1
  /** @type {number | undefined} */
  #cursorMs
  #ink = new Ink()
  #operations
  #latency
  #throughput
  #overview
  #overviewCanvas
  /** @type {Chart[]} */
  #charts = []
  #panels = byId('panels')
  #detail = byId('detail')
  #isWaiting = false

  /** @param {PageData} data */
  constructor(data) {
    this.#data = data
    const margin = (data.endMs - data.startMs) * 0.005
    this.#whole = { fromMs: data.startMs - margin, toMs: data.endMs + margin }
    this.#view = this.#whole
    this.#operations = new Operations(data)
    this.#latency = new Latency(data)
    this.#throughput = new Throughput(data)
    this.#overview = new Overview(data)
    this.#overviewCanvas = this.#add('Overview', [])
    this.#addCharts()
    this.#listenToControls()
    this.#listenToOverview()
    this.#listenToKeys()
    this.#listenToSurroundings()
    this.#show()
    this.#describe(undefined)
    // The last lines are those before a failure.
    const output = document.querySelector('#output section')
    if (output !== null) output.scrollTop = output.scrollHeight
  }

  // ---- the charts

  #addCharts() {
    const { faults } = this.#data
    this.#chart('', [], { height: AXIS_HEIGHT }, false, (frame) => this.#drawAxis(frame))
    if (faults.length > 0) {
      const part = new Faults(this.#data)
      this.#chart(
        'Faults',
        LEGENDS.faults,
        part,
        false,
        (frame) => part.draw(frame),
        (frame, x, y) => {
          const fault = part.hit(frame, x, y)
          return fault && describeFault(fault, this.#data)
        },
      )
    }
    this.#addLanes()
    if (this.#data.calls.length > 0) this.#addOperations()
    else byId('controls').dataset.empty = ''
  }

  #addLanes() {
    const { nodes, spans, marks, processes, processSpans, processMarks, output, linesLeftOut } = this.#data
    const ofNodes = {
      ...{ names: nodes, spans, marks, output: [], isExpectedToEnd: false },
      struck: (/** @type {Fault} */ fault) => fault.nodes,
    }
    const ofProcesses = {
      ...{ names: processes, spans: processSpans, marks: processMarks, output, isExpectedToEnd: true },
      struck: (/** @type {Fault} */ fault) => fault.processes,
    }
    const add = (
      /** @type {string} */ title,
      /** @type {Legend} */ legend,
      /** @type {LaneData} */ lanes,
    ) => {
      const part = new Lanes(lanes, this.#data)
      this.#chart(
        title,
        legend,
        part,
        false,
        (frame) => part.draw(frame),
        (frame, x, y) => describeLane(part, frame, x, y),
      )
    }
    if (nodes.length > 0) add('Nodes', LEGENDS.nodes, ofNodes)
    const part = linesLeftOut === 0 ? '' : `, with the last ${output.length} lines of output`
    if (processes.length > 0) add(`Processes${part}`, LEGENDS.processes, ofProcesses)
  }

  #addOperations() {
    const operations = this.#operations
    this.#chart(
      'Operations, by client',
      LEGENDS.operations,
      operations,
      true,
      (frame) => operations.draw(frame, this.#picked, this.#hovered),
      (frame, x, y) => operations.hit(frame, x, y),
    )
    const latency = this.#latency
    this.#chart(
      'Latency',
      LEGENDS.latency,
      latency,
      true,
      (frame) => latency.draw(frame),
      (frame, x, y) => latency.hit(frame, x, y),
    )
    this.#chart('Throughput', LEGENDS.operations, this.#throughput, true, (frame) =>
      this.#throughput.draw(frame),
    )
  }

  /** @param {string} title @param {Legend} legend */
  #add(title, legend) {
    const canvas = document.createElement('canvas')
    if (title === '') canvas.className = 'axis'
    else {
      const [head, heading] = [document.createElement('div'), document.createElement('h2')]
      head.className = 'chart-head'
      heading.textContent = title
      head.append(heading, createLegend(legend))
      this.#panels.append(head)
    }
    this.#panels.append(canvas)
    return canvas
  }

  /**
   * @param {string} title @param {Legend} legend @param {Chart['part']} part @param {boolean} shaded
   * @param {Chart['draw']} draw @param {Chart['hit']} hit
   */
  #chart(title, legend, part, shaded, draw, hit = () => undefined) {
    const chart = { canvas: this.#add(title, legend), part, shaded, draw, hit }
    this.#charts.push(chart)
    this.#listenToPointer(chart)
  }

  /** Called when the filter has changed. */
  #show() {
    this.#operations.show(this.#filter)
    this.#latency.show(this.#filter)
    this.#throughput.show(this.#filter)
    this.#draw()
  }

  /** Draws with the next animation frame. */
  #draw() {
    if (this.#isWaiting) return
    this.#isWaiting = true
    requestAnimationFrame(() => {
      this.#isWaiting = false
      this.#drawNow(true)
    })
  }

  /** @param {boolean} onlyVisible  charts that are scrolled away are drawn when they become visible again */
  #drawNow(onlyVisible) {
    const { fromMs, toMs } = this.#view
    const step = (toMs - fromMs) / 100
    byId('window').textContent = `${timeText(fromMs, step)} to ${timeText(toMs, step)}`
    for (const chart of this.#charts) {
      const { canvas, part } = chart
      if (canvas.style.height !== `${part.height}px`) canvas.style.height = `${part.height}px`
      const { top, bottom } = canvas.getBoundingClientRect()
      if (onlyVisible && (bottom < 0 || top > innerHeight)) continue
      const frame = this.#createFrame(canvas, part.height, this.#view)
      if (chart.shaded) this.#shade(frame)
      chart.draw(frame)
      if (canvas.className !== 'axis') this.#drawMarks(frame)
    }
    const overview = this.#overviewCanvas
    overview.style.height = `${this.#overview.height}px`
    this.#overview.draw(this.#createFrame(overview, this.#overview.height, this.#whole), this.#view)
  }

  /**
   * An empty canvas with the resolution of the screen. @param {HTMLCanvasElement} canvas @param {number} height @param
   * {Stretch} view @returns {Frame}
   */
  #createFrame(canvas, height, view) {
    const ctx = canvas.getContext('2d')
    if (ctx === null) throw new Error('this browser cannot draw on a canvas')
    const width = canvas.clientWidth
    const fine = devicePixelRatio
    canvas.width = Math.round(width * fine)
    canvas.height = Math.round(height * fine)
    ctx.setTransform(fine, 0, 0, fine, 0, 0)
    return { ctx, ink: this.#ink, view, height, ...chartEdges(width) }
  }

  /** @param {Frame} frame */
  #drawAxis(frame) {
    const { ctx, ink, left, right, view, height } = frame
    ctx.font = ink.smallFont
    ctx.textBaseline = 'middle'
    ctx.textAlign = 'center'
    const { stepMs, at } = ticks(view, (right - left) / TICK_PX)
    for (const ms of at) {
      const x = xAt(frame, ms)
      ctx.fillStyle = ink.of('line')
      ctx.fillRect(x, height - 5, 1, 5)
      ctx.fillStyle = ink.of('ink')
      if (x > left + 15 && x < right - 15) ctx.fillText(timeText(ms, stepMs), x, height / 2 - 2)
    }
    ctx.fillStyle = ink.of('down')
    for (const ms of this.#data.brokenMs) {
      const x = Math.min(xAt(frame, ms), right - 6)
      if (x >= left && ms <= view.toMs) ctx.fillText('✗', x, height - 5)
    }
  }

  /** @param {Frame} frame */
  #shade(frame) {
    const { ctx, ink, left, right, height } = frame
    ctx.fillStyle = ink.of('fault')
    ctx.globalAlpha = 0.08
    for (const { fromMs, toMs, effect } of this.#data.faults) {
      const [from, to] = [Math.max(left, xAt(frame, fromMs)), Math.min(right, xAt(frame, toMs))]
      if (effect !== null && from < to) ctx.fillRect(from, 0, to - from, height)
    }
    ctx.globalAlpha = 1
  }

  /**
   * Lines through all charts: where a rule was broken, where an operation fits nowhere, and where the pointer is.
   * @param {Frame} frame
   */
  #drawMarks(frame) {
    const { ctx, ink, left, right, height } = frame
    /** @param {number} ms @param {import('./ink.js').Colour} colour @param {number[]} dash */
    const line = (ms, colour, dash) => {
      const x = xAt(frame, ms)
      if (x < left || x > right) return
      ctx.strokeStyle = ink.of(colour)
      ctx.lineWidth = 1
      ctx.setLineDash(dash)
      ctx.beginPath()
      ctx.moveTo(x, 0)
      ctx.lineTo(x, height)
      ctx.stroke()
      ctx.setLineDash([])
    }
    for (const ms of this.#data.brokenMs) line(ms, 'down', [])
    const { key } = this.#filter
    for (const misfit of this.#data.misfits)
      if (key === -1 || misfit.key === key) line(misfit.timeMs, 'down', [6, 3])
    if (this.#cursorMs !== undefined) line(this.#cursorMs, 'soft', [])
  }

  // ---- what is shown

  /** @param {Stretch} view */
  #setView(view) {
    this.#view = view
    this.#draw()
  }

  /** @param {number} factor @param {number} aroundMs */
  #zoom(factor, aroundMs = (this.#view.fromMs + this.#view.toMs) / 2) {
    this.#setView(zoomed(this.#view, factor, aroundMs, this.#whole))
  }

  /** @param {number} part of the visible time */
  #move(part) {
    this.#setView(moved(this.#view, part * (this.#view.toMs - this.#view.fromMs), this.#whole))
  }

  /**
   * Makes a stretch visible. `closer`: also zooms in if the stretch is a small part of the view. @param {Stretch}
   * stretch @param {boolean} closer
   */
  #reveal({ fromMs, toMs }, closer) {
    const length = this.#view.toMs - this.#view.fromMs
    const wanted = closer ? Math.min(length, Math.max(1, toMs - fromMs) * AROUND) : length
    const middle = (fromMs + toMs) / 2
    const isInView = fromMs >= this.#view.fromMs && toMs <= this.#view.toMs
    if (isInView && wanted === length) this.#draw()
    else this.#setView(moved({ fromMs: middle - wanted / 2, toMs: middle + wanted / 2 }, 0, this.#whole))
  }

  /** @param {number | undefined} place @param {boolean} closer */
  #pick(place, closer) {
    const call = this.#data.calls[place ?? -1]
    if (place === undefined || call === undefined) return
    this.#picked = place
    this.#describe(this.#describeCall(place))
    this.#reveal({ fromMs: call.startMs, toMs: call.endMs ?? call.startMs }, closer)
  }

  #letGo() {
    this.#picked = -1
    this.#describe(undefined)
    this.#draw()
  }

  #nextMisfit() {
    const { misfits, keys, points } = this.#data
    if (misfits.length === 0) return
    this.#misfit = (this.#misfit + 1) % misfits.length
    const misfit = misfits[this.#misfit]
    if (misfit === undefined) return
    this.#choose({ key: misfit.key, client: -1, outcome: '' })
    const call = this.#data.calls[misfit.call]
    this.#picked = misfit.call
    this.#describe(
      this.#describeCall(misfit.call) ?? {
        title: `The final content of a node fits nowhere: ${keys[misfit.key]}`,
        rows: [],
      },
    )
    // Also shows the last points before it, which the operation contradicts.
    const before = points
      .filter(({ key, timeMs }) => key === misfit.key && timeMs <= misfit.timeMs)
      .slice(-POINTS_BEFORE)
    const fromMs = Math.min(misfit.timeMs, ...before.map(({ timeMs }) => timeMs))
    this.#setView(stretched({ fromMs, toMs: call?.endMs ?? misfit.timeMs }, this.#whole))
  }

  /** @param {Filter} filter */
  #choose(filter) {
    this.#filter = filter
    control('key').value = String(filter.key)
    control('client').value = String(filter.client)
    control('outcome').value = filter.outcome
    this.#show()
  }

  /** Shows the operation of a button in a table. @param {number} place */
  #goTo(place) {
    const { key, client, outcome } = this.#filter
    const call = this.#data.calls[place]
    if (call === undefined) return
    const isHidden = this.#operations.find(place) === undefined
    if (isHidden) this.#choose({ key: call.key, client: -1, outcome: '' })
    else this.#choose({ key, client, outcome })
    this.#pick(place, true)
    byId('timeline').scrollIntoView()
    this.#panels.focus({ preventScroll: true })
  }

  /** @param {number} ms */
  #goToTime(ms) {
    const longest = (this.#whole.toMs - this.#whole.fromMs) / PARTS
    const half = Math.min(this.#view.toMs - this.#view.fromMs, longest) / 2
    this.#cursorMs = ms
    this.#setView(moved({ fromMs: ms - half, toMs: ms + half }, 0, this.#whole))
    byId('timeline').scrollIntoView()
  }

  // ---- the text about the selection

  /** @param {Description | undefined} selected */
  #describe(selected) {
    const title = document.createElement(selected === undefined ? 'p' : 'strong')
    title.textContent = selected?.title ?? 'Point at something, or focus the charts and press an arrow key.'
    if (selected !== undefined) this.#detail.dataset.used = ''
    const list = document.createElement('dl')
    for (const [name, text] of selected?.rows ?? []) {
      const [term, description] = [document.createElement('dt'), document.createElement('dd')]
      term.textContent = name
      description.textContent = text
      list.append(term, description)
    }
    this.#detail.replaceChildren(title, list)
  }

  /** @param {number} place @returns {Description | undefined} */
  #describeCall(place) {
    const { calls, clients, points, keys, misfits } = this.#data
    const call = calls[place]
    if (call === undefined) return undefined
    const found = this.#operations.pointsOf.get(place) ?? []
    const isMisfit = misfits.some((misfit) => misfit.call === place)
    /** @type {[string, string][]} */
    const rows = [
      ['outcome', OUTCOMES[call.outcome]],
      ['answer', call.answer],
      ['interval', formatInterval(call)],
      [
        'client',
        `${clients[call.client]}, operation ${call.id}${call.node === '' ? '' : `, sent to ${call.node}`}`,
      ],
    ]
    if (isMisfit) {
      const last = points.findLast(({ key }) => key === call.key)
      rows.unshift(['fits nowhere', 'no order of the operations on its key explains it'])
      if (last !== undefined) rows.push(['the longest order ends with', last.state])
    } else if (found.length === 0 && call.outcome !== 'fail')
      rows.push(['point', 'none: the order that was found does not contain it'])
    for (const point of found.slice(0, STATES_SHOWN_MAX)) {
      const before = points[points.indexOf(point) - 1]
      const was = before?.key === point.key ? before.state : 'its state at the beginning'
      rows.push([`${keys[point.key]} before`, was])
      rows.push([`${keys[point.key]} from ${point.timeMs.toFixed(3)} ms`, point.state])
    }
    if (found.length > STATES_SHOWN_MAX) rows.push(['and', `${found.length - STATES_SHOWN_MAX} more keys`])
    return { title: call.what, rows }
  }

  // ---- control

  /** @param {Chart} chart */
  #listenToPointer(chart) {
    const { canvas } = chart
    /** @type {{ readonly x: number, readonly view: Stretch } | undefined} */
    let drag
    let isDragged = false
    const frameNow = () => ({ view: this.#view, ...chartEdges(canvas.clientWidth) })
    canvas.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return
      drag = { x: event.offsetX, view: this.#view }
      isDragged = false
      canvas.setPointerCapture(event.pointerId)
    })
    canvas.addEventListener('pointermove', (event) => {
      if (drag === undefined) {
        this.#hover(chart, event)
        return
      }
      if (Math.abs(event.offsetX - drag.x) > 3) isDragged = true
      const { left, right } = frameNow()
      const byMs = ((drag.x - event.offsetX) / (right - left)) * (drag.view.toMs - drag.view.fromMs)
      if (isDragged) this.#setView(moved(drag.view, byMs, this.#whole))
    })
    canvas.addEventListener('pointerup', () => {
      if (drag !== undefined && !isDragged) {
        if (this.#hovered === -1) this.#letGo()
        else this.#pick(this.#hovered, false)
      }
      drag = undefined
    })
    canvas.addEventListener('pointercancel', () => {
      drag = undefined
    })
    canvas.addEventListener('pointerleave', () => {
      this.#hovered = -1
      this.#cursorMs = undefined
      this.#describe(this.#describeCall(this.#picked))
      this.#draw()
    })
    canvas.addEventListener('dblclick', (event) => this.#zoom(0.3, msAt(frameNow(), event.offsetX)))
    canvas.addEventListener(
      'wheel',
      (event) => {
        const isSideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey
        if (!event.ctrlKey && !event.metaKey && !isSideways) return
        event.preventDefault()
        if (isSideways) this.#move((event.deltaX || event.deltaY) / canvas.clientWidth)
        else this.#zoom(Math.exp(event.deltaY * WHEEL_FACTOR), msAt(frameNow(), event.offsetX))
      },
      { passive: false },
    )
  }

  /** @param {Chart} chart @param {PointerEvent} event */
  #hover({ canvas, part, hit }, event) {
    const frame = this.#frameFor(canvas, part.height)
    if (frame === undefined) return
    const found = event.offsetX < frame.left ? undefined : hit(frame, event.offsetX, event.offsetY)
    this.#hovered = typeof found === 'number' ? found : -1
    this.#cursorMs = event.offsetX < frame.left ? undefined : msAt(frame, event.offsetX)
    if (typeof found === 'number') this.#describe(this.#describeCall(found))
    else if (found !== undefined) this.#describe(found)
    else this.#describe(this.#describeCall(this.#picked))
    this.#draw()
  }

  /**
   * The frame as it is drawn now, to find what is at a place. @param {HTMLCanvasElement} canvas @param {number} height
   * @returns {Frame
   * | undefined}
   */
  #frameFor(canvas, height) {
    const ctx = canvas.getContext('2d')
    return ctx === null
      ? undefined
      : { ctx, ink: this.#ink, view: this.#view, height, ...chartEdges(canvas.clientWidth) }
  }

  #listenToOverview() {
    const canvas = this.#overviewCanvas
    canvas.className = 'overview'
    const go = (/** @type {PointerEvent} */ event) => {
      if ((event.buttons & 1) === 0) return
      const middle = msAt({ view: this.#whole, ...chartEdges(canvas.clientWidth) }, event.offsetX)
      const half = (this.#view.toMs - this.#view.fromMs) / 2
      this.#setView(moved({ fromMs: middle - half, toMs: middle + half }, 0, this.#whole))
    }
    canvas.addEventListener('pointerdown', (event) => {
      canvas.setPointerCapture(event.pointerId)
      go(event)
    })
    canvas.addEventListener('pointermove', go)
  }

  #listenToControls() {
    const { keys, clients, calls, misfits } = this.#data
    const add = (/** @type {HTMLSelectElement} */ select, /** @type {readonly string[]} */ names) =>
      select.append(...names.map((name, at) => new Option(name, String(at))))
    add(control('key'), keys)
    add(control('client'), clients)
    byId('controls').addEventListener('change', () =>
      this.#choose({
        key: Number(control('key').value),
        client: Number(control('client').value),
        outcome: control('outcome').value,
      }),
    )
    const onClick = (/** @type {string} */ name, /** @type {() => void} */ act) =>
      button(name).addEventListener('click', act)
    onClick('in', () => this.#zoom(STEP.zoom))
    onClick('out', () => this.#zoom(1 / STEP.zoom))
    onClick('fit', () => this.#setView(this.#whole))
    onClick('misfit', () => this.#nextMisfit())
    button('misfit').hidden = misfits.length === 0
    const places = new Map(calls.map(({ id }, place) => [String(id), place]))
    document.addEventListener('click', ({ target }) => {
      if (!(target instanceof HTMLElement)) return
      const { operation, key, time } = target.dataset
      if (operation !== undefined) this.#goTo(places.get(operation) ?? -1)
      if (time !== undefined) this.#goToTime(Number(time))
      if (key === undefined) return
      this.#choose({ key: keys.indexOf(key), client: -1, outcome: '' })
      byId('timeline').scrollIntoView()
    })
  }

  #listenToKeys() {
    this.#panels.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return
      const act = this.#findAction(event)
      if (act === undefined) return
      event.preventDefault()
      act()
    })
  }

  /** @param {KeyboardEvent} event @returns {(() => void) | undefined} */
  #findAction({ key, shiftKey }) {
    switch (key) {
      case 'ArrowLeft':
        return shiftKey ? () => this.#move(-STEP.move) : () => this.#step(-1, 0)
      case 'ArrowRight':
        return shiftKey ? () => this.#move(STEP.move) : () => this.#step(1, 0)
      case 'ArrowUp':
        return () => this.#step(0, -1)
      case 'ArrowDown':
        return () => this.#step(0, 1)
      case '+':
      case '=':
        return () => this.#zoom(STEP.zoom, this.#middleMs())
      case '-':
        return () => this.#zoom(1 / STEP.zoom, this.#middleMs())
      case '0':
        return () => this.#setView(this.#whole)
      case 'n':
        return () => this.#nextMisfit()
      case 'Escape':
        return () => this.#letGo()
      default:
        return undefined
    }
  }

  /** @param {number} by @param {number} lanes */
  #step(by, lanes) {
    const isShown = this.#operations.find(this.#picked) !== undefined
    this.#pick(
      isShown ? this.#operations.beside(this.#picked, by, lanes) : this.#operations.firstIn(this.#view),
      false,
    )
  }

  /** The start of the selected operation if it is visible, else the middle of the visible time. */
  #middleMs() {
    const { fromMs, toMs } = this.#view
    const call = this.#data.calls[this.#picked]
    return call !== undefined && call.startMs >= fromMs && call.startMs <= toMs
      ? call.startMs
      : (fromMs + toMs) / 2
  }

  #listenToSurroundings() {
    const repaint = () => {
      this.#ink = new Ink()
      this.#draw()
    }
    for (const query of ['(prefers-color-scheme: dark)', 'print'])
      matchMedia(query).addEventListener('change', repaint)
    new ResizeObserver(() => this.#draw()).observe(this.#panels)
    addEventListener('scroll', () => this.#draw(), { passive: true })
    // For print everything is drawn, on light paper.
    addEventListener('beforeprint', () => {
      document.documentElement.dataset.theme = 'light'
      this.#ink = new Ink()
      this.#drawNow(false)
    })
    addEventListener('afterprint', () => {
      delete document.documentElement.dataset.theme
      repaint()
    })
  }
}

const OUTCOMES = {
  ok: 'ok',
  fail: 'failed: certainly not applied',
  unknown: 'unknown: may have been applied at any time after its start',
}

/** @param {PageCall} call */
function formatInterval({ startMs, endMs }) {
  if (endMs === null) return `from ${startMs.toFixed(3)} ms, without an end`
  return `${startMs.toFixed(3)} to ${endMs.toFixed(3)} ms: ${(endMs - startMs).toFixed(3)} ms`
}

/** @param {Lanes} part @param {Frame} frame @param {number} x @param {number} y @returns {Description | undefined} */
function describeLane(part, frame, x, y) {
  const ms = msAt(frame, x)
  const found = part.hit(y, ms)
  if (found === undefined) return undefined
  const { name, span, lines } = found
  const marks = part.marksAround(span.lane, ms, msAt(frame, x + 6) - ms)
  return {
    title: `${name}: ${span.state}${span.term === null ? '' : ` in term ${span.term}`}`,
    rows: [
      ['interval', `${span.fromMs.toFixed(1)} to ${span.toMs.toFixed(1)} ms`],
      ...(span.leader === '' ? [] : [/** @type {const} */ (['leader', span.leader])]),
      ...marks.map(
        ({ what, timeMs, text }) => /** @type {const} */ ([what, `${timeMs.toFixed(1)} ms ${text}`]),
      ),
      ...lines.map(
        ({ timeMs, isError, text }) =>
          /** @type {const} */ ([`${timeMs.toFixed(1)} ms${isError ? ', stderr' : ''}`, text]),
      ),
    ],
  }
}

/** @param {PageData['faults'][number]} fault @param {PageData} data @returns {Description} */
const describeFault = ({ kind, nodes: hit, processes: struck, fromMs, toMs, effect, details }, data) => ({
  title: `fault ${kind}`,
  rows: [
    ...(struck.length === 0
      ? []
      : [/** @type {const} */ (['processes', struck.map((place) => data.processes[place]).join(' ')])]),
    ...(struck.length > 0 && hit.length === 0
      ? []
      : [
          /** @type {const} */ ([
            'nodes',
            hit.map((node) => data.nodes[node]).join(' ') || 'no certain node',
          ]),
        ]),
    ['interval', `${fromMs.toFixed(1)} to ${toMs.toFixed(1)} ms`],
    ['took effect', effect ?? 'no effect was seen'],
    ...(details === '' ? [] : [/** @type {const} */ (['how', details])]),
  ],
})

/** @param {Legend} legend */
function createLegend(legend) {
  const list = document.createElement('ul')
  list.className = 'chart-legend'
  for (const [kind, words] of legend) {
    const [item, swatch] = [document.createElement('li'), document.createElement('span')]
    swatch.className = `swatch ${kind}`
    item.append(swatch, words)
    list.append(item)
  }
  return list
}

/** The space for names is at the left. @param {number} width */
const chartEdges = (width) => ({ left: width < 600 ? 60 : 92, right: width - 6 })

/** @param {string} id @returns {HTMLElement} */
function byId(id) {
  const element = document.getElementById(id)
  if (element === null) throw new Error(`the page has no ${id}`)
  return element
}

/** @param {string} name @returns {HTMLSelectElement} */
function control(name) {
  const element = byId('controls').querySelector(`select[name=${name}]`)
  if (element instanceof HTMLSelectElement) return element
  throw new Error(`the page has no choice ${name}`)
}

/** @param {string} name @returns {HTMLButtonElement} */
function button(name) {
  const element = byId('controls').querySelector(`button[name=${name}]`)
  if (element instanceof HTMLButtonElement) return element
  throw new Error(`the page has no button ${name}`)
}

new Page(JSON.parse(byId('data').textContent ?? ''))
