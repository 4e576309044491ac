// The wires of etcd's API. Requests and responses are those of the JSON gateway, whatever the wire, so that a table has
// one form of them.

import { request as httpRequest } from 'node:http'
import { RPC, type RpcDescription } from '../../../src/etcd/rpcs.ts'
import { JSON_TYPE } from '../http/served.ts'
import { callGrpc, frame, openSession } from './grpc-call.ts'

// biome-ignore lint/suspicious/noExplicitAny: what came over the wire is checked by the expectations themselves
export type Json = any

// biome-ignore lint/suspicious/noExplicitAny: requests and responses are JSON here
type AnyRpcDescription = RpcDescription<any, any>

export interface EtcdAnswer {
  readonly responses: readonly Json[]
  /** The code and the text, such as `5 etcdserver: requested lease not found`; undefined: it ended well. */
  readonly error: string | undefined
}

/** Streams without an end of their own: of these, the first response counts. */
const ENDLESS: ReadonlySet<string> = new Set([RPC.watch.path, RPC.observe.path])

/** Calls an RPC with one request, or with many, after which the client sends no more. */
export type CallEtcd = (rpc: AnyRpcDescription, ...requests: readonly object[]) => Promise<EtcdAnswer>

/** `token`: of the user. `timeoutMs`: the deadline that the client states. */
export interface EtcdCaller {
  readonly token?: string
  readonly timeoutMs?: number
}

/** Opens a connection that ends with the test. */
type OpenEtcd = (port: number, caller?: EtcdCaller) => CallEtcd

const hasFirst = (messages: readonly Buffer[]): boolean => messages.length > 0

const timeoutOf = (timeoutMs: number | undefined) =>
  timeoutMs === undefined ? {} : { 'grpc-timeout': `${timeoutMs}m` }

/** Without fields whose value is undefined. */
const asJson = (value: object): Json => JSON.parse(JSON.stringify(value))

const openGrpc: OpenEtcd = (port, { token, timeoutMs } = {}) => {
  const session = openSession(port)
  const metadata = { ...(token === undefined ? {} : { token }), ...timeoutOf(timeoutMs) }
  return async (rpc, ...requests) => {
    const encode = (request: object) => rpc.request.encode(rpc.request.fromJson(asJson(request)))
    const frames = requests.map((request) => frame(encode(request)))
    const isEnough = ENDLESS.has(rpc.path) ? hasFirst : undefined
    const body = Buffer.concat(frames)
    const { status, message, messages } = await callGrpc(session, rpc.path, body, metadata, isEnough)
    const responses = messages.map((bytes) => rpc.response.toJson(rpc.response.decode(bytes)))
    return { responses, error: (status ?? 0) === 0 ? undefined : `${status} ${message}` }
  }
}

const openGateway: OpenEtcd = (port, { token, timeoutMs } = {}) => {
  const authorization = token === undefined ? {} : { authorization: token }
  const headers = { ...JSON_TYPE, ...authorization, ...timeoutOf(timeoutMs) }
  return async ({ gateway: [path], kind, path: name }, ...requests) => {
    if (path === undefined) throw new Error('the gateway does not have it')
    const body = requests.map((request) => JSON.stringify(request)).join('')
    const text = await post(port, path, headers, body, ENDLESS.has(name))
    const lines = text.split('\n').filter((line) => line !== '')
    const answers: Json[] = lines.map((line) => JSON.parse(line))
    const failed = answers.find(({ error }) => error !== undefined)
    const { code = failed?.error.grpc_code, message = failed?.error.message } = failed ?? {}
    const well = answers.filter((answer) => answer !== failed)
    return {
      responses: kind === 'unary' ? well : well.map(({ result }) => result),
      error: failed === undefined ? undefined : `${code} ${message}`,
    }
  }
}

function post(
  port: number,
  path: string,
  headers: Record<string, string>,
  body: string,
  isEndless: boolean,
): Promise<string> {
  const options = { host: '127.0.0.1', port, method: 'POST', path, headers }
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(options, (response) => {
      const chunks: Buffer[] = []
      const end = (): void => resolve(Buffer.concat(chunks).toString())
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        if (!isEndless) return
        end()
        outgoing.destroy()
      })
      response.on('error', reject)
      response.on('end', end)
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

export const ETCD_WIRES: readonly (readonly [name: string, open: OpenEtcd])[] = [
  ["etcd's gRPC", openGrpc],
  ["etcd's JSON gateway", openGateway],
]

/** Latin1 as the gateway has bytes. */
export const base64 = (text: string): string => Buffer.from(text, 'latin1').toString('base64')
export const fromBase64 = (text = ''): string => Buffer.from(text, 'base64').toString('latin1')
