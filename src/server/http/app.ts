// The routes outside the hot path. Fastify finds the route and compiles the schema of its body. Its own requests and
// replies are not used: requests have been read before, and responses are sent as on the hot path.

import type { IncomingMessage, ServerResponse } from 'node:http'
import Fastify, { type FastifyReply, type FastifyRequest, type ValidationResult } from 'fastify'
import type { OpenAccess } from '../../operations/definition.ts'
import { ApiError } from '../../operations/forms/index.ts'
import { codingRefusal, HttpError } from '../../operations/http/form.ts'
import type { Schema } from '../../operations/http/json-schema.ts'
import type { Route } from '../../operations/http/route.ts'
import { describeSchemaFault, type SchemaFault } from '../../operations/http/schema-fault.ts'
import type { Operation } from '../../operations/index.ts'
import type { WatchRequest } from '../../operations/watch.ts'
import { asError } from '../../system/errors.ts'
import { timeLeftMs } from '../api/read-options.ts'
import type { TurnQueue } from '../api/turn-queue.ts'
import { FOR_USERS, type Wanted } from '../clients/gate.ts'
import { JSON_PARTS_MAX, type JsonLimits, parseJson } from '../connections/json-body.ts'
import type { HttpRequest, HttpResponse } from '../connections/messages.ts'

/** A response of the HTTP listener itself that takes time. It is made when the client may receive it. */
export type LaterResponse = (request: HttpRequest) => Promise<HttpResponse>

/** An operation for the API, or a response of the HTTP listener itself. */
export type DecodedRequest = Operation | HttpResponse | LaterResponse

/** Receives the decoded request, or the error that refuses it. */
type DecodeCallback = (decoded: DecodedRequest | Error) => void

/** The part of an `IncomingMessage` that fastify reads. */
interface RawRequest
  extends Pick<IncomingMessage, 'method' | 'url' | 'headers' | 'httpVersion' | 'httpVersionMajor'> {
  readonly request: HttpRequest
  readonly done: DecodeCallback
}

/** A route, and what a client wants who requests it. */
export interface ServedRoute<Q extends DecodedRequest = DecodedRequest> extends Route<Q> {
  readonly wanted: Wanted
}

export const served = <Q extends DecodedRequest>(wanted: Wanted, route: Route<Q>): ServedRoute<Q> => ({
  ...route,
  wanted,
})

interface AppOptions {
  readonly routes: readonly ServedRoute[]
  readonly requestBytesMax: number
  readonly unauthenticatedBodyMs: number
  /** The time in which bodies are parsed. */
  readonly turns: TurnQueue
  readonly pageRowsMax: number
  /** Called before a watch is executed. */
  readonly openWatch: (request: HttpRequest, operation: WatchRequest) => void
}

export interface ColdRoutes {
  /** The facts of the route of a request. */
  findWanted(method: string, path: string): Wanted
  /** Decodes a request of any route. Calls `done` once, now or later. */
  decode(request: HttpRequest, url: string, done: DecodeCallback): void
  close(): Promise<void>
}

const rawRequest = ({ raw }: FastifyRequest): RawRequest => raw as unknown as RawRequest

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

/**
 * Validators by schema, compiled for the first body: compiling all takes a tenth of the start of a node, and few nodes
 * receive JSON. The servers of a process share them.
 */
const validators = new WeakMap<Schema, ReturnType<FastifyRequest['compileValidationSchema']>>()

export async function createApp({
  routes,
  requestBytesMax,
  unauthenticatedBodyMs,
  turns,
  pageRowsMax,
  openWatch,
}: AppOptions): Promise<ColdRoutes> {
  const takeOver = (request: FastifyRequest, reply: FastifyReply): RawRequest => {
    reply.hijack()
    return rawRequest(request)
  }
  const fail = (error: Error, request: FastifyRequest, reply: FastifyReply): void =>
    takeOver(request, reply).done(errorOfFastify(error))
  const app = Fastify({
    frameworkErrors: fail,
    ajv: { customOptions: CHECKS },
  })
  const failUnknown = (request: FastifyRequest, reply: FastifyReply): void =>
    fail(noSuchRoute(rawRequest(request).request, routes), request, reply)
  app.setNotFoundHandler(failUnknown)
  app.setErrorHandler((error, request, reply) => {
    // An unknown route, even if the request has other faults.
    if (request.is404) failUnknown(request, reply)
    else fail(asError(error), request, reply)
  })
  // `readJson` reads bodies when the route is known. The same code drops refused bodies.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => done(null))

  const readJson =
    (schema: Schema, jsonLimits: JsonLimits, open: OpenAccess | undefined) =>
    (fastifyRequest: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void): void => {
      const { request } = rawRequest(fastifyRequest)
      const refusal = bodyRefusal(request)
      if (refusal !== undefined) {
        done(refusal)
        return
      }
      const bytesMax = open?.requestBytesMax ?? requestBytesMax
      const timeoutMs = Math.min(timeLeftMs(request), open === undefined ? Infinity : unauthenticatedBodyMs)
      request.body.read({ bytesMax, tooLarge: 'request_too_large', timeoutMs }, (body) => {
        // A batch of small changes takes some milliseconds, and bodies of many connections may arrive at once.
        turns.run(() => {
          const json = body instanceof ApiError ? body : parseJson(body, jsonLimits)
          fastifyRequest.body = json
          done(json instanceof ApiError ? json : schemaRefusal(fastifyRequest, schema))
        })
      })
    }
  for (const { method, path, body, bodyPartsMax, bodyDepthMax, wanted, decode } of routes) {
    const jsonLimits = { partsMax: bodyPartsMax ?? JSON_PARTS_MAX, depthMax: bodyDepthMax ?? Infinity }
    app.route({
      method,
      url: path,
      ...(body === undefined ? {} : { preValidation: readJson(body, jsonLimits, wanted.open) }),
      handler(fastifyRequest: FastifyRequest<{ Params: Record<string, string> }>, reply) {
        const { request, done } = takeOver(fastifyRequest, reply)
        request.route = path
        try {
          const decoded = decode(request, fastifyRequest.params, fastifyRequest.body, pageRowsMax)
          if ('kind' in decoded && decoded.kind === 'watch') openWatch(request, decoded)
          done(decoded)
        } catch (error) {
          done(asError(error))
        }
      },
    })
  }
  await app.ready()
  const wantedOf = new Map(routes.map(({ method, path, wanted }) => [`${method} ${path}`, wanted]))
  const withParameters = routes.filter(({ path }) => path.includes(':'))
  return {
    findWanted(method, path) {
      const routed = method === 'HEAD' ? 'GET' : method
      const named = wantedOf.get(`${routed} ${path}`)
      return (
        named ??
        withParameters.find((route) => route.method === routed && fits(path, route))?.wanted ??
        FOR_USERS
      )
    },
    decode(request, url, done) {
      const { method, headers } = request
      const raw: RawRequest = { method, url, headers, httpVersion: '1.1', httpVersionMajor: 1, request, done }
      app.routing(raw as unknown as IncomingMessage, NO_RESPONSE as ServerResponse)
    },
    close: () => app.close(),
  }
}

/** Every reply is hijacked before fastify would write it. */
const NO_RESPONSE: object = {}

function schemaRefusal(request: FastifyRequest, schema: Schema): ApiError | undefined {
  const validate = validators.get(schema) ?? request.compileValidationSchema(schema)
  validators.set(schema, validate)
  if (validate(request.body)) return undefined
  const first = validate.errors?.[0]
  return new ApiError(
    'bad_request',
    first === undefined ? 'the body is refused' : describeSchemaFault(schemaFault(first)),
  )
}

/** The fault as `describeSchemaFault` takes it. Ajv names a field as a JSON Pointer. */
function schemaFault({ keyword, instancePath, params, message = '' }: ValidationResult): SchemaFault {
  const path = instancePath
    .replaceAll(/\/([0-9]+)/g, '[$1]')
    .replaceAll('/', '.')
    .slice(1)
  const name = params.additionalProperty ?? params.missingProperty
  const allowed = [params.allowedValues ?? params.type ?? params.limit].flat()
  return { keyword, path, name: typeof name === 'string' ? name : undefined, allowed, message }
}

/** 405 if the route exists with another method (RFC 9110 §15.5.6). */
function noSuchRoute(
  { method, target: { path, keys } }: HttpRequest,
  routes: readonly Route<DecodedRequest>[],
): ApiError {
  const allowed = keys === undefined ? findMethods(path, routes) : KEY_METHODS
  if (allowed.length === 0)
    return new ApiError('route_not_found', `no such route: ${method} ${path}; see /openapi.json`)
  const allow = allowed.join(', ')
  return new HttpError('method_not_allowed', `${method} is not allowed on ${path}; allowed: ${allow}`, [
    'Allow',
    allow,
  ])
}

const KEY_METHODS = ['GET', 'HEAD', 'PUT', 'DELETE']

/** Whether a path, as it was sent, is one of the route. */
function fits(path: string, route: Pick<Route<unknown>, 'path'>): boolean {
  const segments = path.split('/')
  const names = route.path.split('/')
  return (
    names.length === segments.length &&
    names.every((name, i) => (name.startsWith(':') ? segments[i] !== '' : name === segments[i]))
  )
}

function findMethods(path: string, routes: readonly Route<DecodedRequest>[]): string[] {
  const fitting = routes.filter((route) => fits(path, route))
  return fitting.flatMap(({ method }) => (method === 'GET' ? ['GET', 'HEAD'] : [method]))
}

/** A body needs the content type JSON, even if it is empty. No form of a web page can send that. */
function bodyRefusal({ method, headers }: HttpRequest): ApiError | undefined {
  const type = headers['content-type']?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/json')
    return new ApiError('unsupported_media_type', `${method} needs application/json`)
  if (headers['content-encoding'] !== undefined)
    return new ApiError('unsupported_media_type', 'Content-Encoding is not accepted')
  return codingRefusal(headers)
}

/**
 * Errors that fastify reports about a request are faults of the client, except its own failures. An `ApiError` has no
 * `statusCode`.
 */
function errorOfFastify(error: Error & { readonly statusCode?: number }): Error {
  if (error instanceof ApiError || (error.statusCode ?? 500) >= 500) return error
  return new ApiError(error.statusCode === 415 ? 'unsupported_media_type' : 'bad_request', error.message)
}
