// The operations of clients as bars over time, with the moment at which each takes effect. Operations that have no
// order are marked, and a line leads from what a read missed to the read.

import type { VerdictView } from '../../../jepsen-lite/lab/fold-views.ts'
import type { OperationView } from '../../../jepsen-lite/lab/view.ts'
import { client, operations, standstills } from './lab-state.ts'
import './lane-picture.css'
import { type LaneAxis, laneAxis, placeOn } from './lane-axis.ts'
import { type LaneBar, laneBars } from './operation-lanes.ts'
import { useWidth } from './use-width.ts'

const ROW = 34
const BAR = 22
const AXIS = 20
const NAMES = 28
/** Room behind the present moment, for a mark there. */
const AFTER = 16
const LABEL_ROOM = 52

export function LanePicture() {
  const [ref, width] = useWidth()
  const instant = client.instant.value
  const all = operations.value
  const names = [...new Set([...all, ...standstills.value].map((each) => each.client))].sort()
  return (
    <div ref={ref} class="lanes">
      {width > 0 && <Picture {...{ width, names, all, instant }} />}
    </div>
  )
}

interface PictureProps {
  readonly width: number
  readonly names: readonly string[]
  readonly all: readonly OperationView[]
  readonly instant: number
}

function Picture({ width, names, all, instant }: PictureProps) {
  const verdict = client.view.value?.verdict
  const height = names.length * ROW + AXIS
  const room = width - NAMES - AFTER
  const axis = laneAxis(all, instant, room)
  const bars = laneBars(withAges(all, verdict), axis, instant)
  const y = (name: string): number => names.indexOf(name) * ROW + ROW / 2
  return (
    <svg width={width} height={height} aria-hidden="true">
      {names.map((name) => (
        <g key={name}>
          <text class="lane-name" x="0" y={y(name) + 4.5}>
            {name}
          </text>
          <Line axis={axis} y={y(name)} />
        </g>
      ))}
      <g transform={`translate(${NAMES} 0)`}>
        {bars.map((bar) => (
          <Bar key={bar.operation.id} bar={bar} y={y(bar.operation.client)} verdict={verdict} />
        ))}
        {standstills.value.map(
          ({ client: name, from, until }) =>
            until > (axis[0]?.from ?? 0) && (
              <g key={`${name} ${from}`} class="lane-still" transform={`translate(0 ${y(name)})`}>
                <title>{`${name} stands still`}</title>
                <path d={`M${placeOn(axis, from)} 0H${placeOn(axis, Math.min(until, instant))}`} />
                <path d={`M${placeOn(axis, from)} -9v18m5-18v18`} />
              </g>
            ),
        )}
        <Effects {...{ verdict, all, axis, y }} />
        {bars.map((bar) => (
          <Label key={bar.operation.id} bar={bar} y={y(bar.operation.client)} />
        ))}
        <Missed {...{ verdict, bars, y }} />
        {axisLabels(axis).map(({ x, text }) => (
          <text key={text} class="lane-axis" x={x} y={height - 4}>
            {text}
          </text>
        ))}
      </g>
    </svg>
  )
}

/** A time without operations is dotted. */
function Line({ axis, y }: { readonly axis: LaneAxis; readonly y: number }) {
  const end = axis.at(-1)?.x2 ?? 0
  return (
    <g transform={`translate(${NAMES} ${y})`}>
      <path class="lane-idle" d={`M0 0H${end}`} />
      <path class="lane-line" d={axis.map(({ x1, x2 }) => `M${x1} 0H${x2}`).join('')} />
    </g>
  )
}

/** The beginnings of stretches, where there is room. */
function axisLabels(axis: LaneAxis): { readonly x: number; readonly text: string }[] {
  const labels: { x: number; text: string }[] = []
  for (const { from, x1 } of axis)
    if (x1 - (labels.at(-1)?.x ?? -LABEL_ROOM) >= LABEL_ROOM)
      labels.push({ x: x1, text: `${(from / 1000).toFixed(2)} s` })
  return labels
}

/** Stale reads, with the age of their answers. */
function withAges(all: readonly OperationView[], verdict: VerdictView | undefined): OperationView[] {
  const ages = new Map(verdict?.staleReads.map(({ operation, ageMs }) => [operation, ageMs]))
  return all.map((operation) => {
    const age = ages.get(operation.id) ?? 0
    return age === 0
      ? operation
      : { ...operation, text: `${operation.text}, in fact ${(age / 1000).toFixed(2)} s old` }
  })
}

interface BarProps {
  readonly bar: LaneBar
  readonly y: number
  readonly verdict: VerdictView | undefined
}

function Bar({ bar, y, verdict }: BarProps) {
  const { operation, from, to } = bar
  const { outcome, kind, id } = operation
  const unordered = verdict?.unordered
  const classes = ['lane-bar', `lane-${outcome}`, `lane-${kind}`]
  if (unordered?.operation === id) classes.push('lane-wrong')
  else if (unordered?.operations.includes(id)) classes.push('lane-involved')
  if (verdict?.staleReads.some(({ operation: stale }) => stale === id)) classes.push('lane-stale')
  return (
    <g class={classes.join(' ')}>
      <title>{`${operation.text}: ${operation.answer}`}</title>
      <rect x={from} y={y - BAR / 2} width={to - from} height={BAR} rx="4" />
      {outcome === 'waits' || outcome === 'unknown' ? (
        <path class="lane-open" d={`M${to} ${y - BAR / 2}v${BAR}`} />
      ) : null}
    </g>
  )
}

/** Words are above the marks. */
function Label({ bar: { operation, from, to, label }, y }: Pick<BarProps, 'bar' | 'y'>) {
  if (label === undefined) return null
  const classes = ['lane-label', label.isInside ? `lane-label-${operation.kind}` : 'lane-label-beside']
  return (
    <text class={classes.join(' ')} x={label.isInside ? from + 7 : to + 6} y={y + 4}>
      {label.text}
    </text>
  )
}

interface EffectsProps {
  readonly verdict: VerdictView | undefined
  readonly all: readonly OperationView[]
  readonly axis: LaneAxis
  readonly y: (name: string) => number
}

/** The marks at which operations take effect. */
function Effects({ verdict, all, axis, y }: EffectsProps) {
  return (
    <g>
      {verdict?.effects.map(({ operation: id, key, at }) => {
        const operation = all.find((one) => one.id === id)
        if (operation === undefined || at < (axis[0]?.from ?? 0)) return null
        const x = placeOn(axis, at)
        return (
          <g key={`${id} ${key}`} class="lane-effect" transform={`translate(${x} ${y(operation.client)})`}>
            <path d={`M0 ${-BAR / 2 - 3}V${BAR / 2 + 3}`} />
            <path class="lane-effect-head" d={`M-3.5 ${-BAR / 2 - 6}H3.5L0 ${-BAR / 2}Z`} />
          </g>
        )
      })}
    </g>
  )
}

interface MissedProps {
  readonly verdict: VerdictView | undefined
  readonly bars: readonly LaneBar[]
  readonly y: (name: string) => number
}

/** From the end of what was missed to the operation that should have seen it. */
function Missed({ verdict, bars, y }: MissedProps) {
  const barOf = (id: number | undefined): LaneBar | undefined =>
    bars.find(({ operation }) => operation.id === id)
  const late = barOf(verdict?.unordered?.operation)
  if (late === undefined) return null
  const [x, lateY] = [late.from, y(late.operation.client)]
  const missed = barOf(verdict?.unordered?.missed)
  const cross = `translate(${(late.from + late.to) / 2} ${lateY})`
  return (
    <g class="lane-missed">
      {missed !== undefined && (
        <path class="lane-missed-line" d={curve(missed.to, y(missed.operation.client), x, lateY)} />
      )}
      <path class="lane-cross-back" d="m-5-5 10 10m0-10-10 10" transform={cross} />
      <path d="m-5-5 10 10m0-10-10 10" transform={cross} />
    </g>
  )
}

function curve(x1: number, y1: number, x2: number, y2: number): string {
  const bend = Math.max(24, (x2 - x1) / 2)
  // Two bars of one lane: the line goes above them.
  if (y1 === y2) return `M${x1} ${y1 - 9}Q${(x1 + x2) / 2} ${y1 - 30} ${x2} ${y2 - 9}`
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`
}
