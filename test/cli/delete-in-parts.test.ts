// kv del of a range whose second part fails: what is deleted stays deleted, and no exit code says "nothing written".

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { problem, RelayedNode } from '../client/relayed-node.ts'
import { kv } from './run-kv.ts'

let node: RelayedNode

beforeAll(async () => {
  node = await RelayedNode.start()
  for (let at = 0; at < 1_500; at++) node.set(`k${String(at).padStart(4, '0')}`, '')
})
beforeEach(() => {
  node.fault = () => undefined
})
afterAll(() => node.close())

/** A second part with an unknown outcome is repeated until `timeout`. */
const failingWith = async (second: ReturnType<typeof problem>, timeout: string) => {
  let parts = 0
  node.fault = ({ method, target }) => {
    if (method !== 'DELETE') return undefined
    expect(target).toMatch(/[?&]start=k.*end=k/)
    return parts++ === 0 ? { status: 200, body: { deleted: 1_000, revision: 1_501 } } : second
  }
  return kv(['del', '--prefix', 'k', '--yes', '--timeout', timeout], { endpoints: node.url })
}

test('a part that was certainly not deleted', async () => {
  const ended = await failingWith(problem(403, 'permission_denied', 'no'), '30s')
  expect(ended).toMatchObject({ code: 1, out: '' })
  expect(ended.err).toMatch(/1000 keys were deleted before: the same command deletes the others\n$/)
  expect(ended.err).not.toContain('nothing was written')
})

test('a part whose outcome is unknown', async () => {
  const ended = await failingWith(problem(504, 'outcome_unknown', 'who knows'), '5s')
  expect(ended).toMatchObject({ code: 6, out: '' })
  expect(ended.err).toMatch(
    /^1000 keys were deleted before; the same command deletes the others\nerror: the outcome/,
  )
})
