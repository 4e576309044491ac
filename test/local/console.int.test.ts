// The console of a local cluster: its address, who may use it, faults, and requests that are passed on to nodes.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, statSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isFree, parsePort } from '../../src/local/addresses.ts'
import { type ConsoleAddress, consolePage } from '../../src/local/directory/cluster-file.ts'
import type { ControlState } from '../../src/operations/documents/control.ts'
import { begin, call, control, known } from './console-requests.ts'
import {
  allNodes,
  type CommandResult,
  eventually,
  followersOf,
  isGone,
  leaderOf,
  nodeOf,
  outcomeOf,
  Workspace,
} from './kv.ts'

let space: Workspace
let console: ConsoleAddress
const consoleOf = (owner: Workspace): ConsoleAddress =>
  JSON.parse(readFileSync(owner.path('cluster.json'), 'utf8')).console
beforeAll(async () => {
  space = await Workspace.openForFile()
  await space.start()
  console = consoleOf(space)
})
afterAll(() => space.close())

const state = async (): Promise<ControlState> =>
  JSON.parse((await call(console, '/control/state', { headers: known(console) })).text)
const stateOf = async (name: string) => (await state()).nodes.find((node) => node.name === name)
const cutLinks = async (): Promise<string[]> =>
  (await state()).links.flatMap(({ from, to, state }) => (state === 'open' ? [] : [`${from}→${to} ${state}`]))

/** Collects what a stream sends. */
function collect(stream: IncomingMessage): { readonly text: () => string; readonly ended: Promise<unknown> } {
  let text = ''
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  stream.on('error', () => {})
  // `once` would reject for a stream that is cut.
  return { text: () => text, ended: new Promise((resolve) => stream.once('close', resolve)) }
}

describe('its address', () => {
  test('is printed by start and by status, with the token, which only the owner can read', async () => {
    const page = consolePage(console)
    expect(page).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/ui\/#token=[\w-]{32}$/)
    const started = await space.kv('cluster', 'start')
    expect(started.stdout).toContain(`\nconsole  ${page}\n`)
    const status = await space.kv('cluster', 'status')
    expect(status.stderr).toBe(`console  ${page}\n`)
    expect(status.stdout).not.toContain(console.token)
    // A script that reads JSON, and perhaps logs it, gets no secret.
    expect(Object.values(await space.kv('cluster', 'status', '-o', 'json')).join()).not.toContain(
      console.token,
    )
    expect(statSync(space.path('cluster.json')).mode & 0o777).toBe(0o600)
  })

  test('has the port below those of the nodes; a client without the token learns the names of the nodes there and no more', async () => {
    expect(parsePort(console.url)).toBeLessThan(space.port)
    const { status, text } = await call(console, '/ui/console.json')
    expect(status).toBe(200)
    expect(JSON.parse(text)).toStrictEqual({
      kind: 'cluster',
      version: expect.any(String),
      cluster_id: (await space.status()).clusterId,
      nodes: ['n1', 'n2', 'n3'].map((name) => ({ name, base: `/nodes/${name}` })),
    })
    const root = await call(console, '/')
    expect([root.status, root.headers.location]).toEqual([308, '/ui/'])
  })
})

describe('who may use it', () => {
  const PATHS = ['/control/state', '/control/events', '/control/none', '/nodes/n1/v1/kv', '/nodes/n9/livez']

  test.each(PATHS)('%s needs the token', async (path) => {
    for (const headers of [
      {},
      { 'Quorate-Control': '' },
      { 'Quorate-Control': `${console.token}x` },
      { Authorization: `Bearer ${console.token}` },
    ]) {
      const { status, text, headers: sent } = await call(console, path, { headers })
      expect([status, JSON.parse(text).code]).toEqual([401, 'unauthenticated'])
      // No browser may ask its user for a password.
      expect(sent['www-authenticate']).not.toMatch(/basic|digest|bearer|negotiate/i)
    }
  })

  test('no action is done without the token', async () => {
    for (const action of ['kill', 'pause', 'restart', 'cut', 'partition', 'heal', 'start']) {
      const headers = { 'Content-Type': 'application/json' }
      const body = JSON.stringify({ node: 'n1', from: 'n1', to: 'n2', groups: [['n1']] })
      expect((await call(console, `/control/${action}`, { headers, body })).status).toBe(401)
    }
    expect((await state()).nodes.map((node) => node.state)).toEqual(['running', 'running', 'running'])
    expect(await cutLinks()).toEqual([])
  })

  const port = () => parsePort(console.url)
  test('a preflight of another site is refused, and localhost is a name of this machine', async () => {
    const headers = {
      Origin: 'http://evil.example',
      'Access-Control-Request-Method': 'POST',
      'Access-Control-Request-Headers': 'quorate-control',
    }
    const preflight = await call(console, '/control/heal', { method: 'OPTIONS', headers })
    expect(preflight.status).toBe(403)
    expect(Object.keys(preflight.headers).filter((name) => name.startsWith('access-control'))).toEqual([])
    const host = `localhost:${port()}`
    expect((await call(console, '/ui/console.json', { headers: { Host: host } })).status).toBe(200)
    const own = {
      ...known(console),
      Host: host,
      Origin: `http://${host}`,
      'Content-Type': 'application/json',
    }
    expect((await call(console, '/control/heal', { headers: own, body: '{}' })).status).toBe(200)
  })
})

describe('its actions', () => {
  test.each([
    ['kill', { node: 7 }, 400],
    ['kill', {}, 400],
    ['kill', { node: 'n9' }, 400],
    ['cut', { from: 'n1', to: 'n1' }, 400],
    ['cut', { from: 'n1' }, 400],
    ['cut', { from: 'n1', to: 'n2', both: 'yes' }, 400],
    ['partition', { groups: 'n1' }, 400],
    ['partition', { groups: [['n1', 'n2', 'n3']] }, 400],
    ['start', { node: 'n1' }, 409],
    ['destroy', {}, 404],
    ['stop', {}, 404],
    ['kill', { node: 'n1', more: 'x'.repeat(20_000) }, 413],
  ] as const)(
    '%s %o is answered with a problem of status %i, and nothing is done',
    async (action, body, status) => {
      const before = await state()
      const answer = await control(console, action, body)
      expect([answer.status, answer.headers['content-type']]).toEqual([status, 'application/problem+json'])
      expect(JSON.parse(answer.text)).toMatchObject({ status, detail: expect.any(String) })
      expect(await state()).toEqual(before)
    },
  )

  test('a body that is no JSON, or of another type, and another method are refused', async () => {
    const headers = { ...known(console), 'Content-Type': 'application/json' }
    expect((await call(console, '/control/heal', { headers, body: '{' })).status).toBe(400)
    const text = { ...headers, 'Content-Type': 'text/plain' }
    expect((await call(console, '/control/heal', { headers: text, body: '{}' })).status).toBe(415)
    expect((await call(console, '/control/heal', { headers })).status).toBe(405)
    expect((await call(console, '/control/state', { headers, body: '{}' })).status).toBe(405)
  })

  test('pause, resume and restart do what the commands do', async () => {
    const [name] = followersOf(await allNodes(space))
    const { pid } = nodeOf(await space.status(), name)
    expect(await control(console, 'pause', { node: name })).toMatchObject({ status: 200, text: '{}' })
    expect(nodeOf(await space.status(), name).state).toBe('paused')
    expect(await stateOf(name)).toMatchObject({ state: 'paused', pid })
    expect(await control(console, 'resume', { node: name })).toMatchObject({ status: 200, text: '{}' })
    expect(await stateOf(name)).toMatchObject({ state: 'running', pid })
    expect(await control(console, 'restart', { node: name })).toMatchObject({ status: 200, text: '{}' })
    expect(isGone(pid ?? 0)).toBe(true)
    const restarted = nodeOf(await space.status(), name)
    expect(restarted).toMatchObject({ state: 'running', role: 'follower' })
    expect(restarted.pid).not.toBe(pid)
  })

  test('cut, partition and heal change the links that they name', async () => {
    const commands = [
      ['cut', { from: 'n1', to: 'n2', both: false }, ['n1→n2 cut']],
      ['cut', { from: 'n3', to: 'n2', both: true }, ['n1→n2 cut', 'n2→n3 cut', 'n3→n2 cut']],
      ['heal', { from: 'n2', to: 'n3', both: true }, ['n1→n2 cut']],
      ['heal', { from: 'n1', to: 'n2', both: false }, []],
      ['partition', { groups: [['n3']] }, ['n1→n3 cut', 'n2→n3 cut', 'n3→n1 cut', 'n3→n2 cut']],
      ['heal', {}, []],
    ] as const
    for (const [action, body, cut] of commands) {
      expect(await control(console, action, body)).toMatchObject({ status: 200, text: '{}' })
      expect((await cutLinks()).sort()).toEqual(cut)
    }
    expect(await space.kv('cluster', 'cut', 'n1', 'n2', '--one-way')).toMatchObject({ code: 0 })
    expect(await cutLinks()).toEqual(['n1→n2 cut'])
    expect((await space.kv('cluster', 'heal', 'n1')).code).toBe(2)
    expect(await space.kv('cluster', 'heal', 'n1', 'n2', '--one-way')).toMatchObject({ code: 0 })
    expect(await cutLinks()).toEqual([])
    expect(await space.kv('cluster', 'partition', 'n1', '--reset')).toMatchObject({ code: 0 })
    expect(await cutLinks()).toEqual(['n1→n2 reset', 'n1→n3 reset', 'n2→n1 reset', 'n3→n1 reset'])
    expect(await space.kv('cluster', 'heal')).toMatchObject({ code: 0 })
    expect(await cutLinks()).toEqual([])
  })

  test('a leader that hears nobody is replaced; one way is enough', async () => {
    const leader = leaderOf(await allNodes(space))
    for (const follower of followersOf(await space.status()))
      await control(console, 'cut', { from: follower, to: leader, both: false })
    const replaced = await eventually(async () => {
      const status = await space.status()
      return status.leader !== null && status.leader !== leader && status.leader
    })
    expect(replaced).not.toBe(leader)
    await control(console, 'heal', {})
    await eventually(async () =>
      (await space.status()).nodes.every(({ role }) => role !== null && role !== 'candidate'),
    )
  })

  test('the stream has the state, each change of it, and who did what; a stream that begins later has it too', async () => {
    const events = collect(await begin(console, '/control/events', { headers: known(console) }))
    await eventually(() => events.text().includes('event: state'))
    // No other test cuts this link, so the lines about it are of this one.
    await control(console, 'cut', { from: 'n2', to: 'n1', both: false })
    await space.execute({ command: 'heal', link: undefined })
    const done = /"action":"cut n2 n1 --one-way","by":"console",[\s\S]*"action":"heal","by":"command",/
    await eventually(() => done.test(events.text()))
    const text = events.text()
    expect(text).toMatch(
      /event: action\ndata: \{"time_ms":\d+,"action":"cut n2 n1 --one-way","by":"console",/,
    )
    expect(text).toContain('{"from":"n2","to":"n1","state":"cut"}')
    const later = collect(await begin(console, '/control/events', { headers: known(console) }))
    await eventually(() => done.test(later.text()))
  })
})

describe('requests to a node', () => {
  const pass = (path: string, options: Parameters<typeof call>[2] = {}) =>
    call(console, path, { ...options, headers: { ...known(console), ...options.headers } })

  test('pass with their target, headers and body, and so do the answers', async () => {
    const value = Buffer.alloc(1_000_000, 'quorate ')
    const headers = { 'If-None-Match': '*', Origin: console.url, Host: new URL(console.url).host }
    const put = await pass('/nodes/n1/v1/kv/a%2F..%2Fb', { method: 'PUT', body: value, headers })
    expect(put.status).toBe(200)
    expect(put.headers['kv-node']).toBe('n1')
    const again = await pass('/nodes/n2/v1/kv/a%2F..%2Fb', { method: 'PUT', body: value, headers })
    expect([again.status, JSON.parse(again.text).code]).toEqual([412, 'precondition_failed'])
    const got = await pass('/nodes/n3/v1/kv?key=a/../b')
    expect(got.headers).toMatchObject({
      'kv-node': 'n3',
      etag: put.headers.etag,
      'content-length': '1000000',
    })
    expect(got.text).toBe(value.toString())
    const head = await pass('/nodes/n3/v1/kv?key=a/../b', { method: 'HEAD' })
    expect([head.status, head.headers['content-length'], head.text]).toEqual([200, '1000000', ''])
    const txn = JSON.stringify({ success: [{ delete: { prefix: 'a/' } }] })
    const json = { 'Content-Type': 'application/json', 'Transfer-Encoding': 'chunked' }
    expect((await pass('/nodes/n2/v1/txn', { body: txn, headers: json })).status).toBe(200)
    expect((await pass('/nodes/n3/v1/kv?key=a/../b')).status).toBe(404)
    expect((await pass('/nodes/n9/v1/status')).status).toBe(404)
  })

  test('a refusal of a body reaches the client', async () => {
    const { status, text } = await pass('/nodes/n1/v1/kv/large', {
      method: 'PUT',
      body: Buffer.alloc(4_000_000),
    })
    expect([status, JSON.parse(text).code]).toEqual([413, 'value_too_large'])
  })

  test('a watch is passed on event by event, and ends with its client', async () => {
    const watchers = async (): Promise<string> => {
      const { text } = await pass('/nodes/n2/metrics')
      return /^quorate_watches(?:\{.*\})? (\d+)$/m.exec(text)?.[1] ?? text
    }
    expect(await watchers()).toBe('0')
    const answer = await begin(console, '/nodes/n2/v1/watch?prefix=w/', { headers: known(console) })
    expect(answer.headers['content-type']).toBe('text/event-stream')
    const watch = collect(answer)
    await eventually(() => watch.text().includes('event: created'))
    await pass('/nodes/n1/v1/kv/w%2F1', { method: 'PUT', body: 'one' })
    await eventually(() => watch.text().includes('"value":"one"'))
    expect(await watchers()).toBe('1')
    answer.destroy()
    await eventually(async () => (await watchers()) === '0')
  })

  test('a node that is killed ends its streams, and is reported as gone until it is started', async () => {
    const [name] = followersOf(await allNodes(space))
    const { pid } = nodeOf(await space.status(), name)
    const watch = collect(
      await begin(console, `/nodes/${name}/v1/watch?prefix=w/`, { headers: known(console) }),
    )
    await eventually(() => watch.text().includes('event: created'))
    expect(await control(console, 'kill', { node: name })).toMatchObject({ status: 200, text: '{}' })
    await watch.ended
    expect(nodeOf(await space.status(), name)).toMatchObject({ state: 'stopped', pid: undefined })
    expect(await stateOf(name)).toStrictEqual({ name, state: 'killed', url: expect.any(String) })
    expect((await control(console, 'kill', { node: name })).status).toBe(409)
    for (const method of ['GET', 'PUT']) {
      const { status, headers, text } = await pass(`/nodes/${name}/v1/kv/a`, { method })
      expect([status, headers['content-type']]).toEqual([502, 'application/problem+json'])
      // Nothing has left: another try is safe.
      expect(JSON.parse(text)).toMatchObject({ code: 'not_ready', detail: expect.stringContaining(name) })
    }
    expect(await control(console, 'start', { node: name })).toMatchObject({ status: 200, text: '{}' })
    const started = nodeOf(await space.status(), name)
    expect(started.state).toBe('running')
    expect(started.pid).not.toBe(pid)
    expect((await pass(`/nodes/${name}/livez`)).status).toBe(200)
  })

  test('a node that a user ends is a change that no command did, and may have made one that was on its way', async () => {
    const [name] = followersOf(await allNodes(space))
    const events = collect(await begin(console, '/control/events', { headers: known(console) }))
    await control(console, 'pause', { node: name })
    await eventually(() => events.text().includes(`"action":"pause ${name}"`))
    const last = Math.max(...[...events.text().matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id)))
    const resumed = { ...known(console), 'Last-Event-ID': `${last}` }
    const rest = collect(await begin(console, '/control/events', { headers: resumed }))
    const put = pass(`/nodes/${name}/v1/kv/a`, { method: 'PUT', body: 'x' })
    const get = pass(`/nodes/${name}/v1/kv/a`)
    const { url, pid } = nodeOf(await space.status(), name)
    // The connections of both are open once the node has them in its queue.
    await eventually(async () => (await connectionsTo(url)) >= 2)
    process.kill(pid ?? 0, 'SIGKILL')
    expect([(await put).status, JSON.parse((await put).text).code]).toEqual([502, 'outcome_unknown'])
    expect([(await get).status, JSON.parse((await get).text).code]).toEqual([502, 'not_ready'])
    await eventually(() => rest.text().includes('"state":"killed"'))
    expect(rest.text()).not.toContain('event: action')
  })
})

/** Connections to the port of a node, as far as the kernel has established them. */
async function connectionsTo(url: string): Promise<number> {
  const port = parsePort(url).toString(16).toUpperCase().padStart(4, '0')
  const lines = readFileSync('/proc/net/tcp', 'utf8').split('\n')
  return lines.filter((line) =>
    new RegExp(`^ *\\d+: [0-9A-F]{8}:[0-9A-F]{4} 0100007F:${port} 01 `).test(line),
  ).length
}

describe('in the foreground, with TLS, and beside another program at its port', () => {
  let front: Workspace
  let address: ConsoleAddress
  let shown = ''
  let child: ChildProcess
  let ended: Promise<CommandResult>
  beforeAll(async () => {
    front = await Workspace.openForFile()
    const other = createServer().listen(front.port - 1, '127.0.0.1')
    await once(other, 'listening')
    child = front.spawn('cluster', 'start', '--nodes', '1', '--tls', '--port', String(front.port))
    ended = outcomeOf(child)
    child.stdout?.on('data', (chunk) => {
      shown += chunk
    })
    await eventually(() => shown.includes('Ctrl-C'))
    other.close()
    address = consoleOf(front)
  })
  afterAll(() => front.close())

  test('its address is shown, and the taken port is left out', () => {
    expect(shown).toContain(consolePage(address))
    expect(parsePort(address.url)).toBeLessThan(front.port - 1)
  })

  test('requests pass to the node', async () => {
    const headers = known(address)
    const put = await call(address, '/nodes/n1/v1/kv/a', { method: 'PUT', headers, body: 'x' })
    expect(put.status).toBe(200)
    expect((await call(address, '/nodes/n1/v1/kv/a', { headers })).text).toBe('x')
    expect((await call(address, '/nodes/n1/v1/kv/a')).status).toBe(401)
    await front.execute({ command: 'kill', node: 'n1' })
    expect((await call(address, '/nodes/n1/livez', { headers })).status).toBe(502)
  })

  test('its port is free again after Ctrl-C, though a page is open', async () => {
    const events = collect(await begin(address, '/control/events', { headers: known(address) }))
    child.kill('SIGINT')
    expect((await ended).code).toBe(130)
    await events.ended
    expect(await isFree(parsePort(address.url))).toBe(true)
    expect(readFileSync(front.path('cluster.json'), 'utf8')).not.toContain(address.token)
  })
})
