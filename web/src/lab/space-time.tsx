// The space-time diagram (Lamport 1978): a line for each node and client, time to the right, and messages between the
// lines. What is picked is shown with its past and its future.

import { computed, signal } from '@preact/signals'
import { useMemo, useRef, useState } from 'preact/hooks'
import { Button } from '../design/button.tsx'
import { plural } from '../design/numbers.ts'
import {
  type Cone,
  coneOf,
  type Diagram,
  type DiagramItem,
  diagramOf,
  labelledEvents,
  lineTo,
  SHOWN_TIMES,
  type ShownTime,
  stateSpans,
  usualTime,
} from './diagram-layout.ts'
import { DiagramLegend, DiagramMark } from './diagram-marks.tsx'
import { client, messageId, messages, nodes, operations, picked, pickMessage } from './lab-state.ts'
import './space-time.css'
import { useWidth } from './use-width.ts'

/** Chosen by the user; undefined: by the width. */
const chosenTime = signal<ShownTime | undefined>(undefined)
const pointed = signal<string | undefined>(undefined)
const focused = signal<string | undefined>(undefined)
const activeId = computed(() => pointed.value ?? focused.value)

const NAMES = 58
const AFTER = 30
const LISTED = 60
/** Items leave the picture together, some time after they have left its window. */
const KEPT_MS = 250

export function SpaceTime() {
  const [ref, width] = useWidth()
  const diagram = client.view.value?.diagram
  const instant = client.instant.value
  const time = chosenTime.value ?? usualTime(width)
  const scale = (width - NAMES - AFTER) / time
  const since = instant - time
  const kept = Math.floor(since / KEPT_MS) * KEPT_MS
  const shown = useMemo(
    () => diagram && diagramOf(diagram, operations.value, nodes.value, kept),
    [diagram, operations.value, nodes.value, kept],
  )
  const cone = useMemo(() => shown && coneOf(shown.items, activeId.value), [shown, activeId.value])
  return (
    <div ref={ref} class="space-time">
      <Tools time={time} />
      {shown !== undefined && diagram !== undefined && width > 0 && (
        <Picture {...{ shown, cone, width, scale, since, instant }} spans={stateSpans(diagram, instant)} />
      )}
      <Inspector items={shown?.items ?? []} cone={cone} />
      {shown !== undefined && <AsList items={shown.items} />}
      <DiagramLegend />
    </div>
  )
}

function Tools({ time }: { readonly time: ShownTime }) {
  const place = SHOWN_TIMES.indexOf(time)
  const [less, more] = [SHOWN_TIMES[place - 1], SHOWN_TIMES[place + 1]]
  return (
    <div class="space-time-tools">
      <span class="space-time-zoom">
        <Button
          label="Show less time"
          disabled={less === undefined}
          onClick={() => {
            chosenTime.value = less
          }}
        >
          −
        </Button>
        <output>{time} ms</output>
        <Button
          label="Show more time"
          disabled={more === undefined}
          onClick={() => {
            chosenTime.value = more
          }}
        >
          +
        </Button>
      </span>
      <label>
        <input
          type="checkbox"
          checked={client.parts.value.includes('heartbeats')}
          onChange={({ currentTarget }) => client.show('heartbeats', currentTarget.checked)}
        />
        Heartbeats
      </label>
    </div>
  )
}

interface PictureProps {
  readonly shown: Diagram
  readonly cone: Cone | undefined
  readonly width: number
  /** Pixels of a virtual millisecond. */
  readonly scale: number
  readonly since: number
  readonly instant: number
  readonly spans: ReturnType<typeof stateSpans>
}

/** Pixels are counted from a moment that seldom changes. Frames between two such moments only move a group. */
const ORIGIN_MS = 1000

function Picture({ shown, cone, width, scale, since, instant, spans }: PictureProps) {
  const { lines, items, height } = shown
  const frame = useRef<SVGRectElement>(null)
  const origin = Math.floor(since / ORIGIN_MS) * ORIGIN_MS
  const x = (at: number): number => Math.round((at - origin) * scale * 10) / 10
  const yOf = (name: string): number => lines.find((line) => line.name === name)?.y ?? 0
  const room = width - NAMES
  // One element is in the order of the tab key. Arrows lead from it to the others.
  const current = items.some(({ id }) => id === focused.value) ? focused.value : items.at(-1)?.id
  const goTo = (event: MouseEvent): void => {
    if (frame.current === null) return
    const at = since + (event.clientX - frame.current.getBoundingClientRect().left) / scale
    focused.value = undefined
    client.goTo(Math.max(0, Math.min(at, instant)))
  }
  const chosen = picked.value?.kind === 'message' ? picked.value.id : undefined
  /** `until`: a message in flight is drawn up to now. Frames change nothing else. */
  const drawn = (item: DiagramItem, until: number) => (
    <Item
      key={item.id}
      {...{ item, origin, scale, until, current: item.id === current, isChosen: item.id === chosen }}
      y={yOf(item.from.line)}
      toY={yOf(lineTo(item))}
      relation={cone?.relationOf(item)}
    />
  )
  return (
    // biome-ignore lint/a11y/useSemanticElements: a picture is no group of fields.
    <svg
      class={cone === undefined ? 'diagram' : 'diagram diagram-dimmed'}
      width={width}
      height={height + 18}
      role="group"
      aria-label="Space-time diagram. Arrows lead to the event before and after. A list follows."
    >
      {lines.map(({ name, kind, y }) => (
        <text key={name} class={`diagram-name diagram-name-${kind}`} x="0" y={y + 4.5}>
          {name}
        </text>
      ))}
      <clipPath id="diagram-plot">
        <rect x="0" y="0" width={room} height={height + 18} />
      </clipPath>
      <g clip-path="url(#diagram-plot)" transform={`translate(${NAMES} 0)`}>
        {/* biome-ignore lint/a11y/noStaticElementInteractions: the slider of the page does the same by keyboard. */}
        <rect ref={frame} class="diagram-ground" width={room} height={height + 18} onClick={goTo} />
        <g transform={`translate(${-Math.round((since - origin) * scale * 10) / 10} 0)`}>
          <Ticks {...{ since, instant, x, height, time: instant - since }} />
          {lines.map(({ name, kind, y }) =>
            kind === 'client' ? (
              <path key={name} class="diagram-line diagram-client" d={`M${x(since)} ${y}H${x(instant)}`} />
            ) : null,
          )}
          {spans.map(({ node, state, from, to }) =>
            to >= since && lines.some(({ name }) => name === node) ? (
              <path
                key={`${node} ${from}`}
                class={`diagram-line diagram-${state}`}
                d={`M${x(Math.max(from, since))} ${yOf(node)}H${x(to)}`}
              />
            ) : null,
          )}
          {cone !== undefined && <Cones {...{ cone, lines, x, since, instant }} />}
          {useMemo(
            () => (
              <g>
                {items.filter((item) => !isInFlight(item)).map((item) => drawn(item, 0))}
                <Labels {...{ items, cone, scale, x, yOf }} />
              </g>
            ),
            [items, cone, scale, origin, current, chosen],
          )}
          {items.filter(isInFlight).map((item) => drawn(item, instant))}
          <path class="diagram-now" d={`M${x(instant)} 8V${height}`} />
        </g>
      </g>
    </svg>
  )
}

const isInFlight = ({ what }: DiagramItem): boolean =>
  what.kind === 'message' && what.message.end === 'in flight'

interface LabelsProps {
  readonly items: Diagram['items']
  readonly cone: Cone | undefined
  readonly scale: number
  readonly x: (at: number) => number
  readonly yOf: (name: string) => number
}

/** Words above events. The names of the events say more. */
function Labels({ items, cone, scale, x, yOf }: LabelsProps) {
  const labels = labelledEvents(items, scale)
  return (
    <g>
      {items.map((item) => {
        const label = labels.get(item.id)
        return (
          label !== undefined && (
            <text
              key={item.id}
              class={`diagram-label diagram-${cone?.relationOf(item) ?? 'unpicked'}`}
              x={x(item.from.at)}
              y={yOf(item.from.line) - 11}
            >
              {label}
            </text>
          )
        )
      })}
    </g>
  )
}

const TICKS: Readonly<Record<ShownTime, number>> = { 125: 25, 250: 50, 500: 100, 1000: 200, 2000: 500 }

/** Half the width of the words at a tick. */
const TICK_ROOM = 24

interface TicksProps {
  readonly since: number
  readonly instant: number
  readonly time: number
  readonly height: number
  readonly x: (at: number) => number
}

function Ticks({ since, instant, x, height, time }: TicksProps) {
  const every = TICKS[SHOWN_TIMES.find((shown) => shown >= time - 1) ?? 2000]
  const first = Math.max(0, Math.ceil(since / every))
  const count = Math.max(0, Math.floor(instant / every) - first + 1)
  return (
    <g class="diagram-ticks">
      {Array.from({ length: count }, (_, place) => (first + place) * every).map((at) => (
        <g key={at}>
          <path d={`M${x(at)} 10V${height}`} />
          {x(at) - x(since) > TICK_ROOM && (
            <text x={x(at)} y={height + 12}>
              {(at / 1000).toFixed(every < 100 ? 3 : 1)} s
            </text>
          )}
        </g>
      ))}
    </g>
  )
}

interface ConesProps {
  readonly cone: Cone
  readonly lines: Diagram['lines']
  readonly x: (at: number) => number
  readonly since: number
  readonly instant: number
}

/** The parts of the lines that are before what is picked, and after it. */
function Cones({ cone: { pastUntil, futureFrom }, lines, x, since, instant }: ConesProps) {
  return (
    <g>
      {lines.map(({ name, y }) => {
        const [past, future] = [pastUntil.get(name), futureFrom.get(name)]
        return (
          <g key={name}>
            {past !== undefined && past > since && (
              <path class="diagram-past" d={`M${x(since)} ${y}H${x(past)}`} />
            )}
            {future !== undefined && <path class="diagram-future" d={`M${x(future)} ${y}H${x(instant)}`} />}
          </g>
        )
      })}
    </g>
  )
}

interface ItemProps {
  readonly item: DiagramItem
  readonly origin: number
  readonly scale: number
  readonly y: number
  readonly toY: number
  readonly relation: ReturnType<Cone['relationOf']> | undefined
  readonly current: boolean
  /** A message that is picked on the stage. */
  readonly isChosen: boolean
  readonly until: number
}

/** Most frames change no item. */
function Item(props: ItemProps) {
  const { item, ...others } = props
  return useMemo(() => drawItem(props), [item.id, item.text, ...Object.values(others)])
}

function drawItem({ item, origin, scale, y, toY, relation, current, isChosen, until }: ItemProps) {
  const classes = ['diagram-item']
  if (relation !== undefined) classes.push(`diagram-${relation}`)
  if (isChosen) classes.push('diagram-chosen')
  return (
    // biome-ignore lint/a11y/useSemanticElements: a picture has no buttons.
    <g
      class={classes.join(' ')}
      role="button"
      tabindex={current ? 0 : -1}
      data-item={item.id}
      aria-label={item.text}
      aria-pressed={relation === 'picked'}
      onPointerEnter={({ pointerType }) => {
        if (pointerType === 'mouse') pointed.value = item.id
      }}
      onPointerLeave={() => {
        pointed.value = undefined
      }}
      onFocus={() => {
        client.pause()
        focused.value = item.id
      }}
      onClick={(event) => {
        event.stopPropagation()
        pick(item)
      }}
      onKeyDown={(event) => onItemKey(event, item)}
    >
      <DiagramMark {...{ item, origin, scale, y, toY, until }} />
    </g>
  )
}

/** A message in flight can be lost, delayed or doubled. */
function pick({ id, what }: DiagramItem): void {
  client.pause()
  focused.value = id
  const message = what.kind === 'message' ? messages.value.find((one) => messageId(one) === id) : undefined
  if (message !== undefined) pickMessage(message)
}

/** The moment of an item: for a message the middle of its way, where it can be picked. */
function visit({ id, what, from }: DiagramItem): void {
  if (what.kind !== 'message') {
    client.goTo(from.at)
    return
  }
  const { sentAt, endsAt } = what.message
  client.goTo(Math.min((sentAt + endsAt) / 2, client.instant.peek()))
  picked.value = { kind: 'message', id }
}

function onItemKey(event: KeyboardEvent, item: DiagramItem): void {
  const steps: Readonly<Record<string, number>> = {
    ...{ ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 },
    ...{ Home: Number.NEGATIVE_INFINITY, End: Number.POSITIVE_INFINITY },
  }
  const { key, currentTarget } = event
  const step = steps[key]
  if (key === 'Enter' || key === ' ') pick(item)
  else if (key === 'Escape') {
    focused.value = undefined
    if (currentTarget instanceof SVGElement) currentTarget.blur()
  } else if (step === undefined) return
  else focusItem(currentTarget, step)
  event.preventDefault()
}

/** The items are in the order of time. */
function focusItem(from: EventTarget | null, step: number): void {
  if (!(from instanceof SVGElement)) return
  const all = [...(from.closest('.diagram')?.querySelectorAll<SVGElement>('[data-item]') ?? [])]
  const place = Math.min(all.length - 1, Math.max(0, all.indexOf(from) + step))
  all[place]?.focus()
}

interface InspectorProps {
  readonly items: readonly DiagramItem[]
  readonly cone: Cone | undefined
}

/** The words of what is picked. */
function Inspector({ items, cone }: InspectorProps) {
  const item = items.find(({ id }) => id === activeId.value)
  if (item === undefined || cone === undefined)
    return (
      <p class="space-time-words dim">
        Point at a message or an event: what may have caused it, and what it may have caused, stays bright.
        Press at an empty place to go to that moment.
      </p>
    )
  const others = items.length - 1 - cone.before - cone.after
  return (
    <p class="space-time-words">
      <span>{item.text}</span>{' '}
      <span class="dim">
        {plural(cone.before, 'event')} before it, {cone.after} after it, {others} neither.
      </span>{' '}
      {focused.value === item.id && (
        <Button kind="quiet" onClick={() => visit(item)}>
          {item.what.kind === 'message' ? 'Go to it' : 'Go there'}
        </Button>
      )}
    </p>
  )
}

/** The same for screen readers, and for all who rather read. */
function AsList({ items }: { readonly items: readonly DiagramItem[] }) {
  const [isOpen, setOpen] = useState(false)
  const newest = isOpen ? items.toReversed().slice(0, LISTED) : []
  return (
    <details class="space-time-list" onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>As a list</summary>
      <ol aria-label="Messages and events, the newest first">
        {newest.map(({ id, text }) => (
          <li key={id}>{text}</li>
        ))}
      </ol>
    </details>
  )
}
