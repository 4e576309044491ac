// The routes outside the hot path: which of them a request has, and whether its body fits the schema of that route.

import { ApiError, asError } from '../api/errors.ts'
import { timeLeftMs } from '../api/keys.ts'
import type { TurnQueue } from '../api/turn-queue.ts'
import { codingRefusal } from './body.ts'
import { JSON_PARTS_MAX, parseJson } from './json-body.ts'
import { bodyCheck } from './json-check.ts'
import { HttpError, type HttpRequest } from './messages.ts'
import type { Decoded, Route } from './route.ts'
import { percentDecode } from './target.ts'

export interface RouterOptions {
  readonly routes: readonly Route[]
  readonly requestBytesMax: number
  /** The time in which bodies are parsed. */
  readonly turns: TurnQueue
}

interface Entry {
  readonly route: Route
  /** Segments of its path. */
  readonly names: readonly string[]
  readonly check: ((body: unknown) => string | undefined) | undefined
}

type Params = Readonly<Record<string, string>>

export class Router {
  readonly #options: RouterOptions
  readonly #entries: readonly Entry[]

  constructor(options: RouterOptions) {
    this.#options = options
    this.#entries = options.routes.map((route) => ({
      route,
      names: route.path.split('/'),
      check: route.body && bodyCheck(route.body),
    }))
  }

  /** Decodes a request. Calls `done` once with the result, or with the error that refuses it; now or later. */
  decode(request: HttpRequest, done: (decoded: Decoded | Error) => void): void {
    const decoded = guarded((): Decoded | Error | undefined => {
      const { route, params, check } = this.#match(request)
      request.route = route.path
      if (check === undefined) return route.decode(request, params, undefined)
      const refusal = bodyRefusal(request)
      if (refusal !== undefined) return refusal
      this.#readJson(request, route, (json) =>
        done(
          guarded(() => {
            if (json instanceof ApiError) return json
            const fault = check(json)
            if (fault !== undefined) return new ApiError('bad_request', fault)
            return route.decode(request, params, json)
          }),
        ),
      )
      return undefined
    })
    if (decoded !== undefined) done(decoded)
  }

  #match({ method, target: { path, keys } }: HttpRequest): Entry & { readonly params: Params } {
    const segments = path.split('/').map(textOf)
    const fitting = this.#entries.flatMap((entry) => {
      const params = paramsOf(entry.names, segments)
      return params === undefined ? [] : [{ ...entry, params }]
    })
    const wanted = method === 'HEAD' ? 'GET' : method
    const found = fitting.find(({ route }) => route.method === wanted)
    if (found !== undefined) return found
    const methods = fitting.flatMap(({ route }) =>
      route.method === 'GET' ? ['GET', 'HEAD'] : [route.method],
    )
    throw noSuchRoute(method, path, keys === undefined ? methods : KEY_METHODS)
  }

  #readJson(request: HttpRequest, route: Route, done: (json: unknown) => void): void {
    const { requestBytesMax: bytesMax, turns } = this.#options
    const { bodyPartsMax = JSON_PARTS_MAX, bodyDepthMax = Number.POSITIVE_INFINITY } = route
    const limits = { bytesMax, tooLarge: 'request_too_large', timeoutMs: timeLeftMs(request) } as const
    request.body.read(limits, (body) => {
      // A batch of small changes takes some milliseconds, and bodies of many connections may arrive at once.
      turns.run(() =>
        done(
          body instanceof ApiError
            ? body
            : parseJson(body, { partsMax: bodyPartsMax, depthMax: bodyDepthMax }),
        ),
      )
    })
  }
}

function guarded<T>(run: () => T): T | Error {
  try {
    return run()
  } catch (error) {
    return asError(error)
  }
}

const textOf = (segment: string): string =>
  segment.includes('%') ? Buffer.from(percentDecode(segment)).toString('utf8') : segment

/** The parameters in a path; undefined: it is another route. `names` and `segments` are parts between slashes. */
export function paramsOf(names: readonly string[], segments: readonly string[]): Params | undefined {
  if (names.length !== segments.length) return undefined
  const params: Record<string, string> = {}
  for (const [at, name] of names.entries()) {
    const segment = segments[at] ?? ''
    if (name.startsWith(':') && segment !== '') params[name.slice(1)] = segment
    else if (name !== segment) return undefined
  }
  return params
}

/** 405 if the route exists with another method (RFC 9110 §15.5.6). */
function noSuchRoute(method: string, path: string, allowed: readonly string[]): ApiError {
  if (allowed.length === 0)
    return new ApiError('route_not_found', `no such route: ${method} ${path}; see /openapi.json`)
  const allow = allowed.join(', ')
  return new HttpError('method_not_allowed', `${method} is not allowed on ${path}; allowed: ${allow}`, [
    'Allow',
    allow,
  ])
}

const KEY_METHODS = ['GET', 'HEAD', 'PUT', 'DELETE']

/** A body needs the content type JSON, even if it is empty. No form of a web page can send that. */
function bodyRefusal({ method, headers }: HttpRequest): ApiError | undefined {
  const type = headers['content-type']?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/json')
    return new ApiError('unsupported_media_type', `${method} needs application/json`)
  if (headers['content-encoding'] !== undefined)
    return new ApiError('unsupported_media_type', 'Content-Encoding is not accepted')
  return codingRefusal(headers)
}
