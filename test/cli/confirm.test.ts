// The question before many keys are deleted, or a voter is removed.

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { RelayedNode } from '../client/relayed-node.ts'
import { kv, type RunOptions } from './run-kv.ts'

let node: RelayedNode

beforeAll(async () => {
  node = await RelayedNode.start()
})
beforeEach(() => {
  node.clear()
  node.set('a', 'v')
})
afterAll(() => node.close())

const TERMINALS = ['stdin', 'stderr'] as const

const answered = (stdin: string, terminals: RunOptions['terminals'] = TERMINALS) =>
  kv(['del', 'a', '--prefix'], { endpoints: node.url, stdin, terminals })

test.each(['y\n', 'Y\r\n', ' yes \n', 'y'])('%j is yes', async (text) => {
  expect((await answered(text)).err).toContain('this deletes 1 key that begins with a; continue? [y/N]')
  expect(node.seen.some(({ method }) => method === 'DELETE')).toBe(true)
  node.seen.splice(0)
})

test.each(['', '\n', 'n\n', 'yesterday\n', 'no\ny\n'])('%j is no', async (text) => {
  expect(await answered(text)).toMatchObject({
    code: 1,
    err: expect.stringMatching(/\ncancelled: nothing was changed\n$/),
  })
  expect(node.contents).toEqual({ a: 'v' })
})

test.each(TERMINALS)('if only %s is a terminal, there is no question', async (terminal) => {
  expect(await answered('y\n', [terminal])).toMatchObject({
    code: 2,
    err: 'error: this deletes 1 key that begins with a; to do that, add --yes\n',
  })
  expect(node.contents).toEqual({ a: 'v' })
})

test.each([
  [['a', '--prefix'], 'key that begins with a', 'keys that begin with a'],
  [['--start', 'a'], 'key from a on', 'keys from a on'],
  [['--end', 'b'], 'key before b', 'keys before b'],
  [['--start', 'a', '--end', 'b'], 'key from a to before b', 'keys from a to before b'],
])('one key is a key: %j', async (words, one, several) => {
  const asked = async () => (await kv(['del', ...words], { endpoints: node.url })).err
  expect(await asked()).toContain(`this deletes 1 ${one}; to`)
  node.set('aa', 'v')
  expect(await asked()).toContain(`this deletes 2 ${several}; to`)
})

test('a voter is removed with --yes or after a question, a learner at once', async () => {
  const member = { replica_id: '1', peer: '127.0.0.1:1', url: node.url }
  node.members = [
    { name: 'n1', role: 'voter', ...member },
    { name: 'n2', role: 'learner', ...member },
    { name: 'n3', role: 'voter', ...member },
  ]
  const removed = () => node.seen.splice(0).filter(({ method }) => method === 'DELETE').length
  const remove = (args: readonly string[], more: RunOptions = {}) =>
    kv(['member', 'remove', ...args], { endpoints: node.url, ...more })
  removed()
  expect(await remove(['n1'])).toMatchObject({
    code: 2,
    err: 'error: this removes n1, a voter, and leaves 1 voter, which survives no failure; to do that, add --yes\n',
  })
  expect(await remove(['n1'], { stdin: 'n\n', terminals: TERMINALS })).toMatchObject({ code: 1 })
  expect(removed()).toBe(0)
  await remove(['n1', '--yes'])
  await remove(['n1'], { stdin: 'y\n', terminals: TERMINALS })
  await remove(['n2'])
  expect(removed()).toBe(3)
})
