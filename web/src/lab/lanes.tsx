// The clients as lanes over time, their newest requests as a list, and what their watches have received.

import type { OperationView } from '../../../jepsen-lite/lab/view.ts'
import { Mark } from '../design/mark.tsx'
import { ClientActs } from './client-acts.tsx'
import { client, operations, standstills, watches } from './lab-state.ts'
import { LanePicture } from './lane-picture.tsx'
import './lanes.css'
import { outcomeText } from './operation-lanes.ts'
import { Verdict } from './verdict.tsx'
import { operationVerdict } from './verdict-words.ts'
import { watchPlace, watchText } from './watch-text.ts'

const LISTED = 8

export function Lanes() {
  if (operations.value.length + standstills.value.length === 0)
    return (
      <>
        {watches.value.length === 0 && <p class="dim">No client has asked for anything yet.</p>}
        <ClientActs />
        <Watches />
      </>
    )
  return (
    <>
      <Verdict />
      <ClientActs />
      <div class="client-lanes">
        <div>
          <LanePicture />
          <p class="client-legend">
            Filled: a write. Hollow: a read. Dotted: a stale read. Thick after ‖: the client stands still.
            Time in which no client waits is shortened.
          </p>
        </div>
        <Requests />
      </div>
      <Watches />
    </>
  )
}

function Watches() {
  if (watches.value.length === 0) return null
  return (
    <ol class="client-watches" aria-label="Watches">
      {watches.value.map((watch) => (
        <li key={watch.name}>
          <span class="client-names">{watchPlace(watch)}</span>
          <span>{watchText(watch)}</span>
        </li>
      ))}
    </ol>
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
            <Judged id={operation.id} />
          </span>
        </li>
      ))}
    </ol>
  )
}

/** The words of the verdict about one operation. */
function Judged({ id }: { readonly id: number }) {
  const verdict = client.view.value?.verdict
  if (verdict === undefined) return null
  const text = operationVerdict(verdict, id, client.parts.value.includes('judged-stale'))
  if (text === undefined) return null
  const isWrong = verdict.unordered?.operation === id
  return (
    <span class={isWrong ? 'client-judged client-wrong' : 'client-judged'}>
      {isWrong ? <Mark of="down" text={text} /> : text}
    </span>
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
