// One mark for each state: a shape, a colour and a word, so that none of them is needed to understand the others.

import './mark.css'

export type NodeState = 'leader' | 'follower' | 'learner' | 'candidate' | 'lagging' | 'down' | 'paused'
export type WriteOutcome = 'written' | 'not-written' | 'unknown'

const SHAPES: Readonly<Record<NodeState | WriteOutcome, preact.JSX.Element>> = {
  leader: <circle cx="8" cy="8" r="6" class="solid" />,
  follower: <circle cx="8" cy="8" r="5" class="hollow" />,
  learner: <path d="M8 2.2 13.8 8 8 13.8 2.2 8Z" class="hollow" />,
  candidate: <path d="M8 2 14 13.2H2Z" class="hollow" />,
  lagging: (
    <>
      <circle cx="8" cy="8" r="5" class="hollow" />
      <path d="M8 3a5 5 0 0 0 0 10Z" class="solid" />
    </>
  ),
  down: <path d="m3.5 3.5 9 9m0-9-9 9" class="hollow" />,
  paused: <path d="M5.5 3v10m5-10v10" class="hollow" />,
  written: <path d="m3 8.5 3.4 3.5L13 4.5" class="hollow" />,
  'not-written': <path d="M3.5 8h9" class="hollow" />,
  unknown: <path d="M5 5.8A3 3 0 1 1 8 9v1.2M8 12.6v.6" class="hollow" />,
}

const WORDS: Readonly<Record<NodeState | WriteOutcome, string>> = {
  leader: 'leader',
  follower: 'follower',
  learner: 'learner',
  candidate: 'candidate',
  lagging: 'lagging',
  down: 'down',
  paused: 'paused',
  written: 'written',
  'not-written': 'not written',
  unknown: 'unknown',
}

interface MarkProps {
  readonly of: NodeState | WriteOutcome
  /** Instead of the word of the state; null: the shape alone, which is named for screen readers. */
  readonly text?: string | null
}

export function Mark({ of, text = WORDS[of] }: MarkProps) {
  return (
    <span class={`mark mark-${of}`}>
      <svg viewBox="0 0 16 16" aria-hidden="true">
        {SHAPES[of]}
      </svg>
      {text ?? <span class="visually-hidden">{WORDS[of]}</span>}
    </span>
  )
}
