// How old something is that was read, also if the machine has slept since: on Linux `performance.now()` stands still
// then, and the time of day goes on. The larger of the two counts, because the time of day may be set back. An age that
// is too high costs one more reading.

export interface Instant {
  readonly monotonicMs: number
  readonly timeOfDayMs: number
}

export const instantNow = (): Instant => ({ monotonicMs: performance.now(), timeOfDayMs: Date.now() })

export const ageMs = ({ monotonicMs, timeOfDayMs }: Instant): number =>
  Math.max(performance.now() - monotonicMs, Date.now() - timeOfDayMs)
