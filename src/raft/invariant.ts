// Assertions that stay on in production: a replica that finds one of Raft's promises broken stops rather
// than diverge.

/** A promise of the protocol or of a caller is broken. The replica must stop; its core takes no further step. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError'
}

/** `sentence` says what is wrong; it is only built when needed. */
export function invariant(holds: boolean, sentence: () => string): asserts holds {
  if (!holds) throw new InvariantError(sentence())
}

export function assertNever(value: never): never {
  throw new InvariantError(`unexpected ${JSON.stringify(value)}`)
}
