// The order in which the console of a local cluster refuses clients: that of a node (test/server/clients).
// golden/console-refusals.txt has it as text.

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { parsePort } from '../../src/local/addresses.ts'
import type { Console } from '../../src/local/console/console-server.ts'
import { GOOD, http, type Opening, VALUE, type Wire } from '../server/clients/openings.ts'
import { type Fault, refusalTable } from '../server/clients/refusal-table.ts'
import { openFor } from './console-requests.ts'

interface ConsoleOpening extends Opening {
  readonly method: string
  readonly path: string
  readonly type: string
  readonly token: string | undefined
}

type ConsoleFault = Fault<ConsoleOpening>

const FAULTS: readonly ConsoleFault[] = [
  { name: 'two hosts', change: { isHostTwice: true } },
  { name: 'no host', change: { host: undefined, isHostTwice: false } },
  { name: 'foreign host', change: { host: 'evil.example' } },
  { name: 'host like ours', change: { host: '127.0.0.1.evil.example' } },
  { name: 'foreign origin', change: { origin: 'http://evil.example' } },
  { name: 'origin of a port', change: { origin: 'http://localhost:81' } },
  { name: 'opaque origin', change: { origin: 'null' } },
  { name: 'foreign site', change: { site: 'cross-site' } },
  { name: 'absolute target', change: { path: 'http://localhost/control/state' } },
  { name: 'nobody', change: { token: undefined } },
  { name: 'false token', change: { token: 'x' } },
  { name: 'no such route', change: { path: '/control/none' } },
  { name: 'no such node', change: { path: '/nodes/n9/v1/kv/a' } },
  { name: 'other method', change: { method: 'DELETE' } },
  { name: 'form of a page', change: { type: 'text/plain' } },
]

const wire = (method: string, path: string, body = '', lacks: Wire<ConsoleOpening>['lacks'] = []) => ({
  good: { ...GOOD, method, path, type: 'application/json' },
  ...http<ConsoleOpening>(
    `${method} ${path}`,
    lacks,
    (opening) => `${opening.method} ${opening.path}`,
    ({ token, type }) => [
      ...(token === undefined ? [] : [`Quorate-Control: ${token}`]),
      ...(body === '' ? [] : [`Content-Type: ${type}`]),
    ],
    () => body,
    true,
  ),
})

const WIRES = [
  wire('GET', '/control/state'),
  wire('POST', '/control/heal', '{}'),
  wire('GET', '/nodes/n1/v1/kv/a', '', ['method']),
  wire('PUT', '/nodes/n1/v1/kv/a', VALUE, ['method', 'type']),
  wire('GET', '/ui/console.json'),
  wire('GET', '/ui'),
]

function tableOf(console: Console, { good, ...each }: (typeof WIRES)[number]): Promise<string> {
  const ask = (...faults: readonly ConsoleFault[]) => {
    const { token, url } = console.address
    const opening: ConsoleOpening = Object.assign({ ...good, token }, ...faults.map(({ change }) => change))
    return each.open(parsePort(url), opening)
  }
  return refusalTable(each.name, each, FAULTS, {
    ask,
    measure: async (...faults) => ({ ...(await ask(...faults)), audit: '', count: '' }),
  })
}

test('the console refuses in the order of a node', async () => {
  const node = createServer((request, response) => {
    request.resume().on('end', () => response.end())
  }).listen(0, '127.0.0.1')
  await once(node, 'listening')
  onTestFinished(() => {
    node.closeAllConnections()
    node.close()
  })
  const url = `http://127.0.0.1:${(node.address() as AddressInfo).port}`
  const console = await openFor({ name: 'n1', url })
  const tables: string[] = []
  for (const each of WIRES) tables.push(await tableOf(console, each))
  const file = join(import.meta.dirname, 'golden/console-refusals.txt')
  await expect(tables.join('\n')).toMatchFileSnapshot(file)
})
