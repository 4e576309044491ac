// The futures that the run has left, each with a button that opens it where it differs.

import { effect, signal } from '@preact/signals'
import { Button } from '../design/button.tsx'
import './futures.css'
import { type Future, formatFutures, futuresAfter, parseFutures } from './futures.ts'
import { client } from './lab-state.ts'
import { lineWords } from './link-lines.ts'

const futures = signal<readonly Future[]>([])

/** Place in the store of the browser's tab. */
const STORED = 'quorate lab futures'

/** Keeps what each change of the run leaves, until the returned function is called. */
export function followFutures(): () => void {
  let before: string | undefined
  return effect(() => {
    const after = client.link.value
    if (after === '') return
    futures.value =
      before === undefined
        ? parseFutures(sessionStorage.getItem(STORED), after)
        : futuresAfter(futures.peek(), before, after)
    before = after
    sessionStorage.setItem(STORED, formatFutures(futures.peek()))
  })
}

export function Futures() {
  const { value } = futures
  if (value.length === 0) return null
  return (
    <details class="futures">
      <summary>Other futures ({value.length})</summary>
      <ul>
        {value.map(({ link, line, count }) => {
          const moment = Math.max(0, line.at - 1)
          return (
            <li key={link}>
              <span>
                From {(line.at / 1000).toFixed(2)} s: {lineWords(line)}
                {count > 1 && <span class="dim"> and {count - 1} more</span>}
              </span>{' '}
              <Button
                label={`Open the future from ${(line.at / 1000).toFixed(2)} s: ${lineWords(line)}`}
                title="Opens this run where it differs. The present one is kept here."
                onClick={() => client.openAt(link, moment)}
              >
                Open
              </Button>
            </li>
          )
        })}
      </ul>
    </details>
  )
}
