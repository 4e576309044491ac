// The futures that the run has left, each with a button that opens it where it differs.

import { Button } from '../design/button.tsx'
import './futures.css'
import { KeptFutures } from './kept-futures.ts'
import { client } from './lab-state.ts'
import { hasLesson, player } from './lesson/lesson-state.ts'
import { lineWords } from './link-lines.ts'

const futures = new KeptFutures({
  link: client.link,
  runs: client.runs,
  isArriving: () => hasLesson.value && player.phase.value === 'arriving',
})

export const followFutures = (): (() => void) => futures.follow(() => sessionStorage)

export function Futures() {
  const { value } = futures.all
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
