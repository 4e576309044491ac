// kv lock, kv elect, kv queue and kv service, on a real node.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { createServer as createHttpServer, get, request as httpRequest } from 'node:http'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import type { Client } from '../../src/client/index.ts'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'
import { createRelay } from '../../src/local/relays/relay.ts'
import { campaign, leaderOf, lock, queue, registry } from '../../src/recipes/index.ts'
import { KV, kv as run, startingUntil } from './run-kv.ts'

let cluster: EmbeddedCluster
let client: Client
let url: string

beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
  client = cluster.client()
  url = cluster.endpoints[0] ?? ''
})
afterAll(() => cluster.close())

const kv = (args: string, more: Parameters<typeof run>[1] = {}) =>
  run(args.split(' '), { endpoints: url, ...more })

test('items go through a queue from one command to another', async () => {
  const pushed = await kv('queue push mail first')
  expect(pushed).toMatchObject({ code: 0, err: '' })
  expect(await kv('queue push mail - --priority 5', { stdin: 'urgent' })).toMatchObject({ code: 0 })
  expect(await kv('queue len mail')).toMatchObject({ code: 0, out: '2\t0\t0\n' })
  expect(await kv('queue len mail -o table')).toMatchObject({ out: '2 ready, 0 held or delayed, 0 dead\n' })
  expect(await kv('queue peek mail')).toMatchObject({ code: 0, out: 'urgent' })
  expect(await kv('queue pop mail')).toMatchObject({ code: 0, out: 'urgent', err: '' })
  expect(JSON.parse((await kv('queue pop mail -o json')).out)).toEqual({
    id: pushed.out.trim(),
    value: 'first',
    attempts: 1,
    priority: 0,
  })
  expect(await kv('queue pop mail')).toMatchObject({ code: 3, out: '' })
  expect((await kv('queue peek mail')).err).toContain('no item of the queue mail can be taken')
  expect(await queue(client, 'mail').len()).toEqual({ ready: 0, held: 0, dead: 0 })
})

test('a pop waits for an item', async () => {
  const waiting = kv('queue pop later --wait 30s')
  await queue(client, 'later').push('came')
  expect(await waiting).toMatchObject({ code: 0, out: 'came' })
  expect(await kv('queue pop later --wait 50ms')).toMatchObject({ code: 3 })
})

/** A pipe that nobody reads, and that is full. */
function fullPipe(): number {
  const directory = mkdtempSync(join(tmpdir(), 'quorate-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'pipe')
  execFileSync('mkfifo', [path])
  const pipe = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  onTestFinished(() => closeSync(pipe))
  expect(() => {
    for (;;) writeSync(pipe, Buffer.alloc(4096))
  }).toThrow('EAGAIN')
  return pipe
}

test.each(['SIGINT', 'SIGTERM'] as const)('%s ends an instance whose id nobody reads', async (signal) => {
  const child = spawn(process.execPath, [KV, 'service', 'register', `unread-${signal}`, 'http://a'], {
    env: { ...process.env, KV_ENDPOINTS: url },
    stdio: ['ignore', fullPipe(), 'inherit'],
  })
  const ended = once(child, 'exit')
  const instances = registry(client, `unread-${signal}`)
  await expect.poll(() => instances.list()).toHaveLength(1)
  child.kill(signal)
  expect(await ended).toEqual([null, signal])
  expect(await instances.list()).toEqual([])
})

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s ends an instance that is being registered', async (signal, code) => {
  const silent = createServer()
  silent.listen(0, '127.0.0.1')
  onTestFinished(() => void silent.close())
  await once(silent, 'listening')
  const { port } = silent.address() as AddressInfo
  const asked = once(silent, 'connection')
  const child = spawn(process.execPath, [KV, 'service', 'register', 'asked', 'http://a'], {
    env: { ...process.env, KV_ENDPOINTS: `http://127.0.0.1:${port}` },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const said = text(child.stderr)
  const ended = once(child, 'exit')
  await asked
  child.kill(signal)
  expect(await ended).toEqual([code, null])
  expect(await said).toBe(`error: ended by ${signal}: no instance is kept alive\n`)
})

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s ends an instance while nobody answers what it writes', async (signal, code) => {
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>()
  let isSilent = false
  const proxy = createHttpServer((request, answer) => {
    if (request.url?.startsWith('/v1/txn')) {
      isSilent = true
      ask()
    }
    if (isSilent) return
    const { method, headers } = request
    const passed = httpRequest(url + request.url, { method, headers }, (from) =>
      from.pipe(answer.writeHead(from.statusCode ?? 500, from.headers)),
    )
    request.pipe(passed)
  }).listen(0, '127.0.0.1')
  onTestFinished(() => {
    proxy.closeAllConnections()
    proxy.close()
  })
  await once(proxy, 'listening')
  const { port } = proxy.address() as AddressInfo
  const child = spawn(
    process.execPath,
    [KV, 'service', 'register', 'unheard', 'http://a', '--timeout', '10m'],
    {
      env: { ...process.env, KV_ENDPOINTS: `http://127.0.0.1:${port}` },
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  )
  const said = text(child.stderr)
  const ended = once(child, 'exit')
  await asked
  child.kill(signal)
  expect(await ended).toEqual([code, null])
  expect(await said).toBe(`error: ended by ${signal}: no instance is kept alive\n`)
})

test('an item that was not printed comes back', async () => {
  const items = queue(client, 'stalled')
  await items.push('once')
  const child = spawn(process.execPath, [KV, 'queue', 'pop', 'stalled'], {
    env: { ...process.env, KV_ENDPOINTS: url },
    stdio: ['ignore', fullPipe(), 'inherit'],
  })
  const ended = once(child, 'exit')
  await expect.poll(async () => (await items.len()).ready).toBe(0)
  // As long as another command takes: it could have been acknowledged.
  expect(await kv('queue len stalled')).toMatchObject({ out: '0\t1\t0\n' })
  child.kill('SIGINT')
  expect(await ended).toEqual([null, 'SIGINT'])
  expect(await items.len()).toEqual({ ready: 0, held: 1, dead: 0 })
})

test('a pop whose item cannot be printed has changed nothing', async () => {
  await queue(client, 'full').push('once')
  const full = openSync('/dev/full', 'w')
  onTestFinished(() => closeSync(full))
  const child = spawn(process.execPath, [KV, 'queue', 'pop', 'full'], {
    env: { ...process.env, KV_ENDPOINTS: url },
    stdio: ['ignore', full, 'pipe'],
  })
  const [[code], said] = await Promise.all([once(child, 'exit'), textOf(child.stderr)])
  expect([code, said]).toEqual([1, expect.stringContaining('cannot write to standard output')])
  expect(said).not.toContain('may have been made')
  expect(await queue(client, 'full').len()).toEqual({ ready: 0, held: 1, dead: 0 })
})

test('Ctrl-C ends a command whose output nobody reads', async () => {
  await client.put('large', Buffer.alloc(1 << 20, 'x'))
  const child = spawn(process.execPath, [KV, 'get', 'large'], {
    env: { ...process.env, KV_ENDPOINTS: url },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  await once(child.stdout, 'readable')
  child.kill('SIGINT')
  expect(await ended).toEqual([null, 'SIGINT'])
  child.stdout.destroy()
})

test('Ctrl-C leaves to a slow reader what was printed', async () => {
  await client.put('large', Buffer.alloc(1 << 20, 'x'))
  const child = spawn(process.execPath, [KV, 'get', 'large'], {
    env: { ...process.env, KV_ENDPOINTS: url },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  await once(child.stdout, 'readable')
  child.kill('SIGINT')
  let bytes = 0
  // It takes some seconds.
  for await (const chunk of child.stdout) {
    bytes += chunk.length
    await sleep(150)
  }
  expect(bytes).toBe(1 << 20)
  expect(await ended).toEqual([0, null])
})

test('an instance is registered until Ctrl-C, and seen by list and watch', async () => {
  const registering = begin(['service', 'register', 'api', 'http://a:1', '--id', 'a', '--weight', '2'])
  expect(await registering.line(), registering.err()).toBe('a')
  expect(await kv('service list api')).toMatchObject({ code: 0, out: 'a\thttp://a:1\t2\t{}\n' })
  expect(JSON.parse((await kv('service list api -o json')).out)).toEqual([
    { id: 'a', url: 'http://a:1', weight: 2, meta: {} },
  ])
  const watching = begin(['service', 'watch', 'api', '-o', 'ndjson'])
  expect(JSON.parse(await watching.line()).instances).toHaveLength(1)
  registering.child.kill('SIGINT')
  expect(await registering.ended).toBe(130)
  expect(JSON.parse(await watching.line()).instances).toEqual([])
  watching.child.kill('SIGINT')
  expect(await watching.ended).toBe(130)
  expect(await registry(client, 'api').list()).toEqual([])
})

const textOf = async (stream: Readable | null) => (stream === null ? '' : await text(stream))

/** Until it has ended. */
function begin(args: readonly string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [KV, ...args], {
    env: { ...process.env, KV_ENDPOINTS: url, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const err: string[] = []
  child.stderr.setEncoding('utf8').on('data', (text: string) => err.push(text))
  const line = async () => String((await lines.next()).value)
  return { child, line, err: () => err.join(''), ended: endOf(child) }
}

const endOf = async (child: ChildProcess) => (await once(child, 'close'))[0]

/** If it still runs. */
function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {}
}

const nodeCommand = (code: string) => ['--', process.execPath, '-e', code]

test('a command runs while the lock is held, with its token, and its exit code is that of kv', async () => {
  const code = 'console.log(process.env.KV_LOCK_TOKEN, process.env.KV_LOCK_KEY); process.exit(7)'
  const holding = await run(['lock', 'deploy', ...nodeCommand(code)], { endpoints: url })
  expect(holding.code).toBe(7)
  const [token = '', key = ''] = holding.out.trim().split(' ')
  expect(key).toMatch(/^lock\/deploy\/\d+$/)
  const held = await lock(client, 'deploy', { waitMs: 0 })
  expect(held.token).toBeGreaterThan(Number(token))
  const refused = await kv('lock deploy --wait 50ms -- true')
  expect(refused).toMatchObject({ code: 5, out: '' })
  expect(refused.err).toContain('not taken within the time to wait: another one holds it')
  const waiting = begin(['lock', 'deploy', ...nodeCommand('console.log("in")')])
  await expect.poll(() => client.count({ prefix: 'lock/deploy/' })).toBe(2)
  await held.release()
  expect(await waiting.line()).toBe('in')
  expect(await waiting.ended).toBe(0)
  expect(await client.count({ prefix: 'lock/' })).toBe(0)
})

test('a command that cannot be run leaves the lock free', async () => {
  expect(await kv('lock absent -- no-such-command')).toMatchObject({
    code: 1,
    err: 'error: cannot run no-such-command: there is no such command\n',
  })
  // Node throws for this one, where it tells of others later.
  expect(await kv(`elect absent me -- ${process.execPath}/command`)).toMatchObject({
    code: 1,
    err: expect.stringMatching(/^error: cannot run \S+\/command: [^\n]+\n$/),
  })
  for (const words of [
    ['lock', 'absent', '--', ''],
    ['elect', 'absent', '--', ''],
  ])
    expect(await run(words, { endpoints: url })).toMatchObject({
      code: 2,
      err: expect.stringContaining('the name of the command is empty'),
    })
  expect(await client.count({ prefix: 'lock/absent/' })).toBe(0)
  expect(await client.count({ prefix: 'election/absent/' })).toBe(0)
})

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
  '%s is for the command, and the lock goes when it ends',
  async (name) => {
    const code = `process.on('${name}', () => { console.log('asked'); setTimeout(() => process.exit(3), 50) })
    setInterval(() => {}, 1000); console.log('in')`
    const holding = begin(['lock', 'signals', ...nodeCommand(code)])
    expect(await holding.line()).toBe('in')
    holding.child.kill(name)
    expect(await holding.line()).toBe('asked')
    expect(await holding.ended).toBe(3)
    expect(await client.count({ prefix: 'lock/signals/' })).toBe(0)
  },
)

test.each([
  ['lock', 'SIGTERM'],
  ['elect', 'SIGHUP'],
] as const)('kv %s: %s that comes while the command is started is for it too', async (verb, name) => {
  const scratch = mkdtempSync(join(tmpdir(), 'quorate-start-'))
  onTestFinished(() => rmSync(scratch, { recursive: true }))
  const file = join(scratch, 'started')
  const code = `process.on('${name}', () => process.exit(3)); setInterval(() => {}, 1000); console.log(process.pid)`
  const holding = begin([verb, 'starting', '--ttl', '1h', ...nodeCommand(code)], startingUntil(file))
  const pid = Number(await holding.line())
  onTestFinished(() => kill(pid))
  holding.child.kill(name)
  writeFileSync(file, '')
  expect(await holding.ended).toBe(3)
  expect(await client.count({ prefix: `${verb === 'lock' ? 'lock' : 'election'}/starting/` })).toBe(0)
})

test('a lock of which no node says whether it could be taken is exit code 5, and its command has not run', async () => {
  // Reads are answered, changes never.
  const silent = createHttpServer(({ method, url: target }, answer) => {
    if (method !== 'POST')
      get(url + target, { method }, (from) =>
        from.pipe(answer.writeHead(from.statusCode ?? 500, from.headers)),
      )
  }).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const { port } = silent.address() as AddressInfo
  for (const verb of ['lock', 'elect']) {
    const args = [verb, 'cut', '--wait', '100ms', '--timeout', '3s', '--', process.execPath, '-p', '"ran"']
    const found = await run(args, { endpoints: `http://127.0.0.1:${port}` })
    expect(found, verb).toMatchObject({ code: 5, out: '' })
  }
  silent.closeAllConnections()
  silent.close()
})

test('Ctrl-C at a terminal reaches the command once, also if its input is no terminal', async () => {
  const code = `let n = 0; setInterval(() => {}, 1000)
    const end = () => { console.log("asked " + n); process.exit(3) }
    process.on("SIGINT", () => { if (++n === 1) setTimeout(end, 1000) })
    console.log("ready")`
  // A shell in between would get Ctrl-C, too.
  const command = `exec ${process.execPath} ${KV} lock terminal -- ${process.execPath} -e '${code}' < /dev/null`
  // `script` gives a process a terminal.
  const child = spawn('script', ['-qec', command, '/dev/null'], {
    env: { ...process.env, KV_ENDPOINTS: url },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let out = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (!out.includes('ready') && text.includes('ready')) child.stdin.write('\x03')
    out += text
  })
  expect(await endOf(child)).toBe(3)
  expect(out).toContain('asked 1')
  expect(await client.count({ prefix: 'lock/terminal/' })).toBe(0)
})

test('a command is ended when the lock is lost, and killed if it does not end', async () => {
  // The time that a command has to end is a part of the time to live.
  for (const [onTerm, ttl, code] of [
    ['process.exit(0)', '1h', 1],
    ['0', '10s', 137],
  ] as const) {
    const stubborn = `process.on('SIGTERM', () => ${onTerm}); setInterval(() => {}, 1000); console.log('in')`
    const holding = begin(['lock', 'lost', '--ttl', ttl, ...nodeCommand(stubborn)])
    expect(await holding.line()).toBe('in')
    await client.deleteRange({ prefix: 'lock/lost/' })
    expect(await holding.ended).toBe(code)
    expect(holding.err()).toContain('the lock lost was lost')
  }
})

test('a signal that comes while the lock is released does not leave its key', async () => {
  let isHeldBack = false
  const heldBack: (() => void)[] = []
  const relay = createServer((near) => {
    const far = connect(Number(new URL(url).port), '127.0.0.1')
    near.on('data', (chunk) => (isHeldBack ? heldBack.push(() => far.write(chunk)) : far.write(chunk)))
    far.pipe(near)
    for (const socket of [near, far]) socket.on('error', () => near.destroy())
  }).listen(0, '127.0.0.1')
  await once(relay, 'listening')
  const { port } = relay.address() as AddressInfo
  const command = nodeCommand('process.stdin.resume().on("end", () => process.exit(3)); console.log("in")')
  const holding = begin([
    'lock',
    'late',
    '--ttl',
    '1h',
    '--endpoints',
    `http://127.0.0.1:${port}`,
    ...command,
  ])
  expect(await holding.line()).toBe('in')
  isHeldBack = true
  holding.child.stdin.end()
  await expect.poll(() => heldBack.length).toBeGreaterThan(0)
  holding.child.kill('SIGTERM')
  holding.child.kill('SIGHUP')
  isHeldBack = false
  for (const go of heldBack) go()
  expect(await holding.ended).toBe(3)
  expect(await client.count({ prefix: 'lock/late/' })).toBe(0)
  relay.close()
})

test('without a command the lock is held until Ctrl-C, SIGTERM or SIGHUP', async () => {
  for (const [name, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    const holding = begin(['lock', 'by hand', '-o', 'ndjson'])
    const { token, key } = JSON.parse(await holding.line())
    expect((await client.get(key))?.createRevision).toBe(token)
    holding.child.kill(name)
    expect(await holding.ended).toBe(code)
    expect(await client.count({ prefix: 'lock/' })).toBe(0)
  }
})

test.each([
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const)('a wait for the lock that %s ends leaves no key in the line', async (name, code) => {
  const held = await lock(client, 'line')
  const waiting = begin(['lock', 'line', '--ttl', '1h', ...nodeCommand('console.log("never")')])
  await expect.poll(() => client.count({ prefix: 'lock/line/' })).toBe(2)
  waiting.child.kill(name)
  expect(await waiting.ended).toBe(code)
  expect(waiting.err()).toContain(`ended by ${name}`)
  expect(await client.count({ prefix: 'lock/line/' })).toBe(1)
  await held.release()
})

test.each(['lock unread', 'elect unread'])(
  '%s releases what it holds when its token has no reader',
  async (args) => {
    const prefix = args.replace('elect', 'election').replace(' ', '/')
    const held = await (args.startsWith('lock') ? lock : campaign)(client, 'unread')
    const waiting = begin([...args.split(' '), '--ttl', '1h'])
    await expect.poll(() => client.count({ prefix })).toBe(2)
    waiting.child.stdout.destroy()
    await held.release()
    expect(await waiting.ended).toBe(0)
    expect(waiting.err()).toMatch(/^(waiting for .*\n)?$/)
    expect(await client.count({ prefix })).toBe(0)
  },
)

test.each([
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const)('%s removes the instance that a command has registered', async (name, code) => {
  const child = begin(['service', 'register', 'ended', 'http://a:1', '--ttl', '1h'])
  await child.line()
  child.child.kill(name)
  expect(await child.ended).toBe(code)
  expect(child.err()).toContain(`ended by ${name}: the instance is removed`)
  expect(await registry(client, 'ended').list()).toEqual([])
})

test.each([
  ['lock cut-off', 'the lock cut-off is free'],
  ['elect cut-off', 'the lead of cut-off is free'],
  ['service register cut-off http://a', 'the instance goes'],
])('%s ends at a repeated signal, and claims no end that no node has confirmed', async (args, what) => {
  const { hostname: host, port } = new URL(url)
  const relay = await createRelay({
    listen: { host: '127.0.0.1', port: 0 },
    target: () => ({ host, port: Number(port) }),
  })
  const endpoints = `http://127.0.0.1:${relay.address.port}`
  const child = begin([...args.split(' '), '--ttl', '1h', '--timeout', '10m'], { KV_ENDPOINTS: endpoints })
  await child.line()
  relay.setMode('blackhole')
  child.child.kill('SIGTERM')
  // Signals closer than half a second count as one.
  const repeated = setInterval(() => child.child.kill('SIGTERM'), 700)
  const code = await child.ended
  clearInterval(repeated)
  await relay.close()
  expect(code).toBe(143)
  expect(child.err()).toBe(
    `error: ended by SIGTERM: ${what} within 3600.0 s, when its lease ends: no node has confirmed that it has ended\n`,
  )
})

test.each(['list', 'watch'])('Ctrl-C ends kv service %s while nobody answers', async (verb) => {
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>()
  const silent = createHttpServer(() => ask()).listen(0, '127.0.0.1')
  onTestFinished(() => {
    silent.closeAllConnections()
    silent.close()
  })
  await once(silent, 'listening')
  const endpoints = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`
  const child = begin(['service', verb, 'api', '--timeout', '10m'], { KV_ENDPOINTS: endpoints })
  await asked
  child.child.kill('SIGINT')
  expect(await child.ended).toBe(130)
})

test('an instance whose id has no reader is removed', async () => {
  const child = begin(['service', 'register', 'unread', 'http://a:1', '--ttl', '1h'])
  child.child.stdout.destroy()
  expect(await child.ended).toBe(0)
  expect(await registry(client, 'unread').list()).toEqual([])
})

test('a lock can have the longest lease that a cluster grants', async () => {
  expect(await kv('lock long --ttl 87600h -- true')).toMatchObject({ code: 0, out: '' })
})

test.each(['elect boss --listen', 'service watch api'])(
  'whoever wants to hear of changes hears soon that there is no cluster: %s',
  async (command) => {
    const listening = await kv(command, { endpoints: 'http://127.0.0.1:1' })
    expect(listening).toMatchObject({ code: 7, out: '', err: expect.stringContaining('cannot connect') })
  },
)

test('a leader is one line, whatever its value', async () => {
  const lead = await campaign(client, 'lines', { value: 'a\nb\x1b[2J' })
  for (const [format, line] of [
    ['plain', `${lead.token}\ta\\x0ab\\x1b[2J`],
    ['table', 'a\\x0ab\\x1b[2J'],
  ] as const) {
    const listening = begin(['elect', 'lines', '--listen', '-o', format])
    expect(await listening.line()).toBe(line)
    listening.child.kill('SIGINT')
    expect(await listening.ended).toBe(130)
  }
  await lead.release()
})

test('one candidate leads, and others hear of each leader', async () => {
  const listening = begin(['elect', 'boss', '--listen', '-o', 'ndjson'])
  expect(JSON.parse(await listening.line())).toEqual({ leader: null })
  const first = begin([
    'elect',
    'boss',
    'http://a',
    ...nodeCommand('process.stdin.resume(); console.log("leads")'),
  ])
  expect(await first.line()).toBe('leads')
  expect(JSON.parse(await listening.line())).toMatchObject({ leader: { value: 'http://a' } })
  const second = begin(['elect', 'boss', 'http://b'])
  await expect.poll(() => client.count({ prefix: 'election/boss/' })).toBe(2)
  expect((await leaderOf(client, 'boss'))?.text()).toBe('http://a')
  first.child.stdin.end()
  expect(await first.ended).toBe(0)
  const token = Number(await second.line())
  expect(JSON.parse(await listening.line())).toEqual({ leader: { token, value: 'http://b' } })
  second.child.kill('SIGINT')
  expect(await second.ended).toBe(130)
  listening.child.kill('SIGINT')
  expect(await listening.ended).toBe(130)
})

test.each([
  ['lock', "missing required argument 'name'"],
  ['lock deploy make', 'a command stands behind --, as in: -- make'],
  ['lock -- make', 'expected NAME before --'],
  ['lock deploy --ttl 10ms', 'from 1s to 87600h'],
  ['elect boss a make', 'as in: -- make'],
  ['elect boss --listen -- make', '--listen takes no value'],
  ['queue push mail', 'a value is missing'],
  ['queue push mail x --priority 1000', 'from 0 to 999'],
  ['queue push mail x --delay 10ms', 'from 1s to 87600h'],
  ['queue push mail x --value y', 'given twice'],
  ['service register api u --meta [1]', '--meta is a JSON object'],
  ['service register api u --weight -1', 'number from 0 on'],
])('%s is refused', async (args, message) => {
  const { code, err } = await kv(args)
  expect(err).toContain(message)
  expect(code).toBe(2)
})
