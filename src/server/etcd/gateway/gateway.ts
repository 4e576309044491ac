// etcd's JSON gateway: the RPCs as `POST /v3/…`, `GET /version` and `GET /health`.

import { readTimeoutMs } from '../../../etcd/frames.ts'
import { RPC } from '../../../etcd/rpcs.ts'
import { GRPC, GrpcError } from '../../../etcd/status.ts'
import { ApiError } from '../../../operations/forms/index.ts'
import { HttpError, jsonResponse, type UnencodedResponse } from '../../../operations/http/form.ts'
import { timeLeftMs } from '../../api/read-options.ts'
import { FOR_ALL, FOR_USERS, type Wanted } from '../../clients/gate.ts'
import { type BodySink, encodeBody, type HttpRequest, type HttpResponse } from '../../connections/messages.ts'
import { asBearer } from '../authorization.ts'
import { callTimes, EtcdCall } from '../call.ts'
import { toGrpcError } from '../errors.ts'
import type { EtcdApi } from '../etcd-api.ts'
import { type AnyRpc, ResponseInParts, rpcName, type UnaryRpc } from '../rpc.ts'
import { RPCS } from '../services/index.ts'
import { ETCD_VERSION } from '../services/status.ts'
import { encodeError, RESULT_HEADERS } from './errors.ts'
import { decodeRequest } from './json.ts'
import { GatewayStream } from './stream.ts'

interface ServedRpc {
  readonly rpc: AnyRpc
  readonly name: string
}

const RPC_OF: ReadonlyMap<string, ServedRpc> = new Map(
  RPCS.flatMap((rpc) => {
    const served = { rpc, name: rpcName(rpc) }
    return rpc.gateway.flatMap((path) => [
      [path, served] as const,
      [path.replace('/v3/', '/v3beta/'), served] as const,
    ])
  }),
)

/** RPCs that wait as long as it takes. */
const WAITING: ReadonlySet<string> = new Set([RPC.lock.path, RPC.campaign.path])

type Respond = (response: HttpResponse) => void
type Fail = (error: unknown) => void

interface GatewayOptions {
  readonly etcd: EtcdApi
  readonly isClosing: () => boolean
  /** Limit of the body of a request, and of each request of a stream. */
  readonly requestBytesMax: number
  /** How long the client of a stream may send nothing of a request that it has begun. */
  readonly stallMsMax: number
}

export class JsonGateway {
  readonly #options: GatewayOptions
  readonly #streams = new Set<GatewayStream>()

  constructor(options: GatewayOptions) {
    this.#options = options
  }

  /** Begins a request: its errors are those of the gateway. Returns what it wants. */
  begin(request: HttpRequest): Wanted {
    request.encodeError = (error) => encodeError(this.#options.etcd.api, request, error)
    request.checkForm = () => void findTimeoutMs(request)
    request.authorization = asBearer(findToken(request))
    const { path } = request.target
    const served = RPC_OF.get(path)
    if (served === undefined) return path === '/version' || path === '/health' ? FOR_ALL : FOR_USERS
    request.metricName = served.name
    return served.rpc.wanted
  }

  /** Serves a request whose client is known. */
  serve(request: HttpRequest, respond: Respond, fail: Fail): void {
    const { path } = request.target
    request.route = path
    try {
      if (path === '/version' || path === '/health') {
        checkMethod(request, ['GET', 'HEAD'])
        respond(path === '/version' ? jsonResponse(VERSION) : this.#health())
        return
      }
      const served = RPC_OF.get(path)
      if (served === undefined) throw new GrpcError(GRPC.notFound, 'Not Found')
      checkMethod(request, ['POST'])
      checkContent(request)
      this.#serveRpc(served.rpc, request, respond, fail)
    } catch (error) {
      fail(error)
    }
  }

  /** The node stops: streams end, and clients open them again at another node. */
  closing(): void {
    for (const stream of this.#streams) stream.leave()
  }

  #serveRpc(rpc: AnyRpc, request: HttpRequest, respond: Respond, fail: Fail): void {
    const { etcd, requestBytesMax, stallMsMax } = this.#options
    const call = openCall(etcd, request)
    if (rpc.kind === 'unary') {
      request.withdraw = () => call.abandon()
      this.#readRequest(rpc, request, fail, (message) => {
        const stop = WAITING.has(rpc.path) ? endWithClient(call, request) : undefined
        void runUnary(rpc, message, request, call, respond, fail).finally(stop)
      })
      return
    }
    const stream = new GatewayStream({
      call,
      rpc,
      request,
      requestBytesMax,
      stallMsMax,
      respond,
      fail,
      closed: () => this.#streams.delete(stream),
    })
    this.#streams.add(stream)
    if (rpc.kind === 'duplex') stream.open(rpc)
    else this.#readRequest(rpc, request, fail, (message) => void stream.run(rpc, message))
  }

  #readRequest(rpc: AnyRpc, request: HttpRequest, fail: Fail, run: (message: unknown) => void): void {
    const { requestBytesMax } = this.#options
    const { api } = this.#options.etcd
    const { unauthenticatedBodyMs } = api.limits
    const { open } = rpc.wanted
    const limits = {
      bytesMax: open?.requestBytesMax ?? requestBytesMax,
      tooLarge: 'request_too_large',
      timeoutMs: Math.min(
        timeLeftMs(request),
        open === undefined ? Number.POSITIVE_INFINITY : unauthenticatedBodyMs,
      ),
    } as const
    request.body.read(limits, (body) =>
      // Bodies of many connections may arrive at once.
      api.outbound.turns.run(() => {
        try {
          if (body instanceof ApiError) throw body
          run(decodeRequest(rpc.request, body))
        } catch (error) {
          fail(error)
        }
      }),
    )
  }

  #health(): HttpResponse {
    const { etcd, isClosing } = this.#options
    const { notReady } = etcd.api.node.status()
    const reasons = isClosing() ? ['the node is shutting down', ...notReady] : notReady
    const health = { health: String(reasons.length === 0), reason: reasons.join('; ') }
    return { ...jsonResponse(JSON.stringify(health)), status: reasons.length === 0 ? 200 : 503 }
  }
}

const VERSION = JSON.stringify({ etcdserver: ETCD_VERSION, etcdcluster: ETCD_VERSION })

function openCall(etcd: EtcdApi, request: HttpRequest): EtcdCall {
  const { principal, isUnidentified, startedAt, connection, target } = request
  const times = callTimes(startedAt, findTimeoutMs(request))
  request.deadline = times.deadline
  const client = {
    principal,
    isUnidentified,
    requiresLeader: false,
    connection,
    checkServed: () => request.checkServed(),
  }
  return new EtcdCall(etcd, client, `POST ${target.path}`, times, request.trace)
}

/**
 * Ends the call of a client that closes its side, until the returned function is called. Others receive their answers
 * nevertheless, but who has gone must not have a lock.
 */
function endWithClient(call: EtcdCall, { connection: { socket } }: HttpRequest): () => void {
  const leave = (): void => call.abandon()
  if (socket.readableEnded) leave()
  socket.once('end', leave)
  return () => void socket.off('end', leave)
}

/** Metadata of gRPC may come as headers `Grpc-Metadata-…`, as grpc-gateway has it. As in etcd, `token` comes first. */
function findToken({ headers }: HttpRequest): string | undefined {
  const token =
    headers['grpc-metadata-token'] ?? headers.authorization ?? headers['grpc-metadata-authorization']
  return token?.toString()
}

/** undefined: the client states none. Throws `GrpcError`. */
function findTimeoutMs({ headers }: HttpRequest): number | undefined {
  const field = headers['grpc-timeout']?.toString()
  try {
    return readTimeoutMs(field)
  } catch {
    throw new GrpcError(GRPC.invalidArgument, `invalid grpc-timeout: ${field}`)
  }
}

async function runUnary(
  rpc: UnaryRpc<unknown, object>,
  message: unknown,
  request: HttpRequest,
  call: EtcdCall,
  respond: Respond,
  fail: Fail,
): Promise<void> {
  const { outbound } = call.api
  const failed = (error: unknown): void => {
    call.releaseRoom()
    fail(error)
  }
  try {
    const result = await rpc.run(message, call)
    if (rpc.wanted.open?.isLogin === true) request.identified()
    if (result instanceof ResponseInParts) {
      const writeTo = (sink: BodySink): void => void writeInParts(result, rpc, call, sink)
      respond({ status: 200, headers: RESULT_HEADERS, body: { writeTo }, revision: undefined })
      return
    }
    const body = { parts: rpc.response.jsonParts(result) }
    const response: UnencodedResponse = { status: 200, headers: RESULT_HEADERS, body, revision: undefined }
    const done = (encoded: HttpResponse): void => {
      // Its writer counts it from here on.
      call.releaseRoom()
      respond(encoded)
    }
    encodeBody(response, { isAbandoned: () => call.isOver }, outbound, done, failed)
  } catch (error) {
    failed(error)
  }
}

/** Writes a response whose length nobody knows: the body of HTTP has an end of its own. */
async function writeInParts(
  { fields, name, values }: ResponseInParts<object>,
  { response }: UnaryRpc<unknown, object>,
  call: EtcdCall,
  sink: BodySink,
): Promise<void> {
  const field = name as never
  const stopTimer = call.whenLate(() => sink.cut())
  try {
    const [begin, end] = response.jsonAround(field, fields as object)
    let text = begin
    let between = ''
    for (let part = await values.next(); part !== undefined; part = await values.next()) {
      for (const value of values.decode(part)) {
        text += between + response.elementJson(field, value)
        between = ','
        if (text.length < TEXT_CHARACTERS) continue
        await call.holdInTurn(text.length)
        const written = sink.write(text, true)
        // Its writer counts it from here on.
        call.giveBack(text.length)
        text = ''
        if (!(await written) || call.isOver) return
      }
    }
    sink.end(text + end)
  } catch (error) {
    // It is reported, and nobody receives it.
    toGrpcError(call.api, error)
    sink.cut()
  } finally {
    stopTimer()
    values.close()
    call.releaseRoom()
  }
}

/** Characters that are written together. */
const TEXT_CHARACTERS = 64 * 1024

/** Throws `ApiError`. */
function checkMethod({ method, target: { path } }: HttpRequest, allowed: readonly string[]): void {
  if (allowed.includes(method)) return
  const allow = allowed.join(', ')
  throw new HttpError('method_not_allowed', `${method} is not allowed on ${path}; allowed: ${allow}`, [
    'Allow',
    allow,
  ])
}

/**
 * Throws `ApiError`. Programs send JSON under any type, or under none; a form of a web page can send it only as plain
 * text.
 */
function checkContent({ headers }: HttpRequest): void {
  const type = headers['content-type']?.split(';')[0]?.trim().toLowerCase()
  if (type === 'text/plain')
    throw new ApiError('unsupported_media_type', 'text/plain is not accepted: send application/json')
  if (headers['content-encoding'] !== undefined)
    throw new ApiError('unsupported_media_type', 'Content-Encoding is not accepted')
}
