// The requests of APISIX to etcd's JSON gateway: of its command (apisix/cli/etcd.lua), of its workers
// (apisix/core/config_etcd.lua) and of its Admin API (apisix/core/etcd.lua), as of August 2026. lua-resty-etcd 1.10
// writes them. `record-gateway.ts` writes what a release of etcd answers below golden/.

import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { GatewayAnswer } from './gateway-cases.ts'

export type ApisixAnswers = Readonly<Record<string, GatewayAnswer>>

const DIRECTORIES = ['/routes', '/upstreams', '/plugin_metadata', '/plugins']
const PREFIX = '/apisix'
const ROUTE = `${PREFIX}/routes/1`
const SERVER = `${PREFIX}/data_plane/server_info/1`

const base64 = (text: string): string => Buffer.from(text).toString('base64')
/** Values are JSON. */
const json = (value: unknown): string => base64(JSON.stringify(value))
/** The encoder of Lua escapes slashes, which base64 has. */
const encode = (body: object): string => JSON.stringify(body).replaceAll('/', '\\/')

/** The next prefix of the same length. */
const rangeEnd = (key: string): string =>
  base64(key.slice(0, -1) + String.fromCharCode(key.charCodeAt(key.length - 1) + 1))

/** Numbers are numbers here; only a lease is a text, as it was granted. */
const readDirectory = (key: string): object => ({
  key: base64(key),
  range_end: rangeEnd(key),
  limit: 0,
  revision: 0,
  sort_order: 0,
  sort_target: 0,
  serializable: false,
  keys_only: false,
  count_only: false,
  min_mod_revision: 0,
  max_mod_revision: 0,
  min_create_revision: 0,
  max_create_revision: 0,
})

const watchFrom = (start_revision: number): object => ({
  create_request: { key: base64(`${PREFIX}/`), range_end: rangeEnd(`${PREFIX}/`), start_revision },
})

/** The whole conversation, with a server that has no keys and no users. It leaves both behind. */
export async function converseAsApisix(port: number): Promise<ApisixAnswers> {
  const talk = new Talk(port)
  await talk.ask('version', '/version')
  for (const name of DIRECTORIES) {
    // The command writes its JSON by hand.
    const body = `{"value":"${base64('init_dir')}", "key":"${base64(`${PREFIX}${name}/`)}"}`
    await talk.ask(`directory ${name}`, '/v3/kv/put', body)
  }
  const loaded = await talk.post('configuration', '/kv/range', readDirectory(PREFIX))
  const watch = await talk.watch('watch', watchFrom(revisionOf(loaded) + 1))
  await keysAndTransactions(talk, watch)
  await leases(talk, watch)
  watch.close()
  await compaction(talk)
  await users(talk)
  return talk.answers
}

async function keysAndTransactions(talk: Talk, watch: Watch): Promise<void> {
  const put = (name: string, key: string, value: unknown) =>
    talk.post(name, '/kv/put', { value: json(value), key: base64(key), prev_kv: true })
  await put('put', ROUTE, { id: '1', uri: '/a' })
  await watch.next()
  await put('second put', ROUTE, { id: '1', uri: '/b/*' })
  await watch.next()
  const read = await talk.post('route', '/kv/range', readDirectory(ROUTE))
  await talk.post('route that does not exist', '/kv/range', readDirectory(`${PREFIX}/routes/none`))
  const compareAndSet = {
    compare: [{ key: base64(ROUTE), target: 'MOD', result: 'EQUAL', mod_revision: revisionOf(read) }],
    success: [{ requestPut: { key: base64(ROUTE), value: json({ id: '1', uri: '/c' }) } }],
  }
  await talk.post('compare and set', '/kv/txn', compareAndSet)
  await watch.next()
  await talk.post('compare and set of an old route', '/kv/txn', compareAndSet)
  const absent = { compare: [{ target: 'CREATE', key: base64(SERVER), createRevision: 0 }] }
  const requestPut = { key: base64(SERVER), value: json({ id: '1' }) }
  await talk.post('set of a key that does not exist', '/kv/txn', { ...absent, success: [{ requestPut }] })
  await watch.next()
  await talk.post('the same again', '/kv/txn', { ...absent, success: [{ requestPut }] })
  await talk.post('set of a key that exists', '/kv/txn', { ...absent, failure: [{ requestPut }] })
  await watch.next()
  await talk.post('delete', '/kv/deleterange', { key: base64(ROUTE) })
  await watch.next()
  await talk.post('delete of what does not exist', '/kv/deleterange', { key: base64(ROUTE) })
  const all = `${PREFIX}/data_plane/`
  await talk.post('delete of a directory', '/kv/deleterange', { key: base64(all), range_end: rangeEnd(all) })
  await watch.next()
}

async function leases(talk: Talk, watch: Watch): Promise<void> {
  const { ID } = (await talk.post('grant', '/lease/grant', { TTL: 300, ID: 0 })) as { readonly ID: string }
  const value = json({ id: '1' })
  await talk.post('put with a lease', '/kv/put', { value, key: base64(SERVER), lease: ID, prev_kv: true })
  await watch.next()
  await talk.post('keep alive', '/lease/keepalive', { ID })
  await talk.post('time to live', '/kv/lease/timetolive', { ID, keys: true })
  await talk.ask('leases', '/v3/lease/leases', '')
  await talk.post('revoke', '/kv/lease/revoke', { ID })
  await watch.next()
  await talk.post('keep alive after the end', '/lease/keepalive', { ID })
}

/** A worker that was away for long. */
async function compaction(talk: Talk): Promise<void> {
  const { header } = (await talk.post('configuration later', '/kv/range', readDirectory(PREFIX))) as Headed
  await talk.post('compaction', '/kv/compaction', { revision: header.revision, physical: true })
  const watch = await talk.watch('watch of a compacted revision', watchFrom(2))
  await watch.next()
  watch.close()
}

async function users(talk: Talk): Promise<void> {
  const key = base64(`${PREFIX}/`)
  const perm = { permType: 'READ', key, range_end: rangeEnd(`${PREFIX}/`) }
  for (const [name, path, body] of [
    ['role of the data plane', '/auth/role/add', { name: 'reader' }],
    ['right of the data plane', '/auth/role/grant', { name: 'reader', perm }],
    ['data plane', '/auth/user/add', { name: 'apisix', password: 'secret' }],
    ['grant to the data plane', '/auth/user/grant', { user: 'apisix', role: 'reader' }],
    ['root', '/auth/user/add', { name: 'root', password: 'secret' }],
    ['grant to root', '/auth/user/grant', { user: 'root', role: 'root' }],
    ['check of rights', '/auth/enable', {}],
  ] as const)
    await talk.post(name, path, body)
  await talk.post('configuration without a user', '/kv/range', readDirectory(PREFIX))
  await talk.post('wrong password', '/auth/authenticate', { name: 'apisix', password: 'wrong' })
  const login = await talk.post('login', '/auth/authenticate', { name: 'apisix', password: 'secret' })
  const headers = { Authorization: (login as { readonly token: string }).token }
  await talk.post('configuration of a user', '/kv/range', readDirectory(`${PREFIX}/`), headers)
  await talk.post('put without the right', '/kv/put', { key: base64(ROUTE), value: json({}) }, headers)
  const allowed = await talk.watch(
    'watch of a user',
    { create_request: { key, range_end: perm.range_end } },
    headers,
  )
  allowed.close()
  const denied = { create_request: { key: base64('/other/') } }
  const refused = await talk.watch('watch without the right', denied, headers)
  refused.close()
  const bad = { Authorization: 'bad' }
  await talk.post('configuration with a bad token', '/kv/range', readDirectory(`${PREFIX}/`), bad)
}

interface Headed {
  readonly header: { readonly revision: string }
}
const revisionOf = (answer: unknown): number => Number((answer as Headed).header.revision)

/** Requests one after the other. `answers` has each answer without what two servers have of their own. */
class Talk {
  readonly answers: Record<string, GatewayAnswer> = {}
  readonly #port: number

  constructor(port: number) {
    this.#port = port
  }

  async post(name: string, path: string, body: object, headers = {}): Promise<unknown> {
    return await this.ask(name, `/v3${path}`, encode(body), headers)
  }

  /** Without a body it is a GET. */
  async ask(name: string, path: string, body?: string, headers = {}): Promise<unknown> {
    const response = await this.#send(path, body, headers)
    let text = ''
    for await (const part of response.setEncoding('utf8')) text += part
    const lines = text.trimEnd().split('\n')
    this.answers[name] = answerOf(response, lines.map(readLine))
    return JSON.parse(lines[0] ?? '')
  }

  /** Resolves with the first message of the watch. */
  async watch(name: string, body: object, headers = {}): Promise<Watch> {
    const response = await this.#send('/v3/watch', encode(body), headers)
    const lines: unknown[] = []
    this.answers[name] = answerOf(response, lines)
    const messages = linesOf(response)
    const watch: Watch = {
      async next() {
        const { value } = await messages.next()
        lines.push(value === undefined ? 'end' : readLine(value))
      },
      close: () => response.destroy(),
    }
    await watch.next()
    return watch
  }

  /** The client states no type. */
  #send(path: string, body: string | undefined, headers: object): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const length = body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) }
      const agent = { 'User-Agent': 'lua-resty-http/0.17.1 (Lua) ngx_lua/10026' }
      httpRequest(
        {
          ...{ port: this.#port, host: '127.0.0.1', path, method: body === undefined ? 'GET' : 'POST' },
          headers: { ...agent, ...length, ...headers },
        },
        resolve,
      )
        .on('error', reject)
        .end(body)
    })
  }
}

interface Watch {
  /** Waits for the next message, or the end. */
  next(): Promise<void>
  close(): void
}

async function* linesOf(response: IncomingMessage): AsyncGenerator<string, undefined> {
  let text = ''
  try {
    for await (const part of response.setEncoding('utf8')) {
      text += part
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        yield text.slice(0, end)
        text = text.slice(end + 1)
      }
    }
  } catch {
    // The client has closed it.
  }
  return undefined
}

const answerOf = (
  { statusCode = 0, headers }: IncomingMessage,
  lines: readonly unknown[],
): GatewayAnswer => ({
  status: statusCode,
  type: headers['content-type'] ?? '',
  metadata: [headers['grpc-metadata-content-type']].flat()[0],
  lines,
})

/** Fields that each server has of its own. */
const OWN: ReadonlySet<string> = new Set([
  ...['cluster_id', 'member_id', 'raft_term', 'ID', 'lease', 'token', 'etcdserver', 'etcdcluster'],
])

/** The version of the storage is in 3.6 only. The rest of the time to live is below the granted one. */
const readLine = (line: string): unknown =>
  JSON.parse(line, function (this: object, name, value: unknown) {
    if (name === 'storage') return undefined
    if (name === 'TTL' && 'grantedTTL' in this) return name
    return OWN.has(name) ? name : value
  })
