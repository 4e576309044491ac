// The steps of a transaction on the page, in words.

import { BytesText } from '../../design/bytes-text.tsx'
import { formatCount } from '../../design/numbers.ts'
import type { Outline, OutlineSteps, Words } from './txn-words.ts'

export function WordsLine({ words }: { readonly words: Words }) {
  return (
    <>
      {words.map((word, at) =>
        typeof word === 'string' ? (
          word
        ) : (
          <span key={at} class="mono txn-bytes">
            <BytesText bytes={word} max={80} />
          </span>
        ),
      )}
    </>
  )
}

export function OutlineView({ outline: { conditions, success, failure } }: { readonly outline: Outline }) {
  if (conditions.length === 0) return <StepList {...success} />
  return (
    <dl class="txn-outline">
      <dt>If</dt>
      <dd>
        <ul>
          {conditions.map((words, at) => (
            <li key={at}>
              <WordsLine words={words} />
            </li>
          ))}
        </ul>
      </dd>
      <dt>Then</dt>
      <dd>
        <StepList {...success} />
      </dd>
      <dt>Else</dt>
      <dd>
        <StepList {...failure} />
      </dd>
    </dl>
  )
}

function StepList({ steps, left }: OutlineSteps) {
  if (steps.length + left === 0) return <span class="dim">nothing</span>
  return (
    <ol>
      {steps.map(({ words, txn }, at) => (
        <li key={at}>
          <WordsLine words={words} />
          {txn !== undefined && <OutlineView outline={txn} />}
        </li>
      ))}
      {left > 0 && <li class="dim">and {formatCount(left)} more</li>}
    </ol>
  )
}
