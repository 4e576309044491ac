// Rights are switched on while a read is in progress, whose client nobody has identified.

import { expect, test } from 'vitest'
import type { LeaseId } from '../../../src/operations/forms/index.ts'
import { AS_ROOT, nodeWithUsers } from '../auth/users.ts'
import type { FakeNode } from '../http/fake-node.ts'
import { serve } from '../http/served.ts'

/** Returns what switches them on again. */
function disableRights(node: FakeNode): () => void {
  const { keys } = node.auth.state
  node.apply({ kind: 'auth', ifRevision: undefined, change: { kind: 'disable' } })
  const change = { kind: 'enable', ...keys, rootHasCertificate: false } as const
  return () => void node.apply({ kind: 'auth', ifRevision: undefined, change })
}

test('a client without a user sees no keys of a lease that are read after rights are checked', async () => {
  const node = nodeWithUsers()
  const id = '7' as LeaseId
  node.apply({ kind: 'grant', id, ttlMs: 30_000 })
  const put = { kind: 'put', value: new Uint8Array(), condition: undefined, prev: false } as const
  node.apply({ ...put, key: Buffer.from('secret'), lease: { id } })
  const enable = disableRights(node)
  const { ask } = await serve({ node })
  const remainingTtls = node.remainingTtls.bind(node)
  node.remainingTtls = (ids, timeoutMs, done) =>
    remainingTtls(ids, timeoutMs, (ttlsMs) => {
      enable()
      done(ttlsMs)
    })
  const { status, json } = await ask('GET', `/v1/leases/${id}?keys=true`)
  expect([status, json.code, node.auth.enabled]).toEqual([503, 'not_ready', true])
  expect((await ask('GET', `/v1/leases/${id}?keys=true`, { headers: AS_ROOT })).json.keys).toEqual(['secret'])
})

test('a client without a user sees no list of roles that begins anew after rights are checked', async () => {
  const node = nodeWithUsers()
  for (let at = 0; at < 400; at++)
    node.apply({
      ...{ kind: 'auth', ifRevision: undefined },
      change: { kind: 'put-role', name: `role${at}`, permissions: [] },
    })
  const enable = disableRights(node)
  const { ask } = await serve({ node })
  node.hold = (release) => {
    node.hold = undefined
    // The reader pauses after some hundred roles.
    setImmediate(enable)
    release()
  }
  const { status, json } = await ask('GET', '/v1/auth/roles')
  expect([status, json.code, node.auth.enabled]).toEqual([503, 'not_ready', true])
})
