// The clients as lanes over time, and their newest requests as a list.

import type { OperationView } from '../../../jepsen-lite/lab/view.ts'
import { Mark } from '../design/mark.tsx'
import { client, operations } from './lab-state.ts'
import './lanes.css'
import { barOf, laneWindow, outcomeText } from './operation-lanes.ts'

const WIDTH = 1000
const LANE = 18
const LISTED = 8

export function Lanes() {
  const instant = client.instant.value
  const all = operations.value
  const clients = [...new Set(all.map((operation) => operation.client))].sort()
  const shown = laneWindow(all, instant)
  if (all.length === 0) return <p class="dim">No client has asked for anything yet.</p>
  return (
    <div class="client-lanes">
      <div class="client-lane-list">
        {clients.map((name) => (
          <div key={name} class="client-lane">
            <strong>{name}</strong>
            <svg viewBox={`0 0 ${WIDTH} ${LANE}`} preserveAspectRatio="none" aria-hidden="true">
              {all
                .filter((operation) => operation.client === name)
                .map((operation) => {
                  const bar = barOf(operation, shown, instant)
                  return (
                    bar && (
                      <rect
                        key={operation.id}
                        class={`lane-bar lane-${operation.outcome} lane-${operation.kind}`}
                        x={bar.from * WIDTH}
                        width={Math.max(4, (bar.to - bar.from) * WIDTH)}
                        y="3"
                        height={LANE - 6}
                        rx="3"
                      />
                    )
                  )
                })}
            </svg>
          </div>
        ))}
        <div class="client-lane client-axis" aria-hidden="true">
          <span />
          <span>{(shown.from / 1000).toFixed(1)} s</span>
          <span>{(shown.to / 1000).toFixed(1)} s</span>
        </div>
      </div>
      <Requests />
    </div>
  )
}

function Requests() {
  const newest = operations.value.toReversed().slice(0, LISTED)
  return (
    <ol class="client-requests">
      {newest.map((operation) => (
        <li key={operation.id}>
          <span class="client-names">
            {operation.client} → {operation.node}
          </span>
          <span>
            {operation.text} <Outcome operation={operation} />{' '}
            {operation.answer !== '' && <span class="dim">{operation.answer}</span>}
          </span>
        </li>
      ))}
    </ol>
  )
}

const MARKS = { ok: 'written', failed: 'not-written', unknown: 'unknown' } as const

function Outcome({ operation }: { readonly operation: OperationView }) {
  const { outcome } = operation
  const text = outcomeText(operation)
  if (outcome !== 'waits') return <Mark of={MARKS[outcome]} text={text} />
  return (
    <span class="mark client-waits">
      <svg viewBox="0 0 16 16" aria-hidden="true">
        <path d="M8 2v6l3.5 2M14 8A6 6 0 1 1 8 2" class="hollow" />
      </svg>
      {text}
    </span>
  )
}
