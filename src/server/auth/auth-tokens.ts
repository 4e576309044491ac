// Auth tokens: what a user gets for a password, and sends instead of it. A node keeps none of them. A token names the
// user, the user's epoch and its end, and is signed with a key that is replicated: every node knows it, also after a
// restart. A new password begins another epoch, which ends all tokens of the user. The end is a time of day, so the
// clocks of nodes must agree within its lifetime. A node where it is used prolongs it (used-tokens.ts).

import { createHmac, timingSafeEqual } from 'node:crypto'
import type { AuthState } from '../../kv/index.ts'

const PREFIX = 'q1'

export interface AuthTokenFacts {
  readonly user: string
  readonly epoch: number
  /** Milliseconds since 1970. */
  readonly endsAt: number
}

export function signAuthToken({ user, epoch, endsAt }: AuthTokenFacts, key: Uint8Array): string {
  const facts = Buffer.from(JSON.stringify([user, epoch, endsAt])).toString('base64url')
  return `${PREFIX}.${facts}.${mac(facts, key).toString('base64url')}`
}

/** The user of a token that is valid now; otherwise why it is not. */
export function verifyAuthToken(
  token: string,
  { users, keys }: AuthState,
  now: number,
): AuthTokenFacts | { readonly fault: string } {
  const [prefix, facts = '', signature = '', ...rest] = token.split('.')
  if (prefix !== PREFIX || rest.length > 0) return { fault: 'it is no token of this cluster' }
  const expected = mac(facts, keys.tokenKey)
  const given = Buffer.from(signature, 'base64url')
  if (given.length !== expected.length || !timingSafeEqual(given, expected))
    return { fault: 'it is no token of this cluster' }
  const [user, epoch, endsAt] = JSON.parse(Buffer.from(facts, 'base64url').toString()) as [
    string,
    number,
    number,
  ]
  if (endsAt <= now) return { fault: 'the token has expired' }
  if (users.get(user)?.epoch !== epoch)
    return { fault: 'the token is void: the user or the password was changed' }
  return { user, epoch, endsAt }
}

const mac = (facts: string, key: Uint8Array): Buffer => createHmac('sha256', key).update(facts).digest()
