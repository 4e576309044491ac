// Lines over time, drawn by uPlot on a canvas. The legend under the chart has the same numbers as text.

import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import './chart.css'
import { logMarks, logRange } from './log-scale.ts'

export interface ChartLine {
  readonly name: string
  /** A token of colour: `--written`. */
  readonly color: `--${string}`
  readonly isDashed?: boolean
  /** By the index of its time; undefined where nothing is known. */
  readonly values: readonly (number | undefined)[]
}

export interface ChartMoment {
  readonly time: number
  readonly text: string
}

interface ChartProps {
  /** The title, also for screen readers. */
  readonly label: string
  /** Times of `Date.now()`, ascending. */
  readonly times: readonly number[]
  /** The time at the left edge, if the last time is a minute later. The right edge is the last time. */
  readonly from: number
  readonly lines: readonly ChartLine[]
  /** Moments that are marked with a vertical line. */
  readonly moments?: readonly ChartMoment[]
  readonly format: (value: number) => string
  /** Logarithmic, for values of which one may be a thousand times another: one peak would flatten all others. */
  readonly isLog?: boolean
  /** In CSS pixels. */
  readonly height?: number
}

export function Chart(props: ChartProps) {
  const { label, times, from, lines, moments = [], format, isLog = false, height = 140 } = props
  const frame = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>(undefined)
  const drawn = useRef({ times, lines, from, moments, format })
  drawn.current = { times, lines, from, moments, format }
  const shape = lines.map(({ name, color, isDashed }) => `${name} ${color} ${isDashed}`).join()

  // `shape` stands for the lines here. Their values change below. A change of the theme creates the plot again.
  useEffect(() => {
    const element = frame.current
    if (element === null) return
    const create = (): void => {
      const { times, lines, from } = drawn.current
      plot.current?.destroy()
      plot.current = new uPlot(
        chartOptions(element, lines, height, isLog, drawn),
        [[], ...lines.map(() => [])],
        element,
      )
      draw(plot.current, times, lines, from)
    }
    create()
    const resized = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height }))
    resized.observe(element)
    const theme = matchMedia('(prefers-color-scheme: dark)')
    const themed = new MutationObserver(create)
    themed.observe(document.documentElement, { attributeFilter: ['data-theme'] })
    theme.addEventListener('change', create)
    return () => {
      resized.disconnect()
      themed.disconnect()
      theme.removeEventListener('change', create)
      plot.current?.destroy()
      plot.current = undefined
    }
  }, [shape, height, isLog])

  useEffect(() => {
    if (plot.current) draw(plot.current, times, lines, from)
  }, [times, lines, from])

  return (
    <figure class="chart">
      <figcaption>
        <h3>{label}</h3>
        <ul class="chart-legend">
          {lines.map(({ name, color, isDashed, values }) => {
            const last = values.at(-1)
            return (
              <li key={name}>
                <svg viewBox="0 0 16 4" aria-hidden="true">
                  <path
                    d="M0 2h16"
                    style={{ stroke: `var(${color})` }}
                    stroke-dasharray={isDashed ? '4 2' : undefined}
                  />
                </svg>
                {name} <strong>{last === undefined ? '–' : format(last)}</strong>
              </li>
            )
          })}
        </ul>
      </figcaption>
      <div ref={frame} class="chart-frame" aria-hidden="true" />
    </figure>
  )
}

/** The least time that is shown. Within less, marks of the axis would have equal texts. */
const SPAN_SECONDS_MIN = 60

function draw(plot: uPlot, times: readonly number[], lines: readonly ChartLine[], from: number): void {
  const seconds = times.map((time) => time / 1000)
  plot.setData([seconds, ...lines.map(({ values }) => values.map((value) => value ?? null))], false)
  const max = Math.max(seconds.at(-1) ?? 0, from / 1000)
  plot.setScale('x', { min: Math.min(from / 1000, max - SPAN_SECONDS_MIN), max })
}

type Drawn = { readonly current: Pick<Required<ChartProps>, 'from' | 'moments' | 'format'> }

function chartOptions(
  element: HTMLElement,
  lines: readonly ChartLine[],
  height: number,
  isLog: boolean,
  drawn: Drawn,
): uPlot.Options {
  const style = getComputedStyle(element)
  const color = (token: string): string => resolveColor(element, token)
  const font = `11px ${style.fontFamily}`
  const axis = { stroke: color('--faint'), font, ticks: { show: false }, gap: 4 }
  return {
    width: element.clientWidth,
    height,
    legend: { show: false },
    cursor: { show: false },
    padding: [8, 0, 0, 0],
    scales: {
      x: { time: true, auto: false },
      y: isLog
        ? { distr: 3, range: (_, min, max) => (min > 0 ? logRange(min, max) : [0.001, 1]) }
        : { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] },
    },
    axes: [
      {
        ...{ ...axis, grid: { show: false }, size: 20, space: 90 },
        // A text at the right edge would be cut.
        values: (plot, splits) =>
          splits.map((split) =>
            plot.valToPos(split, 'x') + CLOCK_WIDTH / 2 > plot.bbox.width / devicePixelRatio
              ? ''
              : clockText(split),
          ),
      },
      {
        ...axis,
        grid: { stroke: color('--line'), width: 1 },
        size: 62,
        space: 36,
        values: (_, splits) => splits.map((split) => drawn.current.format(split)),
        ...(isLog && { splits: (_, __, min, max) => logMarks(min, max), filter: (_, splits) => splits }),
      },
    ],
    series: [
      {},
      ...lines.map((line) => ({
        label: line.name,
        stroke: color(line.color),
        width: 1.5,
        ...(line.isDashed ? { dash: [5, 3] } : undefined),
        points: { show: false },
        spanGaps: false,
      })),
    ],
    hooks: {
      drawClear: [
        (plot) => {
          const { ctx, bbox } = plot
          ctx.save()
          ctx.strokeStyle = color('--candidate')
          ctx.lineWidth = devicePixelRatio
          ctx.setLineDash([2 * devicePixelRatio, 2 * devicePixelRatio])
          for (const { time } of drawn.current.moments) {
            const x = plot.valToPos(time / 1000, 'x', true)
            if (x < bbox.left || x > bbox.left + bbox.width) continue
            ctx.beginPath()
            ctx.moveTo(x, bbox.top)
            ctx.lineTo(x, bbox.top + bbox.height)
            ctx.stroke()
          }
          ctx.restore()
        },
      ],
    },
  }
}

/** The width of `10:34:05` on the axis, in CSS pixels. */
const CLOCK_WIDTH = 54

const CLOCK = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const clockText = (seconds: number): string => CLOCK.format(seconds * 1000)

/** A canvas knows no light-dark(): the colour that the browser computes for the element. */
function resolveColor(element: HTMLElement, token: string): string {
  const before = element.style.color
  element.style.color = `var(${token})`
  const { color } = getComputedStyle(element)
  element.style.color = before
  return color
}
