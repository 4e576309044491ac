// Permissions as the page makes them from a form.

import { expect, test } from 'vitest'
import { PermissionDocument } from '../../src/operations/documents/auth.ts'
import { enablingFault, makePermission } from '../../web/src/pages/operation/permissions.ts'

const state = (...users: { name: string; roles: string[] }[]) => ({
  enabled: false,
  revision: 1,
  users: users.map((user) => ({ ...user, hasPassword: true })),
  roles: [],
  refusal: undefined,
})

test.each([
  ['read', 'prefix', 'app/', '', { access: 'read', prefix: 'app/' }],
  ['write', 'key', 'a', '', { access: 'write', key: 'a' }],
  ['readwrite', 'range', 'a', 'c', { access: 'readwrite', start: 'a', end: 'c' }],
  ['read', 'range', 'a', '', { access: 'read', start: 'a' }],
  ['read', 'all', 'left', '', { access: 'read', all: true }],
  ['admin', 'prefix', 'left', '', { access: 'admin' }],
] as const)('%s %s %s %s', (access, place, first, end, document) => {
  const permission = makePermission(access, place, first, end)
  expect(permission && PermissionDocument.encode(permission)).toEqual(document)
})

test('a right on keys needs their name', () => {
  expect(makePermission('read', 'prefix', '', '')).toBeUndefined()
})

test('rights cannot be checked without root', () => {
  expect(enablingFault(state())).toMatch('root')
  expect(enablingFault(state({ name: 'root', roles: ['app'] }))).toMatch('role root')
  expect(enablingFault(state({ name: 'root', roles: ['root'] }))).toBeUndefined()
})
