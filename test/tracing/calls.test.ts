// The span of a call of the client, over a transport that follows a script.

import { afterEach, expect, test } from 'vitest'
import { Client } from '../../src/client/index.ts'
import type { SendOptions, SendOutcome, Transport } from '../../src/client/transport/transport.ts'
import { judgeProblem } from '../../src/operations/forms/answers.ts'
import { decodeProblem } from '../../src/operations/forms/index.ts'
import { record, spans, stopRecording } from './recorded-spans.ts'

afterEach(stopRecording)

const NOT_SENT: SendOutcome<never> = {
  ...{ kind: 'not-sent', cause: new Error('refused'), reached: false, timedOut: false },
}
const REFUSED: SendOutcome<never> = {
  kind: 'refused',
  problem: judgeProblem(decodeProblem({ code: 'bad_request', detail: 'the secret of the key', status: 400 })),
  head: { clusterId: '1', node: 'n1' },
}

async function refusedPut(): Promise<readonly SendOptions[]> {
  const sent: SendOptions[] = []
  const transport: Transport = {
    inFlight: 0,
    close: () => {},
    send: (_endpoint, _operation, _request, options) => {
      sent.push(options)
      return Promise.resolve(sent.length === 1 ? NOT_SENT : REFUSED)
    },
  }
  const endpoints = ['http://127.0.0.1:1', 'http://127.0.0.1:2']
  const client = new Client({ endpoints, discover: false, transport: 'http' }, transport)
  await expect(client.put('secret', 'secret', { ifRevision: 1 })).rejects.toThrow('secret')
  await client.close()
  return sent
}

test('a further try is an event, and an error is the status', async () => {
  record()
  const sent = await refusedPut()
  const [call, ...others] = spans()
  expect(others).toEqual([])
  expect(sent.map(({ trace }) => trace?.context.spanId)).toEqual(
    Array.from({ length: 2 }, () => call?.spanContext().spanId),
  )
  const server = { 'server.address': '127.0.0.1', 'server.port': call?.attributes['server.port'] }
  expect(call?.events.map(({ name, attributes }) => [name, attributes])).toEqual([
    ['retry', { ...server, 'error.type': 'not-sent' }],
  ])
  expect(call?.status).toEqual({ code: 2 })
  expect(call?.attributes).toEqual({
    'db.system.name': 'quorate',
    'db.operation.name': 'put',
    ...server,
    'error.type': 'bad_request',
  })
})

test('nobody records: the requests have no trace', async () => {
  const sent = await refusedPut()
  expect(sent.map(({ trace }) => trace)).toEqual([undefined, undefined])
  expect(spans()).toEqual([])
})
