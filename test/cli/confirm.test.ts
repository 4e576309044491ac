// The question before many keys are deleted.

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { FakeNode } from '../client/fake-node.ts'
import { kv, type RunOptions } from './run-kv.ts'

let node: FakeNode

beforeAll(async () => {
  node = await FakeNode.start()
})
beforeEach(() => {
  node.rows.clear()
  node.set('a', 'v')
})
afterAll(() => node.close())

const TERMINALS = ['stdin', 'stderr'] as const

const answered = (stdin: string, terminals: RunOptions['terminals'] = TERMINALS) =>
  kv(['del', 'a', '--prefix'], { endpoints: node.url, stdin, terminals })

test.each(['y\n', 'Y\r\n', ' yes \n', 'y'])('%j is yes', async (text) => {
  expect((await answered(text)).err).toContain('This deletes 1 key that begins with a. Go on? [y/N]')
  expect(node.seen.some(({ method }) => method === 'DELETE')).toBe(true)
  node.seen.splice(0)
})

test.each(['', '\n', 'n\n', 'yesterday\n', 'no\ny\n'])('%j is no', async (text) => {
  expect(await answered(text)).toMatchObject({
    code: 1,
    err: expect.stringContaining('error: nothing was changed\n'),
  })
  expect(node.contents).toEqual({ a: 'v' })
})

test.each(TERMINALS)('if only %s is a terminal, there is no question', async (terminal) => {
  expect(await answered('y\n', [terminal])).toMatchObject({
    code: 2,
    err: 'error: This deletes 1 key that begins with a. To do that, add --yes.\n',
  })
  expect(node.contents).toEqual({ a: 'v' })
})
