import { formatDuration } from '../../design/numbers.ts'
import { clock, type KnownLease, timeLeft } from './leases-known.ts'

interface TimeLeftProps {
  /** undefined: not known yet. */
  readonly lease: KnownLease | 'ended' | undefined
}

/** The time until a lease ends unless its client renews it, counting down. */
export function TimeLeft({ lease }: TimeLeftProps) {
  if (lease === undefined) return <span class="dim">–</span>
  if (lease === 'ended') return <span class="dim">ended</span>
  const ms = timeLeft(lease, clock.value)
  const share = lease.grantedTtlMs === 0 ? 0 : Math.min(1, ms / lease.grantedTtlMs)
  return (
    <span class="time-left">
      <span class="time-bar" aria-hidden="true">
        <span style={{ width: `${share * 100}%` }} />
      </span>
      <span class="time-number">{ms === 0 ? '0 s' : formatDuration(Math.ceil(ms / 1000) * 1000)}</span>
      <span class="dim">of {formatDuration(lease.grantedTtlMs)}</span>
    </span>
  )
}
