// The clock of histories. In a simulation its processes have clocks that differ, and a history has the true time.

let simulated: (() => number) | undefined

const real = (): number => performance.now()

/** Milliseconds of a clock that all clients of a history share. */
export const currentClock = (): (() => number) => simulated ?? real

/** From now on new histories have this clock. Call the result to end that. */
export function simulateClock(now: () => number): () => void {
  simulated = now
  return () => {
    simulated = undefined
  }
}
