// Assertions that stay on in production. A replica that detects a broken guarantee of Raft stops, so that it does not
// diverge.

/** A guarantee of the protocol or of a caller is broken. The replica must stop; its core takes no further step. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError'
}

/** Throws unless `holds`. `sentence` builds the message, and is called only then. */
export function invariant(holds: boolean, sentence: () => string): asserts holds {
  if (!holds) throw new InvariantError(sentence())
}
