// A new client at a node of the version before, which knows no leases.

import { expect, test } from 'vitest'
import { Client } from '../../src/client/index.ts'
import { eventually, freePorts, KV, outcomeOf, Workspace } from '../local/kv.ts'
import { unpack } from './old-program.ts'

type Call = (kv: Client) => Promise<unknown>

const CALLS: Readonly<Record<string, Call>> = {
  grantLease: (kv) => kv.grantLease({ ttlMs: 10_000 }),
  keepLeaseAlive: (kv) => kv.keepLeaseAlive('5'),
  lease: (kv) => kv.lease('5'),
  leases: (kv) => kv.leases().next(),
  revokeLease: (kv) => kv.revokeLease('5'),
  session: (kv) => kv.session({ ttlMs: 10_000 }),
  'put with a lease': (kv) => kv.put('k', 'v', { lease: '5' }),
  'put with a time to live': (kv) => kv.put('k', 'v', { ttlMs: 10_000 }),
  'puts together': (kv) => Promise.all(['5', '6'].map((lease) => kv.put('k', 'v', { lease }))),
}

test('calls about leases say that the node runs an older quorate', async () => {
  const space = await Workspace.open()
  const [url, peers] = [`http://127.0.0.1:${space.port}`, await freePorts(1)]
  space.program = unpack(space)
  const addresses = ['--listen', `127.0.0.1:${space.port}`, '--peer-listen', `127.0.0.1:${peers}`]
  const node = space.spawn('node', 'start', '--name', 'n1', '--data', 'n1', ...addresses, '--bootstrap')
  const ended = outcomeOf(node)
  await eventually(async () => (await fetch(`${url}/readyz`).catch(() => undefined))?.status === 200)

  for (const transport of ['http', 'auto'] as const) {
    await using kv = new Client({ endpoints: [url], transport, timeoutMs: 30_000 })
    // So many that it makes a multiplexed connection, and has a session.
    for (let round = 0; round < 20; round++)
      await Promise.all(Array.from({ length: 16 }, (_, n) => kv.put(`warm/${n}`, '1')))
    const codes: Record<string, unknown> = {}
    for (const [name, call] of Object.entries(CALLS)) {
      const error = await call(kv).catch((reason: unknown) => reason)
      const { code, written, message } = error as Record<string, unknown>
      codes[name] = [code, written, String(message).includes('knows no leases: it runs an older quorate')]
    }
    expect(codes).toEqual(
      Object.fromEntries(Object.keys(CALLS).map((name) => [name, ['unsupported', 'no', true]])),
    )
    expect(await kv.get('k')).toBeUndefined()
  }

  space.program = KV
  for (const command of [
    ['lease', 'show', '5'],
    ['lease', 'list'],
    ['put', 'k', 'v', '--lease', '5'],
  ]) {
    const { code, stderr } = await space.kv(...command, '--endpoints', url)
    expect([command, code]).toEqual([command, 1])
    expect(stderr).toContain('it runs an older quorate. Start every node with a newer one')
  }

  node.kill('SIGTERM')
  expect((await ended).code).toBe(0)
})
