// What each operation does and answers.

import { expect, test } from 'vitest'
import { serve } from '../http/served.ts'
import { GET, MuxClient, PUT } from './mux-client.ts'

test('a put and a get', async () => {
  const { port } = await serve()
  const client = await new MuxClient(port).open()
  expect(client.notices).toEqual([
    [
      0,
      'welcome',
      {
        version: 1,
        cluster: '4242',
        node: 'n1',
        server: '1.2.3',
        term: 3,
        leader: 'n2',
        revision: 1,
        operations_max: 4096,
        bytes_max: 16 * 2 ** 20,
        message_bytes_max: 4 * 2 ** 20,
      },
    ],
  ])
  expect(await client.ask(7, PUT, null, Buffer.from('a'), Buffer.from('1'))).toEqual([
    7,
    0,
    2,
    2,
    2,
    1,
    false,
  ])
  expect(await client.ask(8, GET, null, Buffer.from('a'))).toEqual([
    ...[8, 0, 2, [null, Buffer.from('1'), 2, 2, 1], 'linearizable', null],
  ])
})
