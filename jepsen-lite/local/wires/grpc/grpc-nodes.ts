// One call, at most one response, no retries: a connection to each node, and the three cases that a history needs.

import { secureOptions } from '../../../../src/client/tls.ts'
import type { ClientTls } from '../../../../src/client/types.ts'
import type { RpcDescription } from '../../../../src/etcd/rpcs.ts'
import { ETCD_ERRORS, GRPC, GrpcError } from '../../../../src/etcd/status.ts'
import {
  ConnectionError,
  GrpcClient,
  type GrpcStream,
  singleResponse,
} from '../../../../src/etcd-client/grpc-client.ts'
import { HOST, localUrl } from '../../../../src/local/addresses.ts'
import { GRACE_MS, type RequestEnd, WrongAnswer } from '../wire.ts'

export type GrpcEnd<A> =
  | { readonly kind: 'answer'; readonly answer: A }
  | { readonly kind: 'refused'; readonly error: GrpcError }
  /** No byte of the request was sent. */
  | { readonly kind: 'not-sent'; readonly why: string }
  /** The request may have been sent, and no status came. */
  | { readonly kind: 'no-answer'; readonly why: string }

export class GrpcNodes {
  readonly #clients = new Map<number, GrpcClient>()
  readonly #tls: ClientTls | undefined

  constructor(tls?: ClientTls) {
    this.#tls = tls
  }

  find(port: number): GrpcClient {
    const known = this.#clients.get(port)
    if (known !== undefined) return known
    const tls = this.#tls && secureOptions(this.#tls, HOST)
    const client = new GrpcClient({ endpoint: localUrl(port, tls !== undefined), tls })
    this.#clients.set(port, client)
    return client
  }

  close(): void {
    for (const client of this.#clients.values()) client.close()
  }
}

/** The calls of one operation to one node, until its deadline. None of them rejects. */
export class GrpcCalls {
  readonly #client: GrpcClient
  readonly #deadline: number

  constructor(nodes: GrpcNodes, port: number, deadline: number) {
    this.#client = nodes.find(port)
    this.#deadline = deadline
  }

  unary<Q, A>(rpc: RpcDescription<Q, A, 'unary'>, request: Partial<Q>): Promise<GrpcEnd<A>> {
    return this.#within((metadata) => this.#client.serverStream(rpc, request, { metadata }), singleResponse)
  }

  /** All responses of a stream. */
  all<Q, A>(rpc: RpcDescription<Q, A, 'server-stream'>, request: Partial<Q>): Promise<GrpcEnd<readonly A[]>> {
    return this.#within((metadata) => this.#client.serverStream(rpc, request, { metadata }), collect)
  }

  /** One request, and the first response. */
  first<Q, A>(rpc: RpcDescription<Q, A, 'duplex'>, request: Partial<Q>): Promise<GrpcEnd<A>> {
    return this.#within(
      (metadata) => {
        const stream = this.#client.duplex(rpc, { metadata })
        stream.send(request)
        stream.halfClose()
        return stream
      },
      async (stream) => {
        for await (const response of stream) return response
        throw new GrpcError(GRPC.internal, 'the stream has ended without a response')
      },
    )
  }

  async #within<S extends GrpcStream<unknown, unknown>, A>(
    open: (metadata: Readonly<Record<string, string>>) => S,
    read: (stream: S) => Promise<A>,
  ): Promise<GrpcEnd<A>> {
    const leftMs = Math.max(1, Math.round(this.#deadline - performance.now()))
    const stream = open({ 'grpc-timeout': `${leftMs}m` })
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      stream.cancel()
      // The node behind the connection may be gone.
      this.#client.probe()
    }, leftMs + GRACE_MS)
    try {
      return { kind: 'answer', answer: await read(stream) }
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error
      if (!isLate && !(error instanceof ConnectionError)) return { kind: 'refused', error }
      const why = isLate ? 'no answer in time' : connectionFault(error)
      return { kind: stream.isSent ? 'no-answer' : 'not-sent', why }
    } finally {
      clearTimeout(timer)
    }
  }
}

async function collect<A>(responses: AsyncIterable<A>): Promise<readonly A[]> {
  const all: A[] = []
  for await (const response of responses) all.push(response)
  return all
}

const connectionFault = ({ message, cause }: GrpcError): string =>
  cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : message

// ---------------------------------------------------------------------------------------------------------------------
// What a status means for a request that was correct

/** Only these texts say that a change was not made. Any other status of their codes leaves that open. */
const REFUSALS: ReadonlySet<string> = new Set(
  [ETCD_ERRORS.noLeader, ETCD_ERRORS.tooManyRequests, ETCD_ERRORS.noSpace].map(({ message }) => message),
)

/** Codes after which a change may have been made. */
const OPEN_CODES: ReadonlySet<number> = new Set([
  ...[GRPC.unavailable, GRPC.deadlineExceeded, GRPC.cancelled, GRPC.unknown, GRPC.internal],
])

/** The end of a read. It has changed nothing, so without an answer it has failed and is never unknown. */
export function readEnd<A>(end: GrpcEnd<A>, result: (answer: A) => RequestEnd): RequestEnd {
  return end.kind === 'answer' ? checked(end.answer, result, false) : readFailed(end)
}

/** The end of a change. */
export function changeEnd<A>(end: GrpcEnd<A>, result: (answer: A) => RequestEnd): RequestEnd {
  return end.kind === 'answer' ? checked(end.answer, result, true) : changeFailed(end)
}

type Failure = Exclude<GrpcEnd<never>, { kind: 'answer' }>

export function readFailed(end: Failure): RequestEnd {
  if (end.kind === 'refused') return refusal(end.error)
  return { kind: 'fail', why: end.why, unreachable: end.kind === 'not-sent' }
}

export function changeFailed(end: Failure): RequestEnd {
  if (end.kind === 'not-sent') return { kind: 'fail', why: end.why, unreachable: true }
  if (end.kind === 'no-answer') return { kind: 'unknown', why: end.why }
  const { code, message } = end.error
  return OPEN_CODES.has(code) && !REFUSALS.has(message)
    ? { kind: 'unknown', why: message }
    : refusal(end.error)
}

function refusal({ code, message }: GrpcError): RequestEnd {
  const end = { kind: 'fail', why: message, unreachable: false } as const
  const isAllowed = OPEN_CODES.has(code) || REFUSALS.has(message)
  return isAllowed ? end : { ...end, wrong: `status ${code}: ${message}` }
}

function checked<A>(answer: A, result: (answer: A) => RequestEnd, isChange: boolean): RequestEnd {
  try {
    return result(answer)
  } catch (error) {
    if (!(error instanceof WrongAnswer)) throw error
    const why = 'wrong answer'
    return isChange
      ? { kind: 'unknown', why, wrong: error.message }
      : { kind: 'fail', why, unreachable: false, wrong: error.message }
  }
}

/** Whether the call was refused with this error. */
export const isRefusedWith = (end: GrpcEnd<unknown>, expected: GrpcError): boolean =>
  end.kind === 'refused' && end.error.message === expected.message
