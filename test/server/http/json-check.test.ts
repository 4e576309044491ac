// Checks of bodies that json-bodies.int.test.ts does not show through a route: values of any type, and schemas that
// cannot be checked.

import { expect, test } from 'vitest'
import { bodyCheck } from '../../../src/server/http/json-check.ts'

const PASSWORD = {
  type: 'object',
  properties: { password: { anyOf: [{ type: 'string' }, { type: 'null' }] } },
}

test('one of several schemas is enough, and the fault is that of the first', () => {
  const check = bodyCheck(PASSWORD)
  for (const password of ['x', '', null]) expect(check({ password })).toBe(undefined)
  for (const password of [7, true, [], {}, undefined]) expect(check({ password })).toBe('password must be string')
})

test('a limit says nothing about values of another type', () => {
  const check = bodyCheck({
    minimum: 2,
    maxLength: 1,
    pattern: '^a$',
    minItems: 1,
    minProperties: 1,
    maximum: 3,
  })
  for (const value of [2, 3, 'a', [1], { a: 1 }, null, true]) expect(check(value)).toBe(undefined)
  for (const value of [1, 4, 'b', 'aa', [], {}]) expect(check(value)).toMatch(/^the body must /)
})

test('characters are counted, not units of UTF-16', () => {
  const check = bodyCheck({ maxLength: 2 })
  expect([check('😀😀'), check('😀😀😀')]).toEqual([
    undefined,
    'the body must NOT have more than 2 characters',
  ])
})

test('a schema that would not be checked as a whole is refused', () => {
  for (const schema of [{ uniqueItems: true }, { items: { multipleOf: 2 } }, { type: 'number' }])
    expect(() => bodyCheck(schema)).toThrow('bodies are not checked for')
})
