// The front of a simulated node for clients: the shipped routes, without sockets, and without fastify's check of
// bodies.

import type { WatchRequest } from '../../src/client/operation.ts'
import { asRevision } from '../../src/kv/index.ts'
import {
  type Answer,
  type ApiRequest,
  answering,
  asError,
  isPoured,
  isStreamed,
  partsOf,
  problemAnswer,
  type Respond,
} from '../../src/server/http/answer.ts'
import { classify } from '../../src/server/http/classify.ts'
import { getKey, putKey } from '../../src/server/http/keys.ts'
import { leaseRoutes } from '../../src/server/http/leases.ts'
import { httpLimits } from '../../src/server/http/limits.ts'
import { answerWithinMs, takeTimeout } from '../../src/server/http/parameters.ts'
import { ApiError, refusedByNode } from '../../src/server/http/problem.ts'
import { Ranges } from '../../src/server/http/range.ts'
import { RangeReader } from '../../src/server/http/range-reading.ts'
import { readOptions } from '../../src/server/http/read-options.ts'
import { OutboundBudget } from '../../src/server/http/response-budget.ts'
import type { Route } from '../../src/server/http/route.ts'
import { splitTarget } from '../../src/server/http/target.ts'
import { txnRoute } from '../../src/server/http/txn.ts'
import { beginWatch, watchedWhere } from '../../src/server/http/watch-limits.ts'
import type { Driver } from '../../src/server/node/driver.ts'
import type { NodeApi } from '../../src/server/node/types.ts'
import type { Watch, WatchSink } from '../../src/server/node/watch/index.ts'
import type { Invariants } from '../sim/invariants.ts'

export interface SimulatedRequest {
  readonly method: string
  /** With its query. */
  readonly target: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | undefined
}

/** An answer as the client receives it. */
export interface Answered {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

export class InMemoryApi {
  readonly #driver: Driver
  readonly #node: NodeApi
  readonly #backlog = new OutboundBudget(httpLimits.answersBytesMax)
  readonly #routes: readonly Route[]
  readonly #ranges: Ranges

  constructor(driver: Driver, around: Around) {
    this.#driver = driver
    this.#node = observed(driver, around)
    const ranges = new RangeReader(this.#node, httpLimits, this.#backlog)
    const options = { node: this.#node, backlog: this.#backlog, ranges, limits: httpLimits }
    this.#routes = [txnRoute(options), ...leaseRoutes(options)]
    this.#ranges = new Ranges(ranges, httpLimits, refusalOf)
  }

  serve(asked: SimulatedRequest, isAbandoned: () => boolean, done: (answered: Answered) => void): void {
    const respond: Respond = (answer) => done(this.#answered(asked, answer))
    answering(respond, () => this.#route(asked, isAbandoned, respond))(undefined)
  }

  #route(
    { method, target, headers, body }: SimulatedRequest,
    isAbandoned: () => boolean,
    respond: Respond,
  ): void {
    const wanted = splitTarget(target)
    const { path } = wanted
    const { pairs: given, ...classified } = classify(method, wanted)
    const { timeoutMs, others: pairs } = takeTimeout(given)
    const deadline = performance.now() + answerWithinMs(timeoutMs)
    const named = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])
    const asked = {
      ...{ method, path, ...classified, pairs, headers: Object.fromEntries(named), deadline, isAbandoned },
    }
    const { operation } = classified
    if (operation === 'get') getKey(this.#node, asked, respond)
    else if (operation === 'range') this.#ranges.get(asked, respond)
    else if (operation === 'put') putKey(this.#node, this.#backlog, asked)(body ?? new Uint8Array(), respond)
    else this.#handlerOf(method, path)(asked, body === undefined ? {} : jsonIn(body), respond)
  }

  #handlerOf(method: string, path: string) {
    for (const route of this.#routes) {
      const params = route.method === method ? paramsOf(route.path, path) : undefined
      if (params !== undefined)
        return (asked: ApiRequest, json: unknown, respond: Respond) =>
          route.handle(asked, params, json, respond)
    }
    throw new Error(`clients of the simulator do not ask for ${method} ${path}`)
  }

  /** `done`: with the watch and the revision of the store, or with a problem. */
  watch(
    { place, from, prev, only, values, progressMs }: WatchRequest,
    timeoutMs: number,
    sink: WatchSink,
    done: (begun: { readonly watch: Watch; readonly revision: number } | Answered) => void,
  ): void {
    const refuse = (error: Error): void => done(this.#answered({ method: 'GET' }, error))
    const where = watchedWhere({ key: place.key, prefix: place.prefix, start: place.start, end: place.end })
    const request = {
      ...{ where, prev, only, values, progressMs },
      from: from === undefined ? undefined : asRevision(from),
    }
    this.#node.read(readOptions(timeoutMs, LINEARIZABLE), (result) => {
      try {
        if (!result.ok) throw refusedByNode(result.problem)
        const { revision } = result.value
        done({ watch: beginWatch(this.#node, request, sink), revision })
      } catch (error) {
        refuse(asError(error))
      }
    })
  }

  #answered({ method }: Pick<SimulatedRequest, 'method'>, given: Answer | Error): Answered {
    const { body, status, headers, revision } =
      given instanceof Error ? problemAnswer(refusalOf(given)) : given
    if (isStreamed(body) || isPoured(body)) throw new Error('clients of the simulator ask for no streams')
    const all: Record<string, string> = {
      'kv-cluster': this.#driver.clusterId,
      'kv-node': this.#driver.name,
      'kv-revision': String(revision ?? this.#driver.revision),
    }
    for (let at = 0; at < headers.length; at += 2)
      all[headers[at]?.toLowerCase() ?? ''] = headers[at + 1] ?? ''
    const parts = method === 'HEAD' ? [] : partsOf(body).map((part) => Buffer.from(part as Uint8Array))
    return { status, headers: all, body: Buffer.concat(parts) }
  }
}

export interface Around {
  readonly invariants: Invariants
  /** A name for a change that has no other. */
  readonly newName: () => string
  /** Runs a callback of the node. What it does may wait for promises. */
  readonly enter: (run: () => void) => void
}

/** The driver, with names for what it is asked to change: the log must hold nothing else. */
function observed(driver: Driver, { invariants, newName, enter }: Around): NodeApi {
  const propose: NodeApi['propose'] = (request, timeoutMs, done) => {
    const { idempotency } = request
    const isToken = idempotency !== undefined && 'token' in idempotency
    const named = { ...request, principal: isToken ? idempotency.token : newName() }
    invariants.asked(named)
    driver.propose(named, timeoutMs, (result) => {
      const isUnwritten = !result.ok && result.problem.written === 'no'
      if (isUnwritten && idempotency === undefined) invariants.notWritten(named.principal)
      enter(() => done(result))
    })
  }
  return entering(driver, enter, { propose })
}

/** Its callbacks, and those of the scans that it opens, run by `enter`. */
function entering<T extends object>(target: T, enter: Around['enter'], instead: object = {}): T {
  return new Proxy(target, {
    get(_, name) {
      if (name in instead) return Reflect.get(instead, name)
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      return (...args: readonly unknown[]) => {
        const result: unknown = value.apply(
          target,
          args.map((arg) =>
            typeof arg === 'function' ? (...given: unknown[]) => enter(() => arg(...given)) : arg,
          ),
        )
        return name === 'list' ? entering(result as object, enter) : result
      }
    },
  })
}

const LINEARIZABLE = { consistency: undefined, max_staleness: undefined, min_revision: undefined }

const refusalOf = (error: unknown): ApiError =>
  error instanceof ApiError ? error : new ApiError('internal', asError(error).message)

const jsonIn = (body: Uint8Array): unknown => JSON.parse(Buffer.from(body).toString())

/** The parameters of a path that fits; undefined: it does not. */
function paramsOf(pattern: string, path: string): Record<string, string> | undefined {
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
