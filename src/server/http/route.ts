// A route outside the hot path: what fastify and OpenAPI must know of it, and the plain function behind it.

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

interface RouteFacts {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** With `:name` for a parameter. */
  readonly path: string
  readonly summary: string
  readonly parameters: ParameterTable
  /** It proposes a change that looks at Idempotency-Key. */
  readonly takesToken?: true
  /** Of a POST. */
  readonly body: BodySchema | undefined
  /** Of an answer with status 200. */
  readonly answers: Schema | string
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
  facts: RouteFacts & { readonly parameters: P; readonly body: B },
  handle: (request: RouteRequest<P, FromSchema<B>>, respond: Respond) => void,
): Route
export function route<P extends ParameterTable>(
  facts: RouteFacts & { readonly parameters: P; readonly body: undefined },
  handle: (request: RouteRequest<P, undefined>, respond: Respond) => void,
): Route
export function route(
  facts: RouteFacts,
  handle: (request: RouteRequest<ParameterTable, never>, respond: Respond) => void,
): Route {
  return {
    ...facts,
    handle(asked, params, json, respond) {
      const values = readQuery(asked.query, facts.parameters)
      // Checked by fastify against the very schema from which the type of the handler's body is taken.
      handle({ asked, params, values, body: json as never }, respond)
    },
  }
}
