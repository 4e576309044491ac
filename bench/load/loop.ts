// Repeats one operation, in a closed or in an open loop. In a closed loop each of `inFlight` workers begins the next
// operation when it has the answer to the last one. In an open loop operations are due at fixed times.
//
// An operation counts when it began in the measured time. In an open loop it began when it was due. If all workers wait
// for answers, an operation begins late, and its latency includes the delay. So a stall of the server shows in every
// operation that was due in that time (no coordinated omission).

import { setTimeout as sleep } from 'node:timers/promises'
import { Latencies } from './latencies.ts'

export interface Loop {
  readonly inFlight: number
  /** Operations a second in an open loop; null: closed loop. */
  readonly rate: number | null
  readonly warmupMs: number
  /** null: until `stop` is aborted. */
  readonly measuredMs: number | null
  readonly stop?: AbortSignal
}

/** Milliseconds. A test has its own. */
export interface Clock {
  now(): number
  until(time: number): Promise<unknown>
}

export interface Tally {
  readonly latencies: Latencies
  readonly errors: Map<string, number>
  /** From the end of the warm-up to the last counted answer. */
  readonly measuredMs: number
}

export const systemClock: Clock = {
  now: () => performance.now(),
  until: (time) => sleep(Math.max(0, time - performance.now())),
}

/** A server that refuses at once gets no requests in a busy loop. */
const AFTER_ERROR_MS = 20

/**
 * `operate` begins the next operation; it returns undefined when there are no more. An operation that rejects is
 * counted as an error, by its message.
 */
export async function runLoop(
  operate: () => Promise<void> | undefined,
  { inFlight, rate, warmupMs, measuredMs, stop }: Loop,
  clock = systemClock,
): Promise<Tally> {
  const latencies = new Latencies()
  const errors = new Map<string, number>()
  const begin = clock.now()
  const countFrom = begin + warmupMs
  let endsAt = measuredMs === null ? Number.POSITIVE_INFINITY : countFrom + measuredMs
  stop?.addEventListener('abort', () => {
    endsAt = Math.min(endsAt, clock.now())
  })
  let lastAnswer = countFrom
  let arrivals = 0
  const nextDue = (): number => (rate === null ? clock.now() : begin + (arrivals++ * 1000) / rate)

  async function worker(): Promise<void> {
    for (;;) {
      const due = nextDue()
      if (due > clock.now() && due < endsAt) await clock.until(due)
      if (due >= endsAt) return
      const answer = operate()
      if (answer === undefined) return
      let error: unknown
      try {
        await answer
      } catch (thrown) {
        error = thrown
      }
      const now = clock.now()
      if (due >= countFrom) {
        lastAnswer = now
        if (error === undefined) latencies.record(now - due)
        else countIn(errors, error)
      }
      if (error !== undefined) await clock.until(now + AFTER_ERROR_MS)
    }
  }

  await Promise.all(Array.from({ length: inFlight }, worker))
  return { latencies, errors, measuredMs: lastAnswer - countFrom }
}

function countIn(errors: Map<string, number>, error: unknown): void {
  const kind = error instanceof Error ? error.message : String(error)
  errors.set(kind, (errors.get(kind) ?? 0) + 1)
}
