// `kv migrate`: what it prints, its exit codes, and Ctrl-C. Etcd's API of a second cluster serves as etcd.

import { createServer } from 'node:http'
import { type AddressInfo, connect, createServer as createRelay, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { positionKey } from '../../../src/cli/migrate/position.ts'
import { SAME_SIGNAL_MS } from '../../../src/cli/terminal/stop-signals.ts'
import { startNode } from '../../../src/embed/index.ts'
import { temporaryDirectory } from '../../backup/samples.ts'
import { kv, startKv } from '../run-kv.ts'
import { useSides } from './sides.ts'

// The `target` of the sides is the cluster that serves as etcd.
const sides = useSides()
const etcd = () => (sides().clusters[1]?.endpoints[0] ?? '').replace('http', 'etcd')
const endpoints = () => sides().clusters[0]?.endpoints.join()
const run = (...args: string[]) => kv(['migrate', ...args], { endpoints: endpoints() })
const SAME_COMMAND =
  'the same command copies later changes; when no client writes to the source any more, --finish closes the migration'
const start = (...args: string[]) => startKv(['migrate', ...args], { endpoints: endpoints() })

describe('a migration', () => {
  it('from etcd, and again with the changes since', async () => {
    const { source, target } = sides()
    for (const name of ['a', 'b', 'c']) await target.put(`from/${name}`, name)
    const { id } = await target.grantLease({ ttlMs: 60_000 })
    await target.put('from/leased', '1', { lease: id })
    const key = positionKey('from/')
    const { code, out, err } = await run('--from', etcd(), '--prefix', 'from/')
    expect([code, out]).toEqual([0, ''])
    expect(err.replace(/revision \d+/g, 'revision N').replace(/[\d.]+ s$/m, 'T s')).toBe(
      [
        `copying 4 keys from ${etcd()}, as of revision N`,
        'copied 4 keys and 0 changes in T s',
        'both sides have the same 4 keys and 1 lease, at revision N of the source',
        SAME_COMMAND,
        '',
      ].join('\n'),
    )
    expect(await source.get('from/leased')).toMatchObject({ lease: id })
    await target.put('from/a', 'new')
    const again = await run('--from', etcd(), '--prefix', 'from/', '-o', 'json')
    expect(again).toMatchObject({ code: 0, err: expect.stringContaining('continues at revision') })
    const { revision, seconds, ...result } = JSON.parse(again.out)
    expect([revision, seconds]).toEqual([expect.any(Number), expect.any(Number)])
    expect(result).toEqual({
      ...{ keys: 4, leases: 1, copied: 0, changes: 1, different: 0, differences: [] },
      position_key: key,
      revisions_above: true,
      access_commands: [],
      finished: false,
    })
  })

  it('to etcd', async () => {
    const { source, target } = sides()
    await source.put('to/a', Uint8Array.of(255))
    const { code, err } = await run('--to', etcd(), '--prefix', 'to/')
    expect([code, err]).toEqual([0, expect.stringContaining(SAME_COMMAND)])
    expect((await target.get('to/a'))?.value).toEqual(Uint8Array.of(255))
  })

  it('that follows ends with Ctrl-C, and compares', async () => {
    const { source, target } = sides()
    await source.put('follow/a', '1')
    const running = start('--to', etcd(), '--prefix', 'follow/', '--follow')
    await running.printed('Ctrl-C ends it')
    for (let n = 0; n < 50; n++) await source.put('follow/a', String(n))
    running.signal('SIGINT')
    const { code, err } = await running.ended
    expect([code, err]).toEqual([0, expect.stringContaining('both sides have the same 1 key,')])
    expect(err).toContain('copied 1 key and 50 changes')
    expect((await target.get('follow/a'))?.text()).toBe('49')
  })

  it('names what somebody else has changed in the target, with exit code 1', async () => {
    const { source, target } = sides()
    for (const name of ['a', 'b', 'c']) await source.put(`differ/${name}`, name)
    const running = start('--to', etcd(), '--prefix', 'differ/', '--follow', '-o', 'ndjson')
    await running.printed('Ctrl-C ends it')
    await target.put('differ/a', 'other')
    await target.delete('differ/b')
    running.signal('SIGINT')
    const { code, err, out } = await running.ended
    expect([code, JSON.parse(out)]).toMatchObject([
      1,
      {
        different: 2,
        differences: [
          { key: 'differ/a', difference: 'value' },
          { key: 'differ/b', difference: 'missing' },
        ],
      },
    ])
    expect(err).toMatch(/error: 2 of 3 keys differ at revision \d+ of the source\n/)
    expect(err).toContain(
      'differ/a: another value in the target, changed by somebody else\n' +
        'differ/b: not in the target, changed by somebody else\n',
    )
    expect(err).toContain(`\`etcdctl del ${positionKey('differ/')}\` ends it`)
    const again = await run('--to', etcd(), '--prefix', 'differ/')
    expect([again.code, again.err]).toEqual([
      1,
      expect.stringContaining('somebody else has changed 2 keys of the target since'),
    ])
    expect(again.err).toContain('differ/a\ndiffer/b\nIf clients use the target now')
    expect((await target.get('differ/a'))?.text()).toBe('other')
  })

  it('that is finished changes nothing any more, and says when that was', async () => {
    const { source, target } = sides()
    await source.put('closed/a', '1')
    const args = ['--to', etcd(), '--prefix', 'closed/']
    const finished = await run(...args, '--finish', '-o', 'json')
    expect([finished.code, JSON.parse(finished.out)]).toMatchObject([0, { finished: true, different: 0 }])
    await source.put('closed/a', '2')
    const again = await run(...args)
    expect([again.code, again.err]).toEqual([
      1,
      expect.stringMatching(/was finished at revision \d+ of the source, at 20.*: nothing was changed/),
    ])
    const twice = await run(...args, '--finish')
    expect([twice.code, twice.err]).toEqual([0, expect.stringContaining('the migration was finished at')])
    expect((await target.get('closed/a'))?.text()).toBe('1')
  })
})

describe('without a change of either side,', () => {
  it('--dry-run says what would be done', async () => {
    const { source, target } = sides()
    await source.put('dry/a', '12')
    const args = ['--to', etcd(), '--prefix', 'dry/', '--dry-run']
    const { code, out } = await run(...args, '-o', 'json')
    expect([code, JSON.parse(out)]).toMatchObject([
      0,
      { source: { keys: 1, bytes: 7, leases: 0 }, target: { keys: 0 }, position: null, next: 'begins' },
    ])
    expect(await run(...args)).toMatchObject({
      code: 0,
      err: expect.stringContaining('a run would copy 1 key'),
    })
    expect([await target.count({ prefix: 'dry/' }), await target.get(positionKey('dry/'))]).toEqual([
      0,
      undefined,
    ])
    await run('--to', etcd(), '--prefix', 'dry/')
    expect((await run(...args)).err).toContain('a run would continue at revision')
    await target.put('dry-full/a', '1')
    await target.put(
      positionKey('dry-other/'),
      JSON.stringify({ source: '1', prefix: 'dry-other/', phase: 'follow', revision: 1, copied: 0 }),
    )
    expect(await run('--to', etcd(), '--prefix', 'dry-other/', '--dry-run')).toMatchObject({
      code: 1,
      err: expect.stringContaining('a migration from cluster 1'),
    })
    const refused = await run('--to', etcd(), '--prefix', 'dry-full/', '--dry-run')
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining('a run would be refused') })
  })

  it('--verify compares both sides, at the position of the migration', async () => {
    const { source, target } = sides()
    for (const name of ['a', 'b']) await source.put(`verify/${name}`, name)
    const args = ['--to', etcd(), '--prefix', 'verify/']
    await run(...args)
    const before = await target.get(positionKey('verify/'))
    await source.put('verify/a', 'later')
    const same = await run(...args, '--verify')
    expect([same.code, same.err]).toEqual([0, expect.stringContaining('both sides have the same 2 keys')])
    expect(same.err).toContain('later changes were not compared')
    // A lower revision cannot be read: what is not copied yet is counted as that.
    await source.compact((await source.put('elsewhere', '1')).revision)
    const later = await run(...args, '--verify', '-o', 'json')
    expect([later.code, JSON.parse(later.out)]).toMatchObject([1, { different: 0, outstanding: 1 }])
    await target.delete('verify/b')
    const { code, err } = await run(...args, '--verify')
    expect([code, err]).toEqual([1, expect.stringContaining('verify/b: not in the target')])
    expect((await target.get(positionKey('verify/')))?.modRevision).toBe(before?.modRevision)
    expect((await target.get('verify/a'))?.text()).toBe('a')
  })

  it.each([
    ['--dry-run', '--verify'],
    ['--dry-run', '--follow'],
    ['--verify', '--finish'],
  ])('%s and %s are refused together', async (...flags) => {
    expect(await run('--to', etcd(), ...flags)).toMatchObject({
      code: 2,
      err: expect.stringContaining('give one of them, alone'),
    })
  })
})

describe('users and roles', () => {
  it('are printed as the commands that make them, in both directions', async () => {
    const { source, clusters } = sides()
    const other = clusters[1]?.client()
    for (const client of [source, other]) {
      await client?.roles.put('app', [
        { access: 'readwrite', prefix: 'app/' },
        { access: 'read', key: "it's" },
        { access: 'write', start: 'a', end: 'c' },
        { access: 'read', start: 'x' },
        { access: 'read', all: true },
      ])
      await client?.users.put('bob', { password: 'long enough', roles: ['app'] })
    }
    const commands = async (...args: string[]): Promise<readonly string[]> =>
      JSON.parse((await run(...args, '--prefix', 'users/', '--dry-run', '-o', 'json')).out).access_commands
    expect(await commands('--to', etcd())).toEqual([
      'etcdctl role add app',
      'etcdctl role grant-permission app readwrite app/ --prefix=true',
      "etcdctl role grant-permission app read 'it'\\''s'",
      'etcdctl role grant-permission app write a c',
      'etcdctl role grant-permission app read x --from-key=true',
      "etcdctl role grant-permission app read '' --from-key=true",
      'etcdctl user add bob',
      'etcdctl user grant-role bob app',
    ])
    const own = await commands('--from', etcd())
    expect(own.toSorted()).toEqual(
      [
        'quorate role add app',
        'quorate role grant app readwrite --prefix app/',
        "quorate role grant app read 'it'\\''s'",
        'quorate role grant app write --range a c',
        "quorate role grant app read --range x ''",
        'quorate role grant app read --all',
        'quorate user add bob',
        'quorate user grant bob app',
      ].toSorted(),
    )
    for (const client of [source, other]) {
      await client?.users.delete('bob')
      await client?.roles.delete('app')
    }
  })
})

describe('Ctrl-C', () => {
  it('during the copy leaves the rest to the same command', async () => {
    const { source } = sides()
    for (let n = 0; n < 300; n++) await source.put(`stopped/${n}`, String(n))
    const relay = await startRelay()
    const args = ['--to', relay.address, '--prefix', 'stopped/']
    const running = start(...args)
    await running.printed('copying 300 keys')
    relay.isStalled = true
    running.signal('SIGINT')
    expect(await running.ended).toMatchObject({
      code: 130,
      err: expect.stringContaining('interrupted: the same command continues the migration'),
    })
    relay.isStalled = false
    expect(await run(...args)).toMatchObject({ code: 0, err: expect.stringContaining('the same 300 keys') })
  })

  it('a second time breaks the last step off', async () => {
    const { source } = sides()
    await source.put('twice/a', '1')
    const relay = await startRelay()
    const args = ['--to', relay.address, '--prefix', 'twice/']
    const running = start(...args, '--follow')
    await running.printed('caught up')
    relay.isStalled = true
    await source.put('twice/a', '2')
    running.signal('SIGINT')
    await running.printed('comparing both sides')
    await sleep(SAME_SIGNAL_MS + 100)
    running.signal('SIGINT')
    expect(await running.ended).toMatchObject({ code: 130 })
    relay.isStalled = false
    expect(await run(...args)).toMatchObject({ code: 0 })
  })
})

/** A relay to the cluster that serves as etcd. While it is stalled, it passes nothing on. */
async function startRelay() {
  const { hostname, port } = new URL(sides().clusters[1]?.endpoints[0] ?? '')
  const relay = { isStalled: false, address: '' }
  const sockets = new Set<Socket>()
  const server = createRelay((near) => {
    const far = connect(Number(port), hostname)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.on('error', () => {}).on('close', () => to.destroy())
      from.on('data', (chunk) => relay.isStalled || to.write(chunk))
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  relay.address = `etcd://127.0.0.1:${(server.address() as AddressInfo).port}`
  return relay
}

describe('a mistake is named', () => {
  const usage = (text: string) => ({ code: 2, err: expect.stringContaining(text) })

  it.each([
    [[], 'name a cluster of etcd'],
    [['--from', 'etcd://a', '--to', 'etcd://b'], '--from and --to contradict each other'],
    [
      ['--from', 'http://a:2379'],
      "it must be etcd://HOST:PORT[,HOST:PORT…], or etcds://… with TLS, not 'http://a",
    ],
    [['--from', 'etcd://ann:secret@a'], '--etcd-user'],
    [['--from', 'etcd://a', '--prefix', 'quorate/migration/'], 'positions of migrations'],
    [['--from', 'etcds://a', '--etcd-cert', 'x'], '--etcd-cert and --etcd-key go together'],
    [['--from', 'etcds://a', '--etcd-cacert', '/missing'], '--etcd-cacert: cannot read /missing'],
    [['--from', 'etcd://a', '--etcd-user', 'ann'], 'set KV_ETCD_PASSWORD'],
  ])('%j', async (args, text) => {
    const ended = await run(...args)
    expect(ended).toMatchObject(usage(text))
    expect(ended.err).not.toContain('secret')
  })

  it('certificates without TLS', async () => {
    const file = import.meta.filename
    expect(await run('--from', 'etcd://a', '--etcd-cacert', file)).toMatchObject(usage('has no certificate'))
  })

  it('no server', async () => {
    const { code, err } = await run('--from', 'etcd://127.0.0.1:1', '--timeout', '500ms')
    expect([code, err]).toEqual([7, expect.stringContaining('check the address of etcd')])
    const own = await kv(['migrate', '--from', etcd(), '--timeout', '500ms'], {
      endpoints: 'http://127.0.0.1:1',
    })
    expect(own).toMatchObject({ code: 7, err: expect.stringContaining('check --endpoints') })
  })

  it('another server', async () => {
    const server = createServer((_, response) => response.end('hello')).listen(0, '127.0.0.1')
    onTestFinished(() => void server.close())
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as AddressInfo
    const { code, err } = await run('--from', `etcd://127.0.0.1:${port}`, '--timeout', '500ms')
    expect([code, err]).toEqual([5, expect.stringContaining('that it serves clients there')])
  })

  it("a node without etcd's API", async () => {
    const anywhere = { host: '127.0.0.1', port: 0 }
    const node = await startNode({
      ...{ name: 'n1', dataDir: join(temporaryDirectory(), 'n1'), listen: anywhere, peerListen: anywhere },
      ...{ founding: { kind: 'bootstrap' }, etcdApi: false },
    })
    onTestFinished(() => node.stop())
    const ended = await kv(['migrate', '--from', etcd(), '--prefix', 'none/'], { endpoints: node.url })
    expect(ended).toMatchObject({ code: 1, err: expect.stringContaining('--no-etcd-api') })
  })

  it('the same cluster on both sides', async () => {
    const own = sides().clusters[0]?.endpoints[0]?.replace('http', 'etcd') ?? ''
    expect(await run('--to', own)).toMatchObject({
      code: 1,
      err: expect.stringContaining('the same cluster'),
    })
  })

  it('a target that is not empty', async () => {
    const { source, target } = sides()
    await target.put('full/a', '1')
    await source.put('full/b', '1')
    const { code, err } = await run('--from', etcd(), '--prefix', 'full/')
    expect([code, err]).toEqual([1, expect.stringContaining('such as full/b')])
  })

  it('a value over the limit of the target', async () => {
    const { source, target } = sides()
    await target.put('limit/a', 'x'.repeat(2_000))
    await source.changeSettings({ value_bytes_max: 1_000 })
    const refused = await run('--from', etcd(), '--prefix', 'limit/')
    expect(refused).toMatchObject({
      code: 1,
      err: expect.stringContaining('settings set value_bytes_max=2000'),
    })
    await source.changeSettings({ value_bytes_max: 2_000 })
    expect(await run('--from', etcd(), '--prefix', 'limit/')).toMatchObject({ code: 0 })
    await source.changeSettings({ value_bytes_max: 1 << 20 })
  })
})

describe('where rights are checked', () => {
  it('users of both sides need them', async () => {
    const { source, target, clusters } = sides()
    await target.put('rights/a', '1')
    await source.roles.put('mover', [{ access: 'readwrite', prefix: 'rights/' }])
    await source.users.put('ann', { password: 'long enough', roles: ['mover'] })
    await source.users.put('root', { password: 'long enough', roles: ['root'] })
    await source.auth.enable()
    const as = (user: string) => ['--user', user, '--from', etcd(), '--prefix', 'rights/']
    const nobody = await run('--from', etcd(), '--prefix', 'rights/')
    expect(nobody).toMatchObject({ code: 8, err: expect.stringContaining('--user NAME') })
    const denied = await run(...as('ann:long enough'))
    expect(denied).toMatchObject({ code: 8, err: expect.stringContaining('quorate role grant') })
    expect(await run(...as('root:long enough'))).toMatchObject({ code: 0 })
    // A token is as good.
    const login = await fetch(`${clusters[0]?.endpoints[0]}/v1/auth/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ user: 'root', password: 'long enough' }),
    })
    const { token } = (await login.json()) as { token: string }
    await target.put('rights/b', '2')
    const again = await run('--token', token, '--from', etcd(), '--prefix', 'rights/')
    expect(again).toMatchObject({ code: 0, err: expect.stringContaining('the same 2 keys') })
  })
})
