// Work on many keys, in steps of about one key each. Whoever applies an entry may do other work between two steps, so
// that no entry keeps a node from answering. What a step has read is not kept until the next one, except for values.

/** Yields after each step, and returns the result. */
export type Steps<T> = Generator<undefined, T, undefined>

/** All steps at once. */
export function runSteps<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
  }
}
