import { formatTime } from '../../design/numbers.ts'

/** The time of a change: by the clock of the node that took it, which may differ from that of others. */
export function ChangeTime({ timeMs }: { readonly timeMs: number | undefined }) {
  if (timeMs === undefined) return null
  return (
    <time
      class="dim"
      dateTime={new Date(timeMs).toISOString()}
      title="By the clock of the node that took the change"
    >
      {formatTime(timeMs)}
    </time>
  )
}
