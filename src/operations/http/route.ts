// A route: its facts, from which requests are checked and OpenAPI is made, and its decoder.

import { type RequestHeaders, refuseConditions } from './conditions.ts'
import type { HttpRequestHead } from './form.ts'
import type { FromSchema, Schema } from './json-schema.ts'
import { type ParameterTable, type ParameterValues, readQuery } from './parameters.ts'

interface RouteRequest<P extends ParameterTable, B> {
  readonly headers: RequestHeaders
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

/** `Q` is what its requests are decoded to. */
export interface Route<Q> extends RouteFacts {
  /** `json` has been checked against `body`. `rowsMax`: the largest page. Throws `ApiError`. */
  readonly decode: (
    request: HttpRequestHead,
    params: Readonly<Record<string, string>>,
    json: unknown,
    rowsMax: number,
  ) => Q
}

export function route<Q, P extends ParameterTable, B extends BodySchema>(
  facts: RouteFacts<P, B>,
  decode: (request: RouteRequest<P, FromSchema<B>>) => Q,
): Route<Q> {
  return {
    ...facts,
    decode({ headers, pairs }, params, json, rowsMax) {
      if (facts.method !== 'GET' && facts.headers?.['if-match'] === undefined) refuseConditions(headers)
      const values = readQuery(pairs, facts.parameters ?? ({} as P), rowsMax)
      // It was checked against the schema from which the type is taken.
      return decode({ headers, params, values, body: json as FromSchema<B> })
    },
  }
}
