// The identity of a write: by it the cluster applies the write at most once, however often it is sent.

import { randomBytes } from 'node:crypto'

/** The revision of an empty store. A node that is joining and has no data yet answers 0. */
const FIRST_REVISION = 1

/** `since`: the revision since which the token is in use. */
export type Identity = readonly [token: string, since: number]

export class Identities {
  /** Identifies this client: 128 random bits, so that no two clients share one. */
  readonly #prefix = randomBytes(16).toString('base64url')
  #count = 0

  /** `revision`: the highest revision that the client has seen. */
  next(revision: number): Identity {
    return [`${this.#prefix}-${++this.#count}`, Math.max(FIRST_REVISION, revision)]
  }
}

export const identityHeader = ([token, since]: Identity): string => `${token};since=${since}`
