// The allowed values of limits, and the number of connections that fit.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type HttpLimits, httpLimits, httpLimitsFault } from '../../../src/server/listener/limits.ts'
import {
  connectionsThatFit,
  OPEN_FILES_MIN,
  openFilesMax,
} from '../../../src/server/node/observe/descriptors.ts'

test('the limits as they are have no fault, and neither has leaving them as they are', () => {
  expect(httpLimitsFault(httpLimits)).toBeUndefined()
  expect(httpLimitsFault({})).toBeUndefined()
})

test.each([
  [{ pageRowsMax: 1 }, undefined],
  [{ pageRowsMax: Number.MAX_SAFE_INTEGER }, undefined],
  [{ pageRowsMax: 0 }, 'pageRowsMax must be a whole number from 1 to 9007199254740991, not 0'],
  [{ pageRowsMax: -1 }, 'pageRowsMax must be'],
  [{ pageRowsMax: 1.5 }, 'not 1.5'],
  [{ pageRowsMax: Number.NaN }, 'not NaN'],
  [{ pageRowsMax: Number.POSITIVE_INFINITY }, 'not Infinity'],
  [{ pageRowsMax: 2 ** 53 }, 'not 9007199254740992'],
  // A timer of 2³¹ ms ends at once.
  [{ keepAliveMs: 2 ** 31 - 1 }, undefined],
  [{ keepAliveMs: 2 ** 31 }, 'keepAliveMs must be a whole number from 1 to 2147483647'],
  [{ closeMsMax: 2 ** 31 - 1 }, undefined],
  [{ closeMsMax: 2 ** 31 }, 'closeMsMax must be a whole number from 1 to 2147483647'],
])('%j: %s', (limits, fault) => {
  const found = httpLimitsFault(limits)
  if (fault === undefined) expect(found).toBeUndefined()
  else expect(found).toContain(fault)
})

test('a limit that nobody knows is named, also behind one that is right', () => {
  const given = { pageRowsMax: 5, pageRows: 7 } as Partial<HttpLimits>
  expect(httpLimitsFault(given)).toBe('there is no limit pageRows of HTTP')
  expect(httpLimitsFault(JSON.parse('{"__proto__": 5}'))).toContain('there is no limit __proto__')
  expect(httpLimitsFault(JSON.parse('{"toString": 5}'))).toContain('there is no limit toString')
})

test('connections leave room for the files of each node, and at least a part of a low limit', () => {
  expect(connectionsThatFit(10_000, 1)).toBe(9_808)
  expect(connectionsThatFit(10_000, 3)).toBe(9_424)
  expect(connectionsThatFit(256, 1)).toBe(102)
  expect(connectionsThatFit(OPEN_FILES_MIN, 1)).toBeGreaterThan(0)
  expect(connectionsThatFit(Number.POSITIVE_INFINITY, 2)).toBe(Number.POSITIVE_INFINITY)
})

test('the limit of open files is asked of the system, once', () => {
  const limit = openFilesMax()
  if (process.platform === 'linux') {
    const [, soft = ''] = /Max open files +(\w+)/.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
    expect(limit).toBe(soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft))
  }
  expect(limit).toBeGreaterThanOrEqual(OPEN_FILES_MIN)
  expect(openFilesMax()).toBe(limit)
})
