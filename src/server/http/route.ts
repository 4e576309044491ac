// A route outside the hot path: what fastify and OpenAPI need to know about it, and its decoder.

import type { IncomingHttpHeaders } from 'node:http'
import type { FromSchema, Schema } from '../../operations/forms/json-schema.ts'
import { type ParameterTable, type ParameterValues, readQuery } from '../../operations/forms/parameters.ts'
import type { Operation } from '../../operations/index.ts'
import type { HttpRequest, HttpResponse } from '../connections/messages.ts'

export interface RouteRequest<P extends ParameterTable, B> {
  readonly request: HttpRequest
  readonly headers: IncomingHttpHeaders
  /** Parameters of the path. */
  readonly params: Readonly<Record<string, string>>
  /** Parameters of the query. */
  readonly values: ParameterValues<P>
  readonly body: B
}

/** The schema of an object. */
export type BodySchema = Schema & { readonly required: readonly string[] }

interface RouteFacts<P extends ParameterTable = ParameterTable, B extends BodySchema = BodySchema> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** With `:name` for a parameter. */
  readonly path: string
  readonly summary: string
  /** Parameters of the query, beside `timeout`. */
  readonly parameters?: P
  /** The route proposes a change and uses Idempotency-Key. */
  readonly takesToken?: true
  /** Body of a POST or a PUT. */
  readonly body?: B
  /** The body, which anybody may send, has at most so many bytes, and arrives within `strangerBodyMs`. */
  readonly openBodyBytesMax?: number
  /** Most commas and opening brackets of the body; JSON_PARTS_MAX unless given. */
  readonly bodyPartsMax?: number
  /** Most nested brackets of the body; without a limit unless given. */
  readonly bodyDepthMax?: number
  /** The body in OpenAPI, where a schema cannot refer to itself by `#`. */
  readonly describedBody?: BodySchema
  /** Body of a response with status 200; a string is its media type. */
  readonly answers: Schema | string
  /** The response is lines of JSON (application/x-ndjson) if Accept names them. */
  readonly answersLines?: true
  /** Headers of requests that it reads, with their meaning, beside those of all requests or of all changes. */
  readonly headers?: Readonly<Record<string, string>>
  /** Schemas that others refer to by `#/components/schemas/…`. */
  readonly schemas?: Readonly<Record<string, Schema>>
}

/** An operation for the API, or a response of the HTTP listener itself. */
export type Decoded = Operation | HttpResponse | Promise<HttpResponse>

export interface Route extends RouteFacts {
  /** `json` has been checked against `body`. Throws `ApiError`. */
  readonly decode: (
    request: HttpRequest,
    params: RouteRequest<ParameterTable, unknown>['params'],
    json: unknown,
  ) => Decoded
}

export function route<P extends ParameterTable, B extends BodySchema>(
  facts: RouteFacts<P, B>,
  decode: (request: RouteRequest<P, FromSchema<B>>) => Decoded,
): Route {
  return {
    ...facts,
    decode(request, params, json) {
      const values = readQuery(request.pairs, facts.parameters ?? ({} as P))
      // Fastify has checked it against the schema from which the type is taken.
      return decode({ request, headers: request.headers, params, values, body: json as FromSchema<B> })
    },
  }
}
