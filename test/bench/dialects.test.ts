import { expect, test } from 'vitest'
import { quorateHttp, wrongLogins } from '../../bench/load/dialects.ts'

test('each consistency is stated in the request, but the default', () => {
  const paths = (['linearizable', 'lease', 'stale'] as const).map((consistency) => [
    quorateHttp.get('a', consistency).path,
    quorateHttp.range('a', 7, consistency).path,
  ])
  expect(paths).toEqual([
    ['/v1/kv/a', '/v1/kv?start=a&limit=7'],
    ['/v1/kv/a?consistency=lease', '/v1/kv?start=a&limit=7&consistency=lease'],
    ['/v1/kv/a?consistency=stale', '/v1/kv?start=a&limit=7&consistency=stale'],
  ])
})

test('an update of a key that does not exist creates it, and every other has the revision of the key', () => {
  const conditions = [0, 1, 12].map(
    (revision) => quorateHttp.update('a', new Uint8Array(), revision).condition,
  )
  expect(conditions).toEqual(['If-None-Match: *', 'If-Match: "1"', 'If-Match: "12"'])
  expect(quorateHttp.put('a', new Uint8Array()).condition).toBeUndefined()
})

test('each wrong login names another user', () => {
  const bodies = Array.from({ length: 50 }, () => String(wrongLogins.put('a', new Uint8Array()).body))
  expect(new Set(bodies).size).toBe(50)
})
