// Headers that make a change conditional, or name it: where a route does not use them, the change would be made all the
// same.

import { expect, test } from 'vitest'
import { AS_ROOT, nodeWithUsers } from '../auth/users.ts'
import { JSON_TYPE, serve } from './served.ts'

const CHANGES = [
  ['POST', '/v1/changes', { changes: [{ put: { key: 'a', value: '1' } }] }],
  ['POST', '/v1/txn', { success: [{ put: { key: 'a', value: '1' } }] }],
  ['POST', '/v1/compact', { revision: 1 }],
  ['POST', '/v1/leases', { ttl: '30s' }],
  ['DELETE', '/v1/leases/5', undefined],
  ['POST', '/v1/sessions', {}],
  ['POST', '/v1/cluster/settings', { leases_max: 7 }],
  ['DELETE', '/v1/cluster/members/n3', undefined],
  ['POST', '/v1/cluster/leader', {}],
  ['POST', '/v1/auth/disable', {}],
] as const

test.each(CHANGES)(
  '%s %s makes no change under a condition that it does not use',
  async (method, path, body) => {
    const node = nodeWithUsers()
    const { ask } = await serve({ node })
    const request = (headers: Record<string, string>) =>
      ask(method, path, {
        headers: { ...AS_ROOT, ...(body && JSON_TYPE), ...headers },
        ...(body && { body: JSON.stringify(body) }),
      })
    await ask('GET', '/v1/status', { headers: AS_ROOT })
    const before = node.asked.length
    for (const condition of [{ 'If-Match': '"999"' }, { 'If-None-Match': '*' }]) {
      const { status, json } = await request(condition)
      expect([status, json.code]).toEqual([400, 'bad_request'])
    }
    expect([node.asked.length, node.auth.enabled]).toEqual([before, true])
  },
)

test.each([
  ['PUT', '/v1/auth/users/bob', { roles: ['app'] }],
  ['DELETE', '/v1/auth/users/bob', undefined],
  ['PUT', '/v1/auth/roles/app', { permissions: [] }],
  ['DELETE', '/v1/auth/roles/app', undefined],
  ['POST', '/v1/auth/enable', {}],
  ['POST', '/v1/auth/disable', {}],
] as const)('%s %s is not remembered under a token, and refuses one', async (method, path, body) => {
  const node = nodeWithUsers()
  const { ask } = await serve({ node })
  const { revision } = node.auth
  for (const name of [{ 'Idempotency-Key': 'once' }, { 'Kv-Session': '7;slot=0;seq=1' }]) {
    const { status, json } = await ask(method, path, {
      headers: { ...AS_ROOT, ...(body && JSON_TYPE), ...name },
      ...(body && { body: JSON.stringify(body) }),
    })
    expect([status, json.code]).toEqual([400, 'bad_request'])
  }
  expect(node.auth.revision).toBe(revision)
})

test('a change of users has one auth revision as its condition', async () => {
  const node = nodeWithUsers()
  const { ask } = await serve({ node })
  const { revision } = node.auth
  const put = (condition: string) =>
    ask('PUT', '/v1/auth/roles/app', {
      headers: { ...AS_ROOT, ...JSON_TYPE, 'If-Match': condition },
      body: JSON.stringify({ permissions: [] }),
    })
  expect((await put(`"${revision - 1}", "${revision}"`)).status).toBe(400)
  expect((await put(`"${revision - 1}"`)).status).toBe(412)
  expect((await put(`"${revision}"`)).status).toBe(200)
})
