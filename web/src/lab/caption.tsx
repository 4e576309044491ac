// The events of the run in sentences: the newest as the caption, and a list.

import { Button } from '../design/button.tsx'
import { Mark } from '../design/mark.tsx'
import { healWord } from './active-faults.ts'
import './caption.css'
import { CodeButton } from './code-dialog.tsx'
import { isTimerNext } from './first-words.ts'
import { caption, client, cuts, faults, heal, nodes, notes, picked } from './lab-state.ts'

const SHOWN = 8
/** So that the logs are in sight below a panel. */
const SHOWN_BELOW_PANEL = 3

interface CaptionProps {
  /** The user decides how time passes. */
  readonly isFree: boolean
}

export function Caption({ isFree }: CaptionProps) {
  const now = client.view.value?.now
  return (
    <div class="caption">
      <p class="caption-text" aria-live="polite">
        {caption.value?.text ?? beginning(now)}{' '}
        {caption.value !== undefined && <CodeButton note={caption.value} />}
      </p>
      {isTimerNext(nodes.value, cuts.value) && (
        <p class="caption-next">
          The followers wait for their election timers.{' '}
          {isFree && (
            <Button onClick={() => client.skip()} title="To the next decision (d)">
              Next decision
            </Button>
          )}
        </p>
      )}
      <ul class="caption-faults">
        {faults.value.map((fault) => {
          const { text } = fault
          return (
            <li key={`${text} ${fault.until}`}>
              <span class="caption-fault">{text}</span>{' '}
              <span class="dim">until {(fault.until / 1000).toFixed(2)} s</span>{' '}
              <Button kind="quiet" label={`${healWord(fault)}: ${text}`} onClick={() => heal(fault)}>
                {healWord(fault)}
              </Button>
            </li>
          )
        })}
      </ul>
    </div>
  )
}

const beginning = (now: number | undefined): string =>
  now === undefined
    ? 'The cluster starts …'
    : 'There is no leader yet. The arc around each node is its election timer.'

export function Happened() {
  const shown = notes.value.toReversed().slice(0, picked.value === undefined ? SHOWN : SHOWN_BELOW_PANEL)
  return (
    <ol class="happened" aria-label="What happened, the newest first">
      {shown.map((note, number) => (
        <li key={`${note.at} ${note.text} ${number}`} class={note.isMinor ? 'happened-minor' : ''}>
          <time>{(note.at / 1000).toFixed(2)} s</time>
          <span>
            {note.text} <CodeButton note={note} />
          </span>
        </li>
      ))}
    </ol>
  )
}

/** The shapes of the stage. */
export function Legend() {
  return (
    <div class="legend">
      <p>
        <Mark of="leader" /> <Mark of="follower" /> <Mark of="candidate" /> <Mark of="learner" />{' '}
        <Mark of="paused" /> <Mark of="down" />
      </p>
      <ul>
        <LegendMessage class="stage-message-log" d="M-5-5H5V5H-5Z" text="append: entries of the log" />
        <LegendMessage
          class="stage-message-contact"
          d="M-4 0a4 4 0 1 0 8 0 4 4 0 1 0-8 0Z"
          text="heartbeat"
        />
        <LegendMessage class="stage-message-election" d="M0-6.5 6 4.5H-6Z" text="election" />
        <LegendMessage
          class="stage-message-request"
          d="M0-6.5 6.5 0 0 6.5-6.5 0Z"
          text="request of a client, passed on"
        />
        <LegendMessage
          class="stage-message-log stage-answer"
          d="M-5-5H5V5H-5Z"
          text="hollow: an answer; with a stroke: no"
        />
      </ul>
      <p>The arc around a node is the time that is left until it stands for election.</p>
      <p>
        <span class="legend-line" /> above the bar of time: what you, or the run itself, does at that moment
      </p>
      <p>
        “asks first”: before it stands, a node asks whether it would be elected. Nobody votes yet, and its
        term stays as it is (pre-vote, thesis §9.6).
      </p>
    </div>
  )
}

function LegendMessage({
  class: name,
  d,
  text,
}: {
  readonly class: string
  readonly d: string
  readonly text: string
}) {
  return (
    <li>
      <svg viewBox="-8 -8 16 16" aria-hidden="true">
        <g class={`stage-message ${name}`}>
          <path d={d} />
        </g>
      </svg>
      {text}
    </li>
  )
}
