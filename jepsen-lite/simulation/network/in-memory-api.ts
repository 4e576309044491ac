// The API of a node for clients in the same process: the shipped codec and API, without sockets, and without fastify's
// check of bodies.

import { Socket } from 'node:net'
import { ApiError } from '../../../src/operations/forms/index.ts'
import { get } from '../../../src/operations/get.ts'
import { errorResponse } from '../../../src/operations/http/form.ts'
import type { Operation, WatchedChanges } from '../../../src/operations/index.ts'
import { put } from '../../../src/operations/put.ts'
import { Api } from '../../../src/server/api/api.ts'
import { InboundBudget } from '../../../src/server/api/budget.ts'
import { execute } from '../../../src/server/api/execute.ts'
import { ClientConnection } from '../../../src/server/clients/client-connection.ts'
import {
  type BodySink,
  bodyParts,
  encodeWhole,
  HttpRequest,
  type HttpResponse,
  isSliced,
  isStreamed,
} from '../../../src/server/connections/messages.ts'
import { decodeDelete, decodeRange, encode } from '../../../src/server/http/http-codec.ts'
import { OPERATION_ROUTES } from '../../../src/server/http/routes.ts'
import { httpLimits } from '../../../src/server/listener/limits.ts'
import type { Driver } from '../../../src/server/node/driver.ts'
import type { KvNode } from '../../../src/server/node/kv-node.ts'
import type { SlicedScan } from '../../../src/server/node/read/record-scan.ts'
import type { WatchHandle, WatchSink } from '../../../src/server/node/watch/index.ts'
import type { Invariants } from '../../sim/oracle/invariants.ts'

export interface SimulatedRequest {
  readonly method: string
  /** Path and query. */
  readonly target: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | undefined
}

/** An answer as the client receives it. */
export interface Answered {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  /** Writes the body while the client takes it. Then `body` is empty. */
  readonly writeTo?: ((sink: BodySink) => void) | undefined
}

export class InMemoryApi {
  readonly #node: KvNode
  readonly #api: Api

  constructor(node: KvNode) {
    this.#node = node
    this.#api = new Api({ node, limits: httpLimits, version: '', failed: () => {} })
  }

  serve(given: SimulatedRequest, isAbandoned: () => boolean, done: (answered: Answered) => void): void {
    const { method, target } = given
    const refuse = (error: unknown): void =>
      done(this.#answered(method, errorResponse(this.#api.toApiError(error))))
    try {
      const request = this.#httpRequest(given, isAbandoned)
      const operation = this.#decode(request, given)
      if (operation.kind === 'change-auth' && operation.change.kind === 'enable')
        throw new ApiError('bad_request', 'a simulation checks no rights: leave authentication off')
      execute(this.#api, operation, request, (answer) => {
        let response: HttpResponse
        try {
          response = encodeWhole(encode(answer, operation, request, this.#api))
        } catch (error) {
          return refuse(error)
        }
        done(this.#answered(method, response))
      })
    } catch (error) {
      if (!(error instanceof ApiError)) throw new Error(`${method} ${target} failed`, { cause: error })
      refuse(error)
    }
  }

  #httpRequest({ method, target: url, headers }: SimulatedRequest, isAbandoned: () => boolean): HttpRequest {
    const named = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])
    const start = { method, url, httpVersion: '1.1', headers: Object.fromEntries(named), hosts: 1 }
    const sink = { isAbandoned, send() {} }
    const request = new HttpRequest(start, NO_BODY, NO_CONNECTION, performance.now(), sink)
    request.check()
    return request
  }

  #decode(request: HttpRequest, { body, method }: SimulatedRequest): Operation {
    const { operation, path } = request.target
    if (operation === 'get') return get.http.decode(request)
    if (operation === 'range') return decodeRange(request, httpLimits.pageRowsMax)
    if (operation === 'put') return { ...put.http.decode(request), value: body ?? new Uint8Array() }
    if (operation === 'delete') return decodeDelete(request)
    for (const route of OPERATION_ROUTES) {
      const params = route.method === method ? matchPath(route.path, path) : undefined
      if (params === undefined) continue
      return route.decode(
        request,
        params,
        body === undefined ? {} : parseJsonBody(body),
        httpLimits.pageRowsMax,
      )
    }
    throw new Error(`no route has ${method} ${path}`)
  }

  /** `done` receives the watch and the revision of the store, or a problem. */
  watch(
    request: WatchedChanges,
    timeoutMs: number,
    sink: WatchSink,
    done: (begun: { readonly watch: WatchHandle; readonly revision: number } | Answered) => void,
  ): void {
    const deadline = performance.now() + timeoutMs
    const call = { deadline, expansion: 1, isAbandoned: () => false, openSink: () => sink }
    execute(this.#api, { kind: 'watch', request }, call, (answer) => {
      if (answer instanceof ApiError) done(this.#answered('GET', errorResponse(answer)))
      else done({ watch: answer.watch, revision: answer.head.revision })
    })
  }

  #answered(method: string, { body, status, headers, revision }: HttpResponse): Answered {
    if (isStreamed(body)) throw new Error('watches of simulated clients have a way of their own')
    const all: Record<string, string> = {
      'kv-cluster': this.#node.clusterId,
      'kv-node': this.#node.name,
      'kv-revision': String(revision ?? this.#node.revision),
    }
    for (let at = 0; at < headers.length; at += 2)
      all[headers[at]?.toLowerCase() ?? ''] = headers[at + 1] ?? ''
    if (isSliced(body)) return { status, headers: all, body: Buffer.alloc(0), writeTo: body.writeTo }
    const parts = method === 'HEAD' ? [] : bodyParts(body).map((part) => Buffer.from(part as Uint8Array))
    return { status, headers: all, body: Buffer.concat(parts) }
  }
}

/** Bodies of simulated requests arrive with their heads. */
const NO_CONNECTION = new ClientConnection(new Socket(), {
  served: 'all',
  inbound: new InboundBudget(Number.POSITIVE_INFINITY),
  inboundOfUnauthenticated: new InboundBudget(Number.POSITIVE_INFINITY),
  identified() {},
  headOfUnidentified() {},
})
const NO_BODY = {
  read(): never {
    throw new Error('the body of a simulated request is read')
  },
  follow(): never {
    throw new Error('a simulated request has its body as it is')
  },
  drop() {},
}

interface Around {
  readonly invariants: Invariants
  /** A name for a change that has no other. */
  readonly newName: () => string
  /** Runs a callback of the node. What it does may wait for promises. */
  readonly enter: (run: () => void) => void
}

/** The driver, with names for what it is asked to change: the log must hold nothing else. */
export function observed(driver: Driver, { invariants, newName, enter }: Around): KvNode {
  const propose: KvNode['propose'] = (request, timeoutMs, done) => {
    const { idempotency } = request
    const isToken = idempotency !== undefined && 'token' in idempotency
    const named = { ...request, principal: isToken ? idempotency.token : newName() }
    invariants.requested(named)
    driver.propose(named, timeoutMs, (result) => {
      const isUnwritten = !result.ok && result.problem.written === 'no'
      if (isUnwritten && idempotency === undefined) invariants.notWritten(named.principal)
      enter(() => done(result))
    })
  }
  return entering(driver, enter, { propose })
}

/** Its callbacks, and those of the scans that it opens or has, run by `enter`. */
function entering<T extends object>(target: T, enter: Around['enter'], instead: object = {}): T {
  const opened = (value: unknown): unknown => (isScan(value) ? entering(value, enter) : value)
  return new Proxy(target, {
    get(_, name) {
      if (name in instead) return Reflect.get(instead, name)
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return opened(value)
      return (...args: readonly unknown[]) =>
        opened(
          value.apply(
            target,
            args.map((arg) =>
              typeof arg === 'function' ? (...given: unknown[]) => enter(() => arg(...given)) : arg,
            ),
          ),
        )
    },
  })
}

const isScan = (value: unknown): value is Pick<SlicedScan<unknown>, 'finish'> =>
  typeof value === 'object' && value !== null && 'finish' in value

const parseJsonBody = (body: Uint8Array): unknown => JSON.parse(Buffer.from(body).toString())

/** The parameters of a path that matches; undefined: it does not match. */
function matchPath(pattern: string, path: string): Record<string, string> | undefined {
  const [names, segments] = [pattern.split('/'), path.split('/')]
  if (names.length !== segments.length) return undefined
  const params: Record<string, string> = {}
  for (const [at, name] of names.entries()) {
    const segment = segments[at] ?? ''
    if (name.startsWith(':')) params[name.slice(1)] = segment
    else if (name !== segment) return undefined
  }
  return params
}
