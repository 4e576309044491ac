// Requests that take some milliseconds each are decoded, read and answered in steps of the turn queue, however many
// arrive at once.

import { expect, onTestFinished, test, vi } from 'vitest'
import { TurnQueue } from '../../../src/server/api/turn-queue.ts'
import { JSON_TYPE, serve } from '../http/served.ts'
import { MuxClient, soon } from '../mux/mux-client.ts'

const [PUT, CHANGES] = [1, 6]
const COUNT = 3

/** The steps wait until they are run one by one. Returns the highest count of `work` in one step, and in all. */
function heldSteps(work: () => number) {
  const steps: (() => void)[] = []
  const run = vi.spyOn(TurnQueue.prototype, 'run').mockImplementation((step) => void steps.push(step))
  onTestFinished(() => run.mockRestore())
  return {
    steps,
    async run(isOver: () => boolean): Promise<{ readonly most: number; readonly all: number }> {
      let [most, all] = [0, 0]
      await soon(() => {
        for (let step = steps.shift(); step !== undefined; step = steps.shift()) {
          const before = work()
          step()
          most = Math.max(most, work() - before)
          all += work() - before
        }
        expect(isOver()).toBe(true)
      })
      return { most, all }
    },
  }
}

test('batches of one message are decoded one by one', async () => {
  const { node, port } = await serve()
  const client = await new MuxClient(port).open()
  const held = heldSteps(() => node.asked.length)
  const ids = Array.from({ length: COUNT }, (_, at) => at + 1)
  client.send(...ids.map((id) => [id, CHANGES, null, [[PUT, 'a', 'v', null]]]))
  await soon(() => expect(held.steps).toHaveLength(COUNT))
  expect(node.asked).toHaveLength(0)
  expect(await held.run(() => node.asked.length === COUNT)).toEqual({ most: 1, all: COUNT })
})

test('the values before changes with prev are read one by one', async () => {
  const { node, port } = await serve()
  node.put('a', Buffer.alloc(2 ** 20))
  const client = await new MuxClient(port).open()
  const get = vi.spyOn(node, 'get')
  const held = heldSteps(() => get.mock.calls.length)
  const ids = Array.from({ length: COUNT }, (_, at) => at + 1)
  client.send(...ids.map((id) => [id, PUT, null, 'a', 'x', null, { prev: true, if_match: [1] }]))
  await soon(() => expect(held.steps).toHaveLength(COUNT))
  expect(get).not.toHaveBeenCalled()
  expect(await held.run(() => node.asked.length === COUNT)).toEqual({ most: 1, all: COUNT })
})

test('batches of several connections are parsed one by one, and their problems encoded some hundreds at a time', async () => {
  const served = await serve()
  const { node } = served
  node.put('a', '1')
  const changes = Array.from({ length: 1000 }, () => ({ put: { key: 'a', value: '', if_none_match: '*' } }))
  const body = JSON.stringify({ changes })
  // Loads the routes.
  await served.ask('GET', '/v1/status')
  const parse = vi.spyOn(JSON, 'parse')
  const encode = vi.spyOn(JSON, 'stringify')
  onTestFinished(() => {
    parse.mockRestore()
    encode.mockRestore()
  })
  const parsed = (): number => parse.mock.calls.length
  const held = heldSteps(() => encode.mock.calls.filter(([json]) => 'written' in Object(json)).length)
  const answers = Array.from({ length: COUNT }, () =>
    served.ask('POST', '/v1/changes', { headers: JSON_TYPE, body }),
  )
  await soon(() => expect(held.steps).toHaveLength(COUNT))
  expect(parsed()).toBe(0)
  let answered = 0
  for (const answer of answers) void answer.then(() => answered++)
  const { most, all } = await held.run(() => answered === COUNT)
  expect(all).toBe(COUNT * changes.length)
  expect(most).toBeLessThan(changes.length / 2)
})
