// A node that checks rights: root, and bob, who may read and write what begins with `app/`.

import { scryptSync } from 'node:crypto'
import type { Permission } from '../../../src/operations/forms/index.ts'
import { newAuthKeys } from '../../../src/server/auth/auth-keys.ts'
import { signAuthToken } from '../../../src/server/auth/auth-tokens.ts'
import { FakeNode } from '../http/fake-node.ts'

export const ROOT_PASSWORD = 'password of root'
export const BOB_PASSWORD = 'password of bob'

const KEYS = newAuthKeys()

/** A hash of the least cost: that of a real one takes a tenth of a second at each check. */
function hashOf(password: string): string {
  const salt = Buffer.alloc(16)
  const key = scryptSync(password, salt, 32, { N: 2, r: 8, p: 1 })
  return `scrypt$1$8$1$${salt.toString('base64url')}$${key.toString('base64url')}`
}

export const BOB_HASH = hashOf(BOB_PASSWORD)
export const ROOT_HASH = hashOf(ROOT_PASSWORD)
const HASHES = { root: ROOT_HASH, bob: BOB_HASH }

const range = { start: Buffer.from('app/'), end: Buffer.from('app0') }

/** Another role of bob. */
export const permit = (node: FakeNode, ...permissions: readonly Permission[]): void =>
  node.apply({ kind: 'auth', ifRevision: undefined, change: { kind: 'put-role', name: 'app', permissions } })

export function nodeWithUsers(node = new FakeNode()): FakeNode {
  const change = (made: Parameters<typeof node.apply>[0] & { readonly kind: 'auth' }) => node.apply(made)
  permit(node, { access: 'readwrite', range })
  for (const [name, role] of [
    ['root', 'root'],
    ['bob', 'app'],
  ] as const) {
    change({
      ...{ kind: 'auth', ifRevision: undefined },
      change: { kind: 'put-user', name, passwordHash: HASHES[name], roles: [role] },
    })
  }
  change({
    ...{ kind: 'auth', ifRevision: undefined },
    change: { kind: 'enable', ...KEYS, rootHasCertificate: false },
  })
  return node
}

export const basic = (user: string, password: string): { readonly Authorization: string } => ({
  Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
})

/** Lifetime of the tokens below. Files of tests share them, and a busy machine runs those for more than ten minutes. */
export const TOKEN_MS = 86_400_000

/** Tokens, which are checked faster than passwords. The users are made at the auth revisions 3 and 4. */
const bearer = (user: string, epoch: number) => ({
  Authorization: `Bearer ${signAuthToken({ user, epoch, endsAt: Date.now() + TOKEN_MS }, KEYS.tokenKey)}`,
})
export const AS_ROOT = bearer('root', 3)
export const AS_BOB = bearer('bob', 4)
