// The marks of the space-time diagram: messages, events, requests and answers.

import type { DiagramEventKind } from '../../../jepsen-lite/lab/fold-views.ts'
import type { OperationView } from '../../../jepsen-lite/lab/view.ts'
import { type DiagramItem, ROW } from './diagram-layout.ts'
import { messageKind } from './message-kinds.ts'

interface MarkPlace {
  readonly item: DiagramItem
  /** The moment at x = 0. */
  readonly origin: number
  readonly scale: number
  readonly y: number
  readonly toY: number
  /** A message in flight is drawn up to this moment. */
  readonly until: number
}

const LOST_BEFORE = 0.86

export function DiagramMark({ item, origin, scale, y, toY, until }: MarkPlace) {
  const { what, from, to } = item
  const x = (at: number): number => Math.round((at - origin) * scale * 10) / 10
  const start = { x: x(from.at), y }
  if (what.kind === 'message') {
    const { type, label: content, sentAt, endsAt, end } = what.message
    const part =
      end === 'arrived' ? 1 : end === 'lost' ? LOST_BEFORE : (until - sentAt) / Math.max(1, endsAt - sentAt)
    const tip = { x: x(sentAt + (endsAt - sentAt) * Math.min(1, part)), y: y + (toY - y) * Math.min(1, part) }
    const { shape, isAnswer } = messageKind(type)
    const classes = ['diagram-message', `diagram-message-${shape}`, `diagram-${end.replace(' ', '-')}`]
    if (isAnswer) classes.push('diagram-answer')
    if (content === 'no' || type === 'append-rejected') classes.push('diagram-refusal')
    const place = glyphPlace(Math.abs(toY - y))
    const turned = (Math.atan2(tip.y - start.y, tip.x - start.x) * 180) / Math.PI
    const line = `M${start.x} ${start.y}L${tip.x} ${tip.y}`
    return (
      <g class={classes.join(' ')}>
        <path class="diagram-target" d={line} />
        <path class="diagram-way" d={line} />
        <g transform={`translate(${tip.x} ${tip.y})`}>
          {end === 'lost' ? (
            <path class="diagram-cross" d="m-4.5-4.5 9 9m0-9-9 9" />
          ) : (
            <path class="diagram-tip" d="M0 0-8-3.6V3.6Z" transform={`rotate(${Math.round(turned)})`} />
          )}
        </g>
        <g
          transform={`translate(${start.x + (tip.x - start.x) * place} ${start.y + (tip.y - start.y) * place})`}
        >
          {GLYPHS[shape]}
        </g>
      </g>
    )
  }
  if (what.kind === 'event') {
    const { kind } = what.event
    return (
      <g class={`diagram-event diagram-event-${kind}`} transform={`translate(${start.x} ${y})`}>
        <circle class="diagram-target" r="12" />
        {EVENTS[kind]}
      </g>
    )
  }
  const { outcome } = what.operation
  const line = `M${start.x} ${y}V${toY}`
  const head = toY > y ? 'M-3.5-7H3.5L0 0Z' : 'M-3.5 7H3.5L0 0Z'
  const isAnswer = what.kind === 'answer'
  const clientY = isAnswer && to !== undefined ? toY : y
  return (
    <g class={`diagram-operation ${isAnswer ? `diagram-outcome-${outcome}` : ''}`}>
      <path class="diagram-target" d={line} />
      {to !== undefined && <path class="diagram-way" d={line} />}
      {to !== undefined && <path class="diagram-head" d={head} transform={`translate(${start.x} ${toY})`} />}
      {isAnswer ? (
        <g transform={`translate(${start.x} ${clientY})`} class="diagram-outcome">
          <circle class="diagram-target" r="12" />
          <circle class="diagram-seat" r="7.5" />
          <path d={OUTCOMES[outcome]} />
        </g>
      ) : (
        <g transform={`translate(${start.x} ${y})`}>
          <circle class="diagram-target" r="12" />
          <circle class="diagram-dot" r="3.5" />
        </g>
      )}
    </g>
  )
}

/** The part of its way at which a message has its shape: between two lines, before the middle. */
function glyphPlace(height: number): number {
  const rows = Math.max(1, Math.round(height / ROW))
  return (Math.ceil(rows / 2) - 0.5) / rows
}

const GLYPHS = {
  contact: <circle class="diagram-glyph" r="3" />,
  log: <path class="diagram-glyph" d="M-3.2-3.2H3.2V3.2H-3.2Z" />,
  election: <path class="diagram-glyph" d="M0-4.5 4.2 3.2H-4.2Z" />,
  request: <path class="diagram-glyph" d="M0-4.5 4.5 0 0 4.5-4.5 0Z" />,
} as const

const LEGEND: readonly (readonly [kind: DiagramEventKind, text: string])[] = [
  ['campaign', 'campaigns'],
  ['elected', 'is elected'],
  ['committed', 'commits'],
  ['truncated', 'deletes entries'],
  ['snapshot', 'sends a snapshot'],
  ['crashed', 'goes down'],
  ['started', 'starts'],
]

/** The marks with their words. Messages have the shapes of the stage. */
export function DiagramLegend() {
  return (
    <ul class="diagram-legend">
      {LEGEND.map(([kind, text]) => (
        <li key={kind}>
          <svg viewBox="-9 -9 18 18" aria-hidden="true">
            <g class={`diagram-event diagram-event-${kind}`}>{EVENTS[kind]}</g>
          </svg>
          {text}
        </li>
      ))}
      <li>
        <svg class="diagram-legend-way" viewBox="0 -9 36 18" aria-hidden="true">
          <g class="diagram-message diagram-in-flight">
            <path class="diagram-way" d="M1 5 30-4" />
            <path class="diagram-tip" d="M0 0-8-3.6V3.6Z" transform="translate(31 -4) rotate(-17)" />
          </g>
        </svg>
        in flight
      </li>
      <li>
        <svg class="diagram-legend-way" viewBox="0 -9 36 18" aria-hidden="true">
          <g class="diagram-message diagram-lost">
            <path class="diagram-way" d="M1 5 29-4" />
            <path class="diagram-cross" d="m-4.5-4.5 9 9m0-9-9 9" transform="translate(29 -3)" />
          </g>
        </svg>
        lost
      </li>
      <li>
        <svg class="diagram-legend-way" viewBox="0 -9 36 18" aria-hidden="true">
          <g class="diagram-message diagram-refusal diagram-answer">
            <path class="diagram-way" d="M1-5 30 4" />
            <path class="diagram-tip" d="M0 0-8-3.6V3.6Z" transform="translate(31 4) rotate(17)" />
          </g>
        </svg>
        an answer, here a refusal
      </li>
    </ul>
  )
}

const EVENTS: Readonly<Record<DiagramEventKind, preact.JSX.Element>> = {
  campaign: <path class="diagram-hollow" d="M0-6.5 6 4.5H-6Z" />,
  elected: <circle class="diagram-solid" r="6.5" />,
  committed: (
    <>
      <circle class="diagram-seat" r="6.5" />
      <path class="diagram-stroke" d="m-3.2.2 2.4 2.6 4.2-5" />
    </>
  ),
  truncated: (
    <>
      <path class="diagram-seat" d="M-6-6H6V6H-6Z" />
      <path class="diagram-stroke" d="M-3 0H3" />
    </>
  ),
  snapshot: <path class="diagram-hollow" d="M-5.5-5.5H5.5V5.5H-5.5ZM-5.5-1.5H5.5" />,
  crashed: <path class="diagram-stroke" d="m-5-5 10 10m0-10-10 10" />,
  started: <circle class="diagram-hollow" r="5.5" />,
}

const OUTCOMES: Readonly<Record<OperationView['outcome'], string>> = {
  waits: '',
  ok: 'm-3.4.3 2.5 2.6 4.3-5.2',
  failed: 'M-3.5 0H3.5',
  unknown: 'M-2-1.6A2 2 0 1 1 .2.8V1.6M.2 3.6v.2',
}
