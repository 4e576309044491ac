// The ways in which a client asks a node for something.

import { connect as connectHttp2 } from 'node:http2'
import { connect, type Socket } from 'node:net'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { GRPC } from '../../../src/etcd/status.ts'
import { BOB_PASSWORD } from '../auth/users.ts'
import { frame } from '../etcd/grpc-call.ts'
import { base64 } from '../etcd/wires.ts'

/** The head of a request or of a connection, for any wire. */
export interface Opening {
  readonly host: string | undefined
  readonly isHostTwice: boolean
  readonly origin: string | undefined
  readonly site: string | undefined
  readonly cluster: string | undefined
  readonly timeout: string | undefined
  readonly authorization: string | undefined
  readonly key: string
  /** The address of loopback from which it connects. */
  readonly from: string
}

export const GOOD: Opening = {
  ...{ host: 'localhost', isHostTwice: false, origin: undefined, site: undefined, cluster: undefined },
  ...{ timeout: undefined, authorization: undefined, key: 'app/1', from: '127.0.0.1' },
}

/** The answer to an opening. */
export interface Answer {
  /** Status and code, as the wire has them. */
  readonly summary: string
  /** The whole text of an error. */
  readonly text: string
  /** State of the connection after the answer. */
  readonly connection: 'kept' | 'closed'
  /** Whether the node asked for the body first; empty: that cannot be seen. */
  readonly body: 'read' | 'unread' | ''
}

export interface Wire<O extends Opening = Opening> {
  readonly name: string
  /** Properties of an opening that this wire has no place for. */
  readonly lacks: readonly (keyof O)[]
  /** Port of the node that serves it, if it is not that of clients. */
  readonly isOfMetrics?: true
  readonly open: (port: number, opening: O, moments?: Moments) => Promise<Answer>
}

/** Moments of an opening. */
export interface Moments {
  /** The node has the connection, and a part of the request where that is possible. */
  readonly begun?: () => void
  /** The node has decided on the head, and the body is about to be sent. */
  readonly decided?: () => void
}

/** Longer than what each connection may hold without being counted. */
export const VALUE = 'v'.repeat(2_000)

const fieldsOf = ({ host, isHostTwice, origin, site, cluster, authorization }: Opening): string[] => [
  ...(host === undefined ? [] : [`Host: ${host}`]),
  ...(isHostTwice ? ['Host: localhost'] : []),
  ...(origin === undefined ? [] : [`Origin: ${origin}`]),
  ...(site === undefined ? [] : [`Sec-Fetch-Site: ${site}`]),
  ...(cluster === undefined ? [] : [`Kv-Cluster: ${cluster}`]),
  ...(authorization === undefined ? [] : [`Authorization: ${authorization}`]),
]

const query = (timeout: string | undefined): string => (timeout === undefined ? '' : `?timeout=${timeout}`)

/** Names of the statuses of gRPC that a refusal has. */
const STATUS_NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(GRPC).map(([name, code]) => [code, name]),
)

/** The first words of a text. */
const begin = (text: string): string => text.replace('etcdserver: ', '').slice(0, 24).trim()

/** The code of a problem, or that of an error of etcd's gateway with its first words. */
function reasonIn(text: string): string {
  if (text === '') return ''
  const { code, message = '' } = JSON.parse(text)
  return typeof code === 'string' ? code : `${STATUS_NAMES[code]} ${begin(message)}`
}

/** Reads one response, and whether the connection is closed after it. */
function readAnswer(socket: Socket, sendBody: () => void): Promise<Answer> {
  return new Promise((resolve) => {
    let received = ''
    let body: 'read' | 'unread' = 'unread'
    const look = (isOver: boolean): void => {
      const continued = 'HTTP/1.1 100 Continue\r\n\r\n'
      if (received.startsWith(continued)) {
        received = received.slice(continued.length)
        body = 'read'
        sendBody()
      }
      const headEnd = received.indexOf('\r\n\r\n') + 4
      const head = received.slice(0, headEnd)
      const [, status = ''] = /^HTTP\/1\.1 (\d+)/.exec(head) ?? []
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0)
      const isWhole = headEnd > 3 && received.length >= headEnd + length
      if (!isWhole && !isOver) return
      socket.destroy()
      const text = status < '400' ? '' : received.slice(headEnd)
      const summary = status === '' ? 'cut' : `${status} ${reasonIn(text)}`.trim()
      const connection = status === '' || /\r\nconnection: close\r\n/i.test(head) ? 'closed' : 'kept'
      resolve({ summary, text, connection, body })
    }
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1')
      look(false)
    })
    socket.on('close', () => look(true))
    socket.on('error', () => {})
  })
}

/** Requests of HTTP. `extraOf`: fields that only this wire has. */
export const http = <O extends Opening = Opening>(
  name: string,
  lacks: Wire<O>['lacks'],
  lineOf: (opening: O) => string,
  extraOf: (opening: O) => readonly string[],
  bodyOf: (opening: O) => string,
  waitsForContinue: boolean,
  timeoutField?: string,
): Wire<O> => ({
  name,
  lacks,
  open(port, opening, { begun = () => {}, decided = () => {} } = {}) {
    const body = bodyOf(opening)
    const length = body === '' ? [] : [`Content-Length: ${body.length}`]
    const expect = waitsForContinue && body !== '' ? ['Expect: 100-continue'] : []
    const { timeout } = opening
    const stated = timeout === undefined || timeoutField === undefined ? [] : [`${timeoutField}: ${timeout}`]
    const fields = [...fieldsOf(opening), ...extraOf(opening), ...stated, ...length, ...expect]
    const head = [`${lineOf(opening)} HTTP/1.1`, ...fields]
    const text = `${head.join('\r\n')}\r\n\r\n`
    const socket = connect({ port, host: '127.0.0.1', localAddress: opening.from, noDelay: true })
    const answer = readAnswer(socket, () => {
      decided()
      socket.write(body)
    })
    socket.once('connect', () => {
      if (!waitsForContinue) {
        begun()
        socket.write(text + body)
        return
      }
      socket.write(text.slice(0, 3), () => {
        begun()
        socket.write(text.slice(3))
      })
    })
    return answer.then((given) => (waitsForContinue && body !== '' ? given : { ...given, body: '' as const }))
  },
})

const putLine = ({ key, timeout }: Opening): string => `PUT /v1/kv/${key}${query(timeout)}`
const getLine = ({ key, timeout }: Opening): string => `GET /v1/kv/${key}${query(timeout)}`
const NO_FIELDS = (): readonly string[] => []
const JSON_FIELDS = (): readonly string[] => ['Content-Type: application/json']

const UPGRADE = (): readonly string[] => [
  ...['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'],
  ...['Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==', 'Sec-WebSocket-Protocol: quorate.v1'],
]

const grpc = (name: string, path: string, requestOf: (key: string) => Uint8Array): Wire => ({
  name,
  lacks: ['cluster', 'isHostTwice'],
  open(
    port,
    { host, origin, site, timeout, authorization, key, from },
    { begun = () => {}, decided = () => {} } = {},
  ) {
    return new Promise((resolve) => {
      const socket = connect({ port, host: '127.0.0.1', localAddress: from, noDelay: true })
      const session = connectHttp2(`http://localhost:${port}`, { createConnection: () => socket })
      let isClosing = false
      session.on('error', () => {})
      session.on('goaway', () => {
        isClosing = true
      })
      const token = authorization === undefined ? {} : { authorization }
      const stream = session.request(
        {
          ...{ ':method': 'POST', ':path': path, ':authority': host ?? '' },
          ...{ 'content-type': 'application/grpc', te: 'trailers', ...token },
          ...(origin === undefined ? {} : { origin }),
          ...(site === undefined ? {} : { 'sec-fetch-site': site }),
          ...(timeout === undefined ? {} : { 'grpc-timeout': timeout }),
        },
        { endStream: false },
      )
      begun()
      const fields: Record<string, unknown> = {}
      stream.on('response', (head) => Object.assign(fields, head))
      stream.on('trailers', (trailers) => Object.assign(fields, trailers))
      stream.on('data', () => {})
      stream.on('error', () => {})
      let body: 'read' | 'unread' = 'unread'
      const send = (): void => {
        body = 'read'
        decided()
        stream.end(frame(requestOf(key)))
      }
      // The node acknowledges settings when it has read everything before them.
      const round = (left: number): void => {
        if (session.destroyed || fields[':status'] !== undefined) return
        if (left === 0) send()
        else session.settings({}, () => round(left - 1))
      }
      session.once('connect', () => round(ROUNDS))
      stream.on('close', () => {
        session.destroy()
        const status = fields['grpc-status']
        const message = decodeURIComponent(String(fields['grpc-message'] ?? ''))
        const summary =
          status === undefined ? 'cut' : `${STATUS_NAMES[Number(status)]} ${begin(message)}`.trim()
        resolve({ summary, text: message, connection: isClosing ? 'closed' : 'kept', body })
      })
    })
  },
})

/** Rounds in which a node decides on a call, unless it verifies a password. */
const ROUNDS = 8

export const WIRES: readonly Wire[] = [
  http("HTTP, the node's own reader: PUT", ['isHostTwice'], putLine, NO_FIELDS, () => VALUE, false),
  http('HTTP, node:http: PUT', [], putLine, NO_FIELDS, () => VALUE, true),
  http("HTTP, the node's own reader: GET", ['isHostTwice'], getLine, NO_FIELDS, () => '', false),
  http(
    'HTTP, node:http: POST /v1/txn',
    [],
    ({ timeout }) => `POST /v1/txn${query(timeout)}`,
    JSON_FIELDS,
    ({ key }) => JSON.stringify({ success: [{ put: { key, value: VALUE } }] }),
    true,
  ),
  http(
    'multiplexed: GET /v1/connect',
    ['key', 'isHostTwice'],
    ({ timeout }) => `GET /v1/connect${query(timeout)}`,
    UPGRADE,
    () => '',
    true,
  ),
  grpc('gRPC: Put', RPC.put.path, (key) =>
    RPC.put.request.encode({ key: Buffer.from(key), value: Buffer.from(VALUE) }),
  ),
  grpc('gRPC: Range', RPC.range.path, (key) => RPC.range.request.encode({ key: Buffer.from(key) })),
  http(
    'gateway: POST /v3/kv/put',
    [],
    () => 'POST /v3/kv/put',
    JSON_FIELDS,
    ({ key }) => JSON.stringify({ key: base64(key), value: base64(VALUE) }),
    true,
    'grpc-timeout',
  ),
  http(
    'gateway: POST /v3/kv/range',
    [],
    () => 'POST /v3/kv/range',
    JSON_FIELDS,
    ({ key }) => JSON.stringify({ key: base64(key) }),
    true,
    'grpc-timeout',
  ),
  http(
    'HTTP: GET /livez',
    ['key'],
    ({ timeout }) => `GET /livez${query(timeout)}`,
    NO_FIELDS,
    () => '',
    false,
  ),
  http(
    'HTTP: GET /openapi.json',
    ['key'],
    ({ timeout }) => `GET /openapi.json${query(timeout)}`,
    NO_FIELDS,
    () => '',
    false,
  ),
  http(
    'HTTP: POST /v1/auth/login',
    ['key'],
    ({ timeout }) => `POST /v1/auth/login${query(timeout)}`,
    JSON_FIELDS,
    () => JSON.stringify({ user: 'bob', password: BOB_PASSWORD }),
    true,
  ),
  {
    ...http(
      'metrics port: GET /metrics',
      ['key'],
      () => 'GET /metrics',
      NO_FIELDS,
      () => '',
      false,
    ),
    isOfMetrics: true,
  },
]
