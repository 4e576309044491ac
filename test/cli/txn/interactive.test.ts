// A transaction that is typed at a terminal.

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { FakeNode } from '../../client/fake-node.ts'
import { startKv } from '../run-kv.ts'

let node: FakeNode

beforeAll(async () => {
  node = await FakeNode.start()
})
beforeEach(() => void node.seen.splice(0))
afterAll(() => node.close())

function atTerminal(...typed: readonly (string | Buffer)[]) {
  const running = startKv(['txn'], { endpoints: node.url, terminals: ['stdin', 'stdout', 'stderr'] })
  for (const line of typed) running.stdin.write(line)
  return running
}

const bodies = () => node.seen.filter(({ method }) => method === 'POST').map(({ body }) => body.toString())

test('lines up to the first empty one are a transaction', async () => {
  const { ended } = atTerminal('missing a\n', 'then\r\n', '  put a "1 2"\n', ' \n', 'put b 2\n')
  expect((await ended).err).toContain('An empty line sends the transaction.')
  expect(bodies()).toHaveLength(1)
  expect(JSON.parse(bodies()[0] ?? '')).toMatchObject({
    compare: [{ key: 'a' }],
    success: [{ put: { key: 'a', value: '1 2' } }],
  })
})

test('a wrong line is named when the text is complete, and nothing is sent', async () => {
  const { code, err } = await atTerminal('then\n', 'putt a 1\n', '\n').ended
  expect(code).toBe(2)
  expect(err).toContain(
    'line 2, column 1 of standard input: expected `put`, `get`, `delete`, `txn` or `else`, found `putt`',
  )
  expect(node.seen).toEqual([])
})

test('the end of the input before an empty line sends nothing', async () => {
  const running = atTerminal('then\n', 'put a 1\n')
  running.stdin.end()
  expect(await running.ended).toMatchObject({
    code: 2,
    err: expect.stringContaining('the input ended before an empty line: nothing was sent'),
  })
  expect(node.seen).toEqual([])
})

test('Ctrl-C sends nothing', async () => {
  const running = atTerminal('then\n', 'put a 1\n')
  await running.printed('Ctrl-C gives up')
  running.signal('SIGINT')
  expect(await running.ended).toMatchObject({ code: 130 })
  expect(node.seen).toEqual([])
})

test('a line that a terminal may have cut off is refused', async () => {
  const { code, err } = await atTerminal('then\n', `put a ${'v'.repeat(4089)}\n`, '\n').ended
  expect(code).toBe(2)
  expect(err).toContain('may be cut off by the terminal')
  expect(node.seen).toEqual([])
})

test('bytes that are no text are refused', async () => {
  const { code, err } = await atTerminal('then\n', Buffer.of(0xff, 0x0a), '\n').ended
  expect({ code, err }).toMatchObject({ code: 2, err: expect.stringContaining('is not UTF-8') })
})
