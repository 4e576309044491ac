import { history, leaderChanges } from '../../cluster/cluster-view.ts'
import { formatClock } from '../../design/numbers.ts'

/** Leaders over the time in which the page was open, each as wide as it led. */
export function TermLine() {
  const changes = leaderChanges.value
  const end = history.value.at(-1)?.time ?? 0
  return (
    <ol class="term-line" aria-label="Leaders since this page was opened">
      {changes.map(({ time, term, leader }, at) => {
        const until = changes[at + 1]?.time ?? end
        const text = `term ${term}: ${leader ?? 'no leader'}`
        return (
          <li
            key={time}
            class={leader === undefined ? 'leaderless' : ''}
            style={{ flexGrow: Math.max(1, until - time), flexBasis: 0 }}
            title={`${text}, ${formatClock(time)} to ${formatClock(until)}`}
          >
            {text}
          </li>
        )
      })}
    </ol>
  )
}
