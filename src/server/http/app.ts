// The routes outside the hot path. Fastify finds the route and validates the body against its schema. Handlers are
// plain functions, and answers are sent as on the hot path.

import type { IncomingMessage, ServerResponse } from 'node:http'
import Fastify, { type FastifyReply, type FastifyRequest, type ValidationResult } from 'fastify'
import type { ApiRequest, Respond } from './answer.ts'
import { answering, asError, timeLeftMs } from './answer.ts'
import { codingRefusal, type RequestBody } from './body.ts'
import { JSON_PARTS_MAX, type JsonLimits, parseJson } from './json-body.ts'
import type { HttpLimits } from './limits.ts'
import { ApiError } from './problem.ts'
import type { Route } from './route.ts'

/** What the front knows about a request that it passes to fastify. */
interface Routed {
  readonly asked: ApiRequest
  readonly respond: Respond
  readonly body: RequestBody
}

/** Fastify receives it, and its handlers find it as `request.raw`. */
interface RoutedRequest extends IncomingMessage {
  readonly routed: Routed
}

export interface AppOptions {
  readonly routes: readonly Route[]
  readonly limits: HttpLimits
}

export interface ColdRoutes {
  /** Answers a request of any route. */
  serve(request: IncomingMessage, response: ServerResponse, routed: Routed): void
  close(): Promise<void>
}

const isRouted = (raw: IncomingMessage): raw is RoutedRequest => 'routed' in raw

function routedOf({ raw }: FastifyRequest): Routed {
  if (!isRouted(raw)) throw new Error('a request reached fastify without coming through the front')
  return raw.routed
}

/**
 * Fastify checks a body and does not change it. It does not check the schemas: TypeScript does (json-schema.ts), and
 * the check would take 40 ms at each start.
 */
const CHECKS = {
  allowUnionTypes: true,
  coerceTypes: false,
  useDefaults: false,
  removeAdditional: false,
  validateSchema: false,
} as const

export async function createApp({ routes, limits }: AppOptions): Promise<ColdRoutes> {
  /** Fastify does not send answers: `outflow.ts` counts the bytes that wait for clients, on all routes. */
  const takeOver = (request: FastifyRequest, reply: FastifyReply): Routed => {
    reply.hijack()
    return routedOf(request)
  }
  const fail = (error: Error, request: FastifyRequest, reply: FastifyReply): void =>
    takeOver(request, reply).respond(refusedByFastify(error))
  const app = Fastify({
    frameworkErrors: fail,
    ajv: { customOptions: CHECKS },
    schemaErrorFormatter: ([first]) =>
      new Error(first === undefined ? 'the body is refused' : faultOf(first)),
  })
  const failUnknown = (request: FastifyRequest, reply: FastifyReply): void =>
    fail(noSuchRoute(routedOf(request).asked, routes), request, reply)
  app.setNotFoundHandler(failUnknown)
  app.setErrorHandler((error, request, reply) => {
    // An unknown route, even if the request has other faults.
    if (request.is404) failUnknown(request, reply)
    else fail(asError(error), request, reply)
  })
  // `readJson` reads bodies when the route is found. The same code drops refused bodies.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => done(null))

  const readJson =
    (jsonLimits: JsonLimits) =>
    (request: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void): void => {
      const refusal = bodyRefusal(request.raw)
      if (refusal !== undefined) {
        done(refusal)
        return
      }
      const { asked, body: sent } = routedOf(request)
      const timeoutMs = timeLeftMs(asked)
      sent.read({ bytesMax: limits.requestBytesMax, tooLarge: 'request_too_large', timeoutMs }, (body) => {
        const json = body instanceof ApiError ? body : parseJson(body, jsonLimits)
        request.body = json
        done(json instanceof ApiError ? json : undefined)
      })
    }
  for (const { method, path, body, bodyPartsMax, bodyDepthMax, handle } of routes) {
    const jsonLimits = { partsMax: bodyPartsMax ?? JSON_PARTS_MAX, depthMax: bodyDepthMax ?? Infinity }
    app.route({
      method,
      url: path,
      ...(body === undefined ? {} : { schema: { body }, preValidation: readJson(jsonLimits) }),
      handler(request: FastifyRequest<{ Params: Record<string, string> }>, reply) {
        const { asked, respond } = takeOver(request, reply)
        answering(respond, () => handle(asked, request.params, request.body, respond))(undefined)
      },
    })
  }
  await app.ready()
  return {
    serve: (request, response, routed) => app.routing(Object.assign(request, { routed }), response),
    close: () => app.close(),
  }
}

/** Names the wrong field as in JavaScript: `leases.duration_ms`, `changes[3].put.key`. */
function faultOf({ keyword, instancePath, params, message }: ValidationResult): string {
  const path = instancePath
    .replaceAll(/\/([0-9]+)/g, '[$1]')
    .replaceAll('/', '.')
    .slice(1)
  const within = path === '' ? '' : `${path}.`
  if (keyword === 'additionalProperties')
    return `the body has the unknown field ${JSON.stringify(`${within}${params.additionalProperty}`)}`
  if (keyword === 'required')
    return `the body lacks the field ${JSON.stringify(`${within}${params.missingProperty}`)}`
  const named = path === '' ? 'the body' : path
  if (keyword === 'enum') return `${named} must be one of ${[params.allowedValues].flat().join(', ')}`
  if (keyword === 'type') return `${named} must be ${[params.type].flat().join(' or ')}`
  if (keyword === 'minProperties' || keyword === 'maxProperties')
    return `${named} must have exactly ${params.limit} of its fields`
  return `${named} ${message}`
}

/** 405 if the route exists with another method (RFC 9110 §15.5.6). */
function noSuchRoute({ method, path, keys }: ApiRequest, routes: readonly Route[]): ApiError {
  const allowed = keys === undefined ? methodsOf(path, routes) : KEY_METHODS
  if (allowed.length === 0) return new ApiError('not_found', `no such route: ${method} ${path}`)
  const allow = allowed.join(', ')
  return new ApiError('method_not_allowed', `${method} is not possible on ${path}, but ${allow}`, {
    headers: ['Allow', allow],
  })
}

const KEY_METHODS = ['GET', 'HEAD', 'PUT', 'DELETE']

function methodsOf(path: string, routes: readonly Route[]): string[] {
  const segments = path.split('/')
  const fitting = routes.filter((route) => {
    const wanted = route.path.split('/')
    return (
      wanted.length === segments.length &&
      wanted.every((name, i) => (name.startsWith(':') ? segments[i] !== '' : name === segments[i]))
    )
  })
  return fitting.flatMap(({ method }) => (method === 'GET' ? ['GET', 'HEAD'] : [method]))
}

/** POST requires the content type JSON, even with an empty body. No form of a web page can send that. */
function bodyRefusal({ headers }: IncomingMessage): ApiError | undefined {
  const type = headers['content-type']?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/json')
    return new ApiError('unsupported_media_type', 'POST needs application/json')
  if (headers['content-encoding'] !== undefined)
    return new ApiError('unsupported_media_type', 'Content-Encoding is not accepted')
  return codingRefusal(headers)
}

/**
 * Errors that fastify reports about a request are faults of the client, except its own failures. A `Refused` has no
 * `statusCode`.
 */
function refusedByFastify(error: Error & { readonly statusCode?: number }): Error {
  if ((error.statusCode ?? 500) < 500)
    return new ApiError(error.statusCode === 415 ? 'unsupported_media_type' : 'bad_request', error.message)
  return error
}
