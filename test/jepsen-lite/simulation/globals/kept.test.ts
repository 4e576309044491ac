// Functions that this module has kept from before globals were replaced.

import { execFile as execFileCallback } from 'node:child_process'
import { lookup } from 'node:dns'
import { readFile } from 'node:fs'
import { readFile as readFilePromise } from 'node:fs/promises'
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { replaceGlobals } from '../../../../jepsen-lite/simulation/globals/index.ts'
import { virtualHost } from './virtual-host.ts'

const kept = {
  sleep: promisify(setTimeout),
  setTimeout,
  setInterval,
  readFile: promisify(readFile),
  readFilePromise: [readFilePromise][0],
  lookup: promisify(lookup),
  execFile: promisify(execFileCallback),
}
const FILE = import.meta.filename

test.each<[string, () => unknown]>([
  ['setTimeout or setInterval', () => kept.sleep(1)],
  ['setTimeout or setInterval', () => clearTimeout(kept.setTimeout(() => {}, 1))],
  ['setTimeout or setInterval', () => clearInterval(kept.setInterval(() => {}, 1))],
  ['a function of node:fs', () => kept.readFile(FILE)],
  ['a function of node:fs/promises', () => kept.readFilePromise?.(FILE)],
  ['dns.lookup', () => kept.lookup('localhost')],
  ['a function of node:child_process', () => kept.execFile(process.execPath, ['--version'])],
])('%s is refused, also if it was kept', async (name, begin) => {
  const host = virtualHost()
  await host.run(begin)
  expect(host.refused[0]).toBe(`${name}, which was kept from before the simulation`)
})

test('a use is noted once, also in a later simulation', () => {
  replaceGlobals(() => undefined)()
  const host = virtualHost()
  host.run(() => clearTimeout(kept.setTimeout(() => {}, 1)))
  expect(host.refused).toHaveLength(1)
})

test('code of no process uses what it has kept', async () => {
  const host = virtualHost()
  await kept.sleep(1)
  await kept.readFile(FILE)
  expect(host.refused).toEqual([])
})

test('a timer of Node itself is no timer of the process', () => {
  const host = virtualHost()
  host.run(() => {
    const request = new IncomingMessage(new Socket())
    const response = new ServerResponse(request)
    // Its date is kept for the rest of the second, with a timer.
    response.writeHead(200)
  })
  expect(host.refused).toEqual([])
})
