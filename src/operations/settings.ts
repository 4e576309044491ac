// The replicated settings, as the node that is asked has applied them.

import type { HttpForm, OperationFacts } from './definition.ts'
import type { AnswerHead } from './forms/answer-head.ts'
import { CALL } from './forms/rights.ts'
import type { SettingsResult } from './forms/settings.ts'
import { jsonResponse, replayedHeader } from './http/form.ts'
import { getRequest } from './http/requests.ts'
import { route } from './http/route.ts'
import { type SettingsDocument, SettingsSchema, settingsJson } from './http/settings.ts'

export interface SettingsRequest {
  readonly kind: 'settings'
}

export const settings = {
  effect: 'read',
  isAudited: false,
  label: 'other',
  resource: 'cluster',
  demands: () => CALL,
  http: {
    routes: [
      route(
        {
          method: 'GET',
          path: '/v1/cluster/settings',
          summary: 'The replicated settings, as this node has applied them',
          answers: SettingsSchema,
        },
        () => ({ kind: 'settings' }),
      ),
    ],
    encode: () => getRequest('/v1/cluster/settings'),
    encodeResult: (result, head) => jsonResponse(settingsJson(result), replayedHeader(head), head.revision),
    decodeResult: (body) => body,
  },
} satisfies OperationFacts<unknown> & {
  readonly http: HttpForm<SettingsRequest, SettingsResult, AnswerHead, SettingsDocument>
}
