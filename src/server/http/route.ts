// A route outside the hot path: what fastify and OpenAPI need to know about it, and its handler.

import type { ApiRequest, Respond } from './answer.ts'
import type { FromSchema, Schema } from './json-schema.ts'
import type { ParameterTable, ParameterValues } from './parameters.ts'
import { readQuery } from './parameters.ts'

export interface RouteRequest<P extends ParameterTable, B> {
  readonly asked: ApiRequest
  /** Of the path. */
  readonly params: Readonly<Record<string, string>>
  readonly values: ParameterValues<P>
  readonly body: B
}

/** Of an object. */
export type BodySchema = Schema & { readonly required: readonly string[] }

interface RouteFacts<P extends ParameterTable = ParameterTable, B extends BodySchema = BodySchema> {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** With `:name` for a parameter. */
  readonly path: string
  readonly summary: string
  /** Of the query, beside `timeout`. */
  readonly parameters?: P
  /** The route proposes a change and uses Idempotency-Key. */
  readonly takesToken?: true
  /** Of a POST. */
  readonly body?: B
  /** Commas and opening brackets of the body; JSON_PARTS_MAX unless given. */
  readonly bodyPartsMax?: number
  /** Brackets of the body within each other; without a limit unless given. */
  readonly bodyDepthMax?: number
  /** The body in OpenAPI, where a schema cannot refer to itself by `#`. */
  readonly describedBody?: BodySchema
  /** Of an answer with status 200; a string: its media type. */
  readonly answers: Schema | string
  /** Answers are lines of JSON (application/x-ndjson) if Accept names them. */
  readonly answersLines?: true
  /** Headers of requests that it reads, with what they mean, beside those that all or changes have. */
  readonly headers?: Readonly<Record<string, string>>
  /** What schemas refer to by `#/components/schemas/…`. */
  readonly schemas?: Readonly<Record<string, Schema>>
}

export interface Route extends RouteFacts {
  /** `json` has been checked against `body`. */
  readonly handle: (
    asked: ApiRequest,
    params: RouteRequest<ParameterTable, unknown>['params'],
    json: unknown,
    respond: Respond,
  ) => void
}

export function route<P extends ParameterTable, B extends BodySchema>(
  facts: RouteFacts<P, B>,
  handle: (request: RouteRequest<P, FromSchema<B>>, respond: Respond) => void,
): Route {
  return {
    ...facts,
    handle(asked, params, json, respond) {
      const values = readQuery(asked.pairs, facts.parameters ?? ({} as P))
      // Fastify has checked it against the schema from which the type is taken.
      handle({ asked, params, values, body: json as FromSchema<B> }, respond)
    },
  }
}
