// The status of the node that is asked, or of another member, which that node asks.

import type { HttpForm, OperationFacts } from './definition.ts'
import { StatusDocument, type StatusResult } from './documents/status.ts'
import { CALL } from './forms/rights.ts'
import { jsonResponse } from './http/form.ts'
import { text } from './http/parameters.ts'
import { getRequest, withQuery } from './http/requests.ts'
import { route } from './http/route.ts'

export interface StatusRequest {
  readonly kind: 'status'
  /** The name of a member; undefined: the node that receives the request. */
  readonly node?: string | undefined
}

export const status = {
  effect: 'read',
  isAudited: false,
  label: 'other',
  demands: () => CALL,
  http: {
    routes: [
      route(
        {
          method: 'GET',
          path: '/v1/status',
          summary: 'This node, or another member',
          parameters: { node: text('The name of a member; this node unless given') },
          answers: StatusDocument.schema,
        },
        ({ values: { node } }) => ({ kind: 'status', node }),
      ),
    ],
    encode: ({ node }) => getRequest(withQuery('/v1/status', { node })),
    encodeResult: (result) => jsonResponse(StatusDocument.stringify(result)),
    decodeResult: StatusDocument.decode,
  },
} satisfies OperationFacts<unknown> & { readonly http: HttpForm<StatusRequest, StatusResult> }
