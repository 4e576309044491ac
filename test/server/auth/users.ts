// A node that checks rights: root, and bob, who may read and write what begins with `app/`.

import { AUTH_TOKEN_KEY_BYTES, type Permission } from '../../../src/kv/index.ts'
import { AUTH_TOKEN_MS, signAuthToken } from '../../../src/server/auth/auth-tokens.ts'
import { Passwords } from '../../../src/server/auth/passwords.ts'
import { FakeNode } from '../http/fake-node.ts'

export const ROOT_PASSWORD = 'password of root'
export const BOB_PASSWORD = 'password of bob'

const TOKEN_KEY = new Uint8Array(AUTH_TOKEN_KEY_BYTES).fill(7)

const passwords = new Passwords()
const hashOf = (password: string): Promise<string> =>
  new Promise((resolve, reject) =>
    passwords.hash(password, (error, hash) => (error === undefined ? resolve(hash) : reject(error))),
  )

/** scrypt takes a tenth of a second. */
const hashes = { root: hashOf(ROOT_PASSWORD), bob: hashOf(BOB_PASSWORD) }

export const BOB_HASH = hashes.bob

const range = { start: Buffer.from('app/'), end: Buffer.from('app0') }

/** Another role of bob. */
export const permit = (node: FakeNode, ...permissions: readonly Permission[]): void =>
  node.apply({ kind: 'auth', ifRevision: undefined, change: { kind: 'put-role', name: 'app', permissions } })

export async function nodeWithUsers(): Promise<FakeNode> {
  const node = new FakeNode()
  const change = (made: Parameters<typeof node.apply>[0] & { readonly kind: 'auth' }) => node.apply(made)
  permit(node, { access: 'readwrite', range })
  for (const [name, role] of [
    ['root', 'root'],
    ['bob', 'app'],
  ] as const) {
    const passwordHash = await hashes[name]
    change({
      ...{ kind: 'auth', ifRevision: undefined },
      change: { kind: 'put-user', name, passwordHash, roles: [role] },
    })
  }
  change({
    ...{ kind: 'auth', ifRevision: undefined },
    change: { kind: 'enable', tokenKey: TOKEN_KEY, rootHasCertificate: false },
  })
  return node
}

export const basic = (user: string, password: string): { readonly Authorization: string } => ({
  Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
})

/** Tokens, which are checked faster than passwords. The users are made at the auth revisions 3 and 4. */
const bearer = (user: string, epoch: number) => ({
  Authorization: `Bearer ${signAuthToken({ user, epoch, endsAt: Date.now() + AUTH_TOKEN_MS }, TOKEN_KEY)}`,
})
export const AS_ROOT = bearer('root', 3)
export const AS_BOB = bearer('bob', 4)
