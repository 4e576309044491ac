// kv lock, kv elect, kv queue and kv service, on a real node. The commands run in this process, except where a signal
// has to meet a real one.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer, get, request as httpRequest } from 'node:http'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import type { Client } from '../../src/client/index.ts'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'
import { createRelay } from '../../src/local/relays/relay.ts'
import { campaign, leaderOf, lock, queue, registry } from '../../src/recipes/index.ts'
import { KV, type RunOptions, kv as run, spawnKv, startingUntil, startKv } from './run-kv.ts'

let cluster: EmbeddedCluster
let client: Client
let url: string

beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
  client = cluster.client()
  url = cluster.endpoints[0] ?? ''
})
afterAll(() => cluster.close())

const kv = (args: string, more: RunOptions = {}) => run(args.split(' '), { endpoints: url, ...more })
const begin = (args: string | readonly string[], more: RunOptions = {}) =>
  startKv(typeof args === 'string' ? args.split(' ') : args, { endpoints: url, ...more })

const shell = (code: string) => ['--', 'sh', '-c', code]
/** This text, also behind the message about a wait, which a busy machine causes. */
const stderr = (text: string) =>
  expect.toSatisfy((err: string) => err.replace(/^(waiting for .*\n)?(holding .*\n)?/, '') === text)

/** A signal without a trap ends it, and a trap runs soon. */
const RUN = 'while :; do sleep 0.02; done'

/** The URL of a server, which is closed after the test. */
async function listening(server: Server | ReturnType<typeof createHttpServer>): Promise<string> {
  server.listen(0, '127.0.0.1')
  onTestFinished(() => {
    if ('closeAllConnections' in server) server.closeAllConnections()
    server.close()
  })
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

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
  expect((await kv('queue peek mail')).err).toContain('the queue mail has no item that is ready')
  expect(await queue(client, 'mail').len()).toEqual({ ready: 0, held: 0, dead: 0 })
})

test('a pop waits for an item', async () => {
  const waiting = kv('queue pop later --wait 30s')
  await queue(client, 'later').push('came')
  expect(await waiting).toMatchObject({ code: 0, out: 'came' })
  expect(await kv('queue pop later --wait 50ms')).toMatchObject({ code: 3 })
})

test('a pop whose item cannot be printed has changed nothing', async () => {
  await queue(client, 'full').push('once')
  const { code, err } = await kv('queue pop full', { reader: 'full-disk' })
  expect([code, err]).toEqual([1, expect.stringContaining('cannot write to standard output')])
  expect(err).not.toContain('may have been made')
  expect(await queue(client, 'full').len()).toEqual({ ready: 0, held: 1, dead: 0 })
})

test.each([
  ['SIGINT', 130, ''],
  ['SIGTERM', 143, 'ended by SIGTERM: '],
] as const)('%s ends an instance that is being registered', async (signal, code, by) => {
  const err = `${by}no instance is kept alive\n`
  const silent = createServer()
  const endpoints = await listening(silent)
  const connected = once(silent, 'connection')
  const registering = begin('service register asked http://a', { endpoints })
  await connected
  registering.signal(signal)
  expect(await registering.ended).toMatchObject({ code, err })
  // The registry is read. What the command writes has no answer.
  const { promise: hasWritten, resolve } = Promise.withResolvers<void>()
  let isSilent = false
  const proxy = createHttpServer((request, answer) => {
    if (request.url?.startsWith('/v1/txn')) {
      isSilent = true
      resolve()
    }
    if (isSilent) return
    const { method, headers } = request
    const passed = httpRequest(url + request.url, { method, headers }, (from) =>
      from.pipe(answer.writeHead(from.statusCode ?? 500, from.headers)),
    )
    request.pipe(passed)
  })
  const writing = begin('service register unheard http://a --timeout 10m', {
    endpoints: await listening(proxy),
  })
  await hasWritten
  writing.signal(signal)
  expect(await writing.ended).toMatchObject({ code, err })
})

test('an instance is registered until Ctrl-C, and seen by list and watch', async () => {
  const registering = begin('service register api http://a:1 --id a --weight 2')
  expect(await registering.line()).toBe('a')
  expect(await kv('service list api')).toMatchObject({ code: 0, out: 'a\thttp://a:1\t2\t{}\n' })
  expect(JSON.parse((await kv('service list api -o json')).out)).toEqual([
    { id: 'a', url: 'http://a:1', weight: 2, meta: {} },
  ])
  const watching = begin('service watch api -o ndjson')
  expect(JSON.parse(await watching.line()).instances).toHaveLength(1)
  registering.signal('SIGINT')
  expect((await registering.ended).code).toBe(130)
  expect(JSON.parse(await watching.line()).instances).toEqual([])
  watching.signal('SIGINT')
  expect((await watching.ended).code).toBe(130)
  expect(await registry(client, 'api').list()).toEqual([])
})

test('a command runs while the lock is held, with its token, and its exit code is that of kv', async () => {
  const code = 'echo "$KV_LOCK_TOKEN $KV_LOCK_KEY"; exit 7'
  const holding = await run(['lock', 'deploy', ...shell(code)], { endpoints: url })
  expect(holding.code).toBe(7)
  const [token = '', key = ''] = holding.out.trim().split(' ')
  expect(JSON.parse(key)).toMatch(/^lock\/deploy\/[0-9a-f]+$/)
  const held = await lock(client, 'deploy', { waitMs: 0 })
  expect(held.token).toBeGreaterThan(Number(token))
  const refused = await kv('lock deploy --wait 50ms -- true')
  expect(refused).toMatchObject({ code: 5, out: '' })
  expect(refused.err).toContain('error: could not take the lock deploy within 50 ms: another client holds it')
  const waiting = begin(['lock', 'deploy', ...shell('echo in')])
  await expect.poll(() => client.count({ prefix: 'lock/deploy/' })).toBe(2)
  await held.release()
  expect(await waiting.ended).toMatchObject({ code: 0, out: 'in\n' })
  expect(await client.count({ prefix: 'lock/' })).toBe(0)
})

test('a command that cannot be run leaves the lock free', async () => {
  expect(await kv('lock absent -- no-such-command')).toMatchObject({
    code: 1,
    err: stderr('error: cannot run no-such-command: there is no such command\n'),
  })
  // Node throws for this one, and emits an error for others.
  expect(await kv(`elect absent me -- ${process.execPath}/command`)).toMatchObject({
    code: 1,
    err: expect.stringMatching(/^(waiting for .*\n)?error: cannot run \S+\/command: [^\n]+\n$/),
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

test.each(['INT', 'TERM', 'HUP'])(
  'SIG%s is for the command, and the lock goes when it ends',
  async (name) => {
    const holding = begin([
      'lock',
      'signals',
      ...shell(`trap 'echo signal; exit 3' ${name}; echo in; ${RUN}`),
    ])
    expect(await holding.line()).toBe('in')
    holding.signal(`SIG${name}` as NodeJS.Signals)
    expect(await holding.line()).toBe('signal')
    expect((await holding.ended).code).toBe(3)
    expect(await client.count({ prefix: 'lock/signals/' })).toBe(0)
  },
)

test('a signal that arrives while the command is started is for it too', async () => {
  const scratch = mkdtempSync(join(tmpdir(), 'quorate-start-'))
  onTestFinished(() => rmSync(scratch, { recursive: true }))
  const file = join(scratch, 'started')
  const command = shell(`trap 'exit 3' TERM; echo $$; ${RUN}`)
  const child = spawnKv(['lock', 'starting', '--ttl', '1h', ...command], {
    endpoints: url,
    env: startingUntil(file),
  })
  const ended = once(child, 'exit')
  const [pid] = await once(child.stdout, 'data')
  onTestFinished(() => {
    try {
      process.kill(Number(pid), 'SIGKILL')
    } catch {}
  })
  child.kill('SIGTERM')
  writeFileSync(file, '')
  expect(await ended).toEqual([3, null])
  expect(await client.count({ prefix: 'lock/starting/' })).toBe(0)
})

test('a lock of which no node says whether it could be taken is exit code 5, and its command has not run', async () => {
  // Reads are answered, changes never.
  const silent = createHttpServer(({ method, url: target }, answer) => {
    if (method !== 'POST')
      get(url + target, { method }, (from) =>
        from.pipe(answer.writeHead(from.statusCode ?? 500, from.headers)),
      )
  })
  const endpoints = await listening(silent)
  const attempts = ['lock', 'elect'].map((verb) =>
    run([verb, 'cut', '--wait', '100ms', '--timeout', '1s', ...shell('echo ran')], { endpoints }),
  )
  for (const found of await Promise.all(attempts)) expect(found).toMatchObject({ code: 5, out: '' })
})

test('a wait is explained, also if nobody was in the queue at the first look', async () => {
  // Another client takes the lock behind the first look. The command asks for it behind that.
  const looked = Promise.withResolvers<void>()
  const taken = looked.promise.then(() => lock(client, 'looked-at'))
  const proxy = createHttpServer((request, answer) => {
    const { method, headers, url: target = '' } = request
    const pass = () => {
      const passed = httpRequest(url + target, { method, headers }, (from) => {
        from.pipe(answer.writeHead(from.statusCode ?? 500, from.headers))
        if (target.includes('keys_only')) from.on('end', looked.resolve)
      })
      request.pipe(passed)
    }
    if (target.startsWith('/v1/txn')) void taken.then(pass)
    else pass()
  })
  const waiting = begin(['lock', 'looked-at', '--ttl', '1h', '--timeout', '1m', ...shell('echo in')], {
    endpoints: await listening(proxy),
  })
  await waiting.printed('waiting for the lock looked-at: another client holds it\n')
  await (await taken).release()
  expect(await waiting.ended).toMatchObject({ code: 0, out: 'in\n' })
})

test('Ctrl-C at a terminal reaches the command once, also if its input is no terminal', async () => {
  const code = `let n = 0; setInterval(() => {}, 1000)
    const end = () => { console.log("asked " + n); process.exit(3) }
    process.on("SIGINT", () => { if (++n === 1) setTimeout(end, 300) })
    console.log("ready")`
  // A shell in between would get Ctrl-C, too.
  const command = `exec ${process.execPath} ${KV} lock terminal -- ${process.execPath} -e '${code}' < /dev/null`
  // `script` gives a process a terminal.
  const child = spawn('script', ['-qec', command, '/dev/null'], {
    env: { ...process.env, KV_ENDPOINTS: url },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = once(child, 'close')
  let out = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (!out.includes('ready') && text.includes('ready')) child.stdin.write('\x03')
    out += text
  })
  expect((await ended)[0]).toBe(3)
  expect(out).toContain('asked 1')
  expect(await client.count({ prefix: 'lock/terminal/' })).toBe(0)
})

test('a command is ended when the lock is lost, and killed if it does not end', async () => {
  // The time that a command has to end is a part of the time to live.
  for (const [onTerm, ttl, code] of [
    ['exit 0', '1h', 1],
    ['', '10s', 137],
  ] as const) {
    const holding = begin(['lock', 'lost', '--ttl', ttl, ...shell(`trap '${onTerm}' TERM; echo in; ${RUN}`)])
    expect(await holding.line()).toBe('in')
    await client.deleteRange({ prefix: 'lock/lost/' })
    expect(await holding.ended).toMatchObject({
      code,
      err: expect.stringContaining('the lock lost was lost'),
    })
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
  })
  const endpoints = await listening(relay)
  const holding = begin(['lock', 'late', '--ttl', '1h', ...shell(`trap 'exit 3' TERM; echo in; ${RUN}`)], {
    endpoints,
  })
  expect(await holding.line()).toBe('in')
  isHeldBack = true
  holding.signal('SIGTERM')
  await expect.poll(() => heldBack.length).toBeGreaterThan(0)
  holding.signal('SIGTERM')
  holding.signal('SIGHUP')
  isHeldBack = false
  for (const send of heldBack) send()
  expect((await holding.ended).code).toBe(3)
  expect(await client.count({ prefix: 'lock/late/' })).toBe(0)
})

test.each([
  ['SIGINT', 130, ''],
  ['SIGTERM', 143, 'ended by SIGTERM: '],
  ['SIGHUP', 129, 'ended by SIGHUP: '],
] as const)('%s releases a lock that is held or waited for, and an instance', async (signal, code, by) => {
  const holding = begin('lock by-hand -o ndjson')
  const { token, key } = JSON.parse(await holding.line())
  expect((await client.get(key))?.createRevision).toBe(token)
  const waiting = begin(['lock', 'by-hand', '--ttl', '1h', ...shell('echo never')])
  await expect.poll(() => client.count({ prefix: 'lock/by-hand/' })).toBe(2)
  waiting.signal(signal)
  expect(await waiting.ended).toMatchObject({
    ...{ code, out: '' },
    err: stderr(`${by}the lock by-hand was not taken\n`),
  })
  expect(await client.count({ prefix: 'lock/by-hand/' })).toBe(1)
  holding.signal(signal)
  expect((await holding.ended).code).toBe(code)
  expect(await client.count({ prefix: 'lock/' })).toBe(0)
  const registering = begin('service register ended http://a:1 --ttl 1h')
  await registering.line()
  registering.signal(signal)
  expect(await registering.ended).toMatchObject({
    code,
    err: stderr(`${by}the instance is removed\n`),
  })
  expect(await registry(client, 'ended').list()).toEqual([])
})

test.each(['lock unread', 'elect unread'])(
  '%s releases what it holds when its token has no reader',
  async (args) => {
    const prefix = args.replace('elect', 'election').replace(' ', '/')
    const held = await (args.startsWith('lock') ? lock : campaign)(client, 'unread')
    const waiting = begin(`${args} --ttl 1h`, { reader: 'gone' })
    await expect.poll(() => client.count({ prefix })).toBe(2)
    await held.release()
    const { code, err } = await waiting.ended
    expect(code).toBe(0)
    expect(err).toMatch(/^(waiting for .*\n)?(holding .*\n)?$/)
    expect(await client.count({ prefix })).toBe(0)
  },
)

test('an instance whose id has no reader is removed', async () => {
  expect(await kv('service register unread http://a:1 --ttl 1h', { reader: 'gone' })).toMatchObject({
    code: 0,
  })
  expect(await registry(client, 'unread').list()).toEqual([])
})

test('a repeated signal ends what releases a key, and no end is stated that no node has confirmed', async () => {
  const { hostname: host, port } = new URL(url)
  const relay = await createRelay({
    listen: { host: '127.0.0.1', port: 0 },
    target: () => ({ host, port: Number(port) }),
  })
  onTestFinished(() => relay.close())
  const endpoints = `http://127.0.0.1:${relay.address.port}`
  const cut = [
    ['lock cut-off', 'the lock cut-off is free'],
    ['elect cut-off', 'the lead of cut-off is free'],
    ['service register cut-off http://a', 'the instance goes'],
  ].map(([args, what]) => ({ what, running: begin(`${args} --ttl 1h --timeout 10m`, { endpoints }) }))
  for (const { running } of cut) await running.line()
  relay.setMode('blackhole')
  const signalAll = () => {
    for (const { running } of cut) running.signal('SIGTERM')
  }
  signalAll()
  // Signals closer than half a second count as one.
  const repeated = setInterval(signalAll, 700)
  onTestFinished(() => clearInterval(repeated))
  for (const { what, running } of cut)
    expect(await running.ended).toMatchObject({
      code: 143,
      err: stderr(
        `ended by SIGTERM: ${what} within 3600.0 s, when its lease ends: no node has confirmed that it has ended\n`,
      ),
    })
})

test.each(['list', 'watch'])('Ctrl-C ends kv service %s while nobody answers', async (verb) => {
  const { promise: requested, resolve } = Promise.withResolvers<void>()
  const endpoints = await listening(createHttpServer(() => resolve()))
  const running = begin(`service ${verb} api --timeout 10m`, { endpoints })
  await requested
  running.signal('SIGINT')
  expect((await running.ended).code).toBe(130)
})

test('a lock can have the longest lease that a cluster grants', async () => {
  expect(await kv('lock long --ttl 87600h -- true')).toMatchObject({ code: 0, out: '' })
})

test.each(['elect boss --listen', 'service watch api'])(
  'a command that follows changes ends soon when there is no cluster: %s',
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
    const listening = begin(`elect lines --listen -o ${format}`)
    expect(await listening.line()).toBe(line)
    listening.signal('SIGINT')
    expect((await listening.ended).code).toBe(130)
  }
  await lead.release()
})

test('one candidate leads, and listeners receive each leader', async () => {
  const listening = begin('elect boss --listen -o ndjson')
  expect(JSON.parse(await listening.line())).toEqual({ leader: null })
  const first = begin(['elect', 'boss', 'http://a', ...shell(`trap 'exit 0' TERM; echo leads; ${RUN}`)])
  expect(await first.line()).toBe('leads')
  expect(JSON.parse(await listening.line())).toMatchObject({ leader: { value: 'http://a' } })
  const second = begin('elect boss http://b')
  await expect.poll(() => client.count({ prefix: 'election/boss/' })).toBe(2)
  expect((await leaderOf(client, 'boss'))?.text()).toBe('http://a')
  first.signal('SIGTERM')
  expect((await first.ended).code).toBe(0)
  const token = Number(await second.line())
  expect(JSON.parse(await listening.line())).toEqual({ leader: { token, value: 'http://b' } })
  for (const running of [second, listening]) {
    running.signal('SIGINT')
    expect((await running.ended).code).toBe(130)
  }
})

test.each([
  ['lock', "missing required argument 'name'"],
  ['lock deploy make', 'put the command after --, as in: -- make'],
  ['lock -- make', "missing required argument 'name'"],
  ['lock deploy --ttl 10ms', 'from 1s to 87600h'],
  ['elect boss a make', 'as in: -- make'],
  ['elect boss --listen -- make', '--listen takes no value'],
  ['queue push mail', 'a value is missing'],
  ['queue push mail x --priority 1000', 'from 0 to 999'],
  ['queue push mail x --delay 10ms', 'from 1s to 87600h'],
  ['queue push mail x --value y', 'given twice'],
  ['service register api localhost:80', 'it must be a URL'],
  ['service register api http://u --meta [1]', '--meta is a JSON object'],
  ['service register api http://u --weight -1', 'number from 0 on'],
])('%s is refused', async (args, message) => {
  const { code, err } = await kv(args)
  expect(err).toContain(message)
  expect(code).toBe(2)
})

test('queue pop and peek leave it to the consumers to end an item that was delivered often', async () => {
  const items = queue(client, 'often', { attemptsMax: 10 })
  for (const value of ['a', 'b']) await items.push(value)
  for (let attempt = 1; attempt <= 5; attempt++)
    for (const item of [await items.pop(), await items.pop()]) await item?.nack()
  expect(await kv('queue peek often')).toMatchObject({ code: 0, out: 'a' })
  expect(await kv('queue pop often')).toMatchObject({ code: 0, out: 'a' })
  expect(await items.len()).toEqual({ ready: 1, held: 0, dead: 0 })
})

test('dead letters are listed and put back, and all queues are listed', async () => {
  const items = queue(client, 'a/b %', { attemptsMax: 1 })
  for (const value of ['one', 'two']) {
    await items.push(value)
    await (await items.pop())?.nack({ error: `no ${value}` })
  }
  const command = (...args: readonly string[]) => run(['queue', ...args], { endpoints: url })
  const dead = JSON.parse((await command('dead', 'a/b %', '-o', 'json')).out)
  expect(dead).toMatchObject([
    { value: 'one', attempts: 1, priority: 0, error: 'no one' },
    { value: 'two', attempts: 1, priority: 0, error: 'no two' },
  ])
  const listed = JSON.parse((await command('list', '-o', 'json')).out)
  expect(listed).toContainEqual({ name: 'a/b %', ready: 0, held: 0, dead: 2 })
  expect(await command('requeue', 'a/b %', dead[0].id)).toMatchObject({ code: 0, out: '1\n' })
  expect(await command('requeue', 'a/b %', dead[0].id)).toMatchObject({ code: 3, out: '' })
  expect(await command('requeue', 'a/b %', '-o', 'table')).toMatchObject({
    out: '1 dead letter is in the queue again\n',
  })
  expect(await items.len()).toEqual({ ready: 2, held: 0, dead: 0 })
  expect(await command('dead', 'a/b %', '-o', 'json')).toMatchObject({ code: 0, out: '[]\n' })
})

/** A node that answers so many requests and holds the others. `held` resolves with the first of those. */
async function holdingAfter(answers: number): Promise<{ url: string; held: Promise<void> }> {
  const held = Promise.withResolvers<void>()
  let count = 0
  const server = createHttpServer((seen, response) => {
    if (++count > answers) return held.resolve()
    const passed = httpRequest(new URL(seen.url ?? '', url), { method: seen.method, headers: seen.headers })
    passed.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers)
      answer.pipe(response)
    })
    seen.pipe(passed)
  })
  return { url: await listening(server), held: held.promise }
}

/** The second node hangs from the beginning, or is not there. */
test.each([
  ['dead', 0, true],
  ['dead', 1, true],
  ['dead', 0, false],
  ['dead', 1, false],
  ['peek', 0, true],
  ['len', 0, true],
  ['pop --wait 1h', 1, true],
  ['requeue', 0, true],
] as const)(
  'Ctrl-C ends `queue %s` after %d answers at once, with a node that hangs: %s',
  async (verb, answers, hangs) => {
    const name = `interrupted-${verb}-${answers}-${hangs}`.replaceAll(' ', '-')
    if (verb === 'dead') {
      const items = queue(client, name, { attemptsMax: 1 })
      for (const value of ['one', 'two']) {
        await items.push(value)
        await (await items.pop())?.nack()
      }
    }
    const node = await holdingAfter(answers)
    const endpoints = hangs ? `${node.url},${(await holdingAfter(0)).url}` : node.url
    const [word = '', ...flags] = verb.split(' ')
    const child = spawnKv(['queue', word, name, ...flags, '--timeout', '1h'], { endpoints })
    onTestFinished(() => void child.kill('SIGKILL'))
    const closed = once(child, 'close')
    await node.held
    child.kill('SIGINT')
    expect(await closed).toEqual([130, null])
  },
)

test('the instances of all services', async () => {
  const registrations = await Promise.all(
    [
      ['a', 'http://1'],
      ['a/b', 'http://2'],
      ['a0', 'http://3'],
    ].map(([name = '', address = '']) => registry(client, name).register({ url: address, id: 'x' })),
  )
  const { out } = await kv('service list -o json')
  const named = JSON.parse(out).filter(({ service }: { service: string }) => /^a/.test(service))
  expect(
    named.map(({ service, url: address }: { service: string; url: string }) => [service, address]),
  ).toEqual([
    // The key of this one has `%2F`.
    ['a/b', 'http://2'],
    ['a', 'http://1'],
    ['a0', 'http://3'],
  ])
  for (const registration of registrations) await registration.close()
})

test('the locks that are held, with their tokens and who waits', async () => {
  await client.put('lock/imported/7', '')
  const held = await lock(client, 'listed', { ttlMs: 3_600_000 })
  const waiting = begin('lock listed -o plain --ttl 1h')
  await expect.poll(() => client.count({ prefix: 'lock/listed/' })).toBe(2)
  const locks: { name: string }[] = JSON.parse((await kv('lock --list -o json')).out)
  expect(locks.map(({ name }) => name)).not.toContain('imported')
  const [state, ...others] = locks.filter(({ name }) => name === 'listed') as Record<string, unknown>[]
  expect(others).toEqual([])
  expect(state).toMatchObject({ name: 'listed', token: held.token, waiting: 1, lease: expect.any(String) })
  expect(state?.remaining_ttl_ms).toBeLessThanOrEqual(3_600_000)
  expect(await kv('lock --list deploy')).toMatchObject({ code: 2 })
  await held.release()
  await waiting.line()
  waiting.signal('SIGINT')
  await waiting.ended
  await client.delete('lock/imported/7')
})

test('a lock on a terminal says what it holds, and how it ends', async () => {
  const holding = begin('lock shown --ttl 1h', { terminals: ['stdout', 'stderr'] })
  const line = await holding.line()
  const { value: key } = await client.list({ prefix: 'lock/shown/' }).next()
  expect(line).toBe(`holding the lock shown (token ${key?.createRevision}); Ctrl-C releases it`)
  holding.signal('SIGINT')
  expect(await holding.ended).toMatchObject({ code: 130, err: 'the lock shown is released\n' })
})

// The transaction in docs/reference/cli.md.
const WRITE_UNDER_LOCK = `cat <<END
{ "compare": [{ "key": $KV_LOCK_KEY, "target": "create_revision", "op": "=", "to": $KV_LOCK_TOKEN }],
  "success": [{ "put": { "key": "report", "value": "done" } }] }
END
`

test.each([
  'report',
  'nightly report',
  'a)b',
  "it's",
  'say "hi"',
  'a\nb',
  '100%',
  'a/b',
  '#1',
  'prefix',
  '📦👩‍👩‍👧',
  '\\n',
])('a write under the lock %j', async (name) => {
  const holding = begin(['lock', name, ...shell(`${WRITE_UNDER_LOCK}${RUN}`)])
  const lines = [await holding.line(), await holding.line()]
  const { code, out } = await kv('txn', { stdin: lines.join('\n') })
  expect([code, JSON.parse(out)]).toMatchObject([0, { succeeded: true }])
  holding.signal('SIGTERM')
  await holding.ended
})

test('the history of a key is what was not compacted, the oldest first', async () => {
  await client.put('h', 'zero')
  const { revision } = await client.put('h', 'one')
  await client.compact(revision)
  await client.put('h', 'two')
  await client.delete('h')
  await client.put('h', 'three')
  await client.put('h/other', 'x')
  const changes = (out: string) =>
    out
      .trim()
      .split('\n')
      .map((line) => line.split('\t').slice(1))
  expect(changes((await kv('history h')).out)).toEqual([
    ['put', '2', 'one'],
    ['put', '3', 'two'],
    ['delete', '-', '-'],
    ['put', '1', 'three'],
  ])
  expect(JSON.parse((await kv('history h -o json')).out)).toMatchObject([
    { revision, type: 'put', kv: { key: 'h', value: 'one', mod_revision: revision } },
    { type: 'put' },
    { type: 'delete', key: 'h', revision: expect.any(Number) },
    { type: 'put' },
  ])
  // Also of the record that the history begins with.
  const times = (await kv('history h -o ndjson')).out.match(/"time":"20/g)
  expect(times).toHaveLength(4)
  expect(await kv('history nothing')).toMatchObject({ code: 3, out: '' })
})
