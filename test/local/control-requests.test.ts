// Bodies of the actions of the console: each action refuses a body in which a field is missing or of another type.

import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { isControlAction, readControlRequest } from '../../src/local/console/control-requests.ts'
import type { ControlAction } from '../../src/operations/documents/control.ts'

/** The body arrives in parts. */
const read = (action: ControlAction, body: string, type = 'application/json') =>
  readControlRequest(
    action,
    Object.assign(Readable.from((body.match(/.{1,5}/g) ?? []).map((part) => Buffer.from(part))), {
      headers: { 'content-type': type },
    }) as unknown as IncomingMessage,
    () => {},
  )

/** A whole body of each action, and the request that it is. */
const ACTIONS: Readonly<
  Record<ControlAction, readonly [body: Readonly<Record<string, unknown>>, request: object]>
> = {
  kill: [{ node: 'n1' }, { command: 'kill', node: 'n1' }],
  pause: [{ node: 'n1' }, { command: 'pause', node: 'n1' }],
  resume: [{ node: 'n1' }, { command: 'resume', node: 'n1' }],
  restart: [{ node: 'n1' }, { command: 'restart', node: 'n1' }],
  start: [{ node: 'n1' }, { command: 'restart', node: 'n1' }],
  cut: [
    { from: 'n1', to: 'n2', both: true },
    { command: 'cut', from: 'n1', to: 'n2', both: true },
  ],
  partition: [
    { groups: [['n1'], ['n2', 'n3']], reset: true },
    { command: 'partition', groups: [['n1'], ['n2', 'n3']], reset: true },
  ],
  heal: [
    { from: 'n1', to: 'n2', both: true },
    { command: 'heal', link: { from: 'n1', to: 'n2', both: true } },
  ],
}
/** Fields without which an action is another, smaller one. */
const FLAGS = new Set(['both', 'reset'])

test.each(Object.entries(ACTIONS))('%s', async (name, [body, request]) => {
  if (!isControlAction(name)) throw new Error(`${name} is no action`)
  expect(await read(name, JSON.stringify(body))).toEqual(request)
  await expect(read(name, JSON.stringify(body), 'text/plain')).rejects.toThrow('application/json')
  for (const field of Object.keys(body)) {
    const { [field]: _, ...rest } = body
    if (FLAGS.has(field))
      expect(JSON.stringify(await read(name, JSON.stringify(rest)))).toContain(`"${field}":false`)
    else await expect(read(name, JSON.stringify(rest)), `without ${field}`).rejects.toThrow(/must be/)
    for (const value of [null, 7, [7], {}, ...(FLAGS.has(field) ? ['true', 1] : [])])
      await expect(read(name, JSON.stringify({ ...body, [field]: value })), field).rejects.toThrow(/must be/)
  }
  for (const text of ['{', '[]', 'null', '7', '"n1"'])
    await expect(read(name, text)).rejects.toThrow('the body must be a JSON object')
})

test('only a heal without a body, or with an empty one, heals all links', async () => {
  for (const body of ['', '{}'])
    expect(await read('heal', body)).toEqual({ command: 'heal', link: undefined })
  for (const name of Object.keys(ACTIONS))
    if (name !== 'heal' && isControlAction(name))
      for (const body of ['', '{}']) await expect(read(name, body)).rejects.toThrow(/must be/)
})
