// Changes replicated settings. A setting that is absent keeps its value.

import type { EntryFacts, HttpForm } from './definition.ts'
import type { AnswerHead } from './forms/answer-head.ts'
import { jsonResponse, replayedHeader } from './forms/http.ts'
import { jsonChange, type OutgoingRequest } from './forms/http-requests.ts'
import { type Idempotency, readIdempotency } from './forms/idempotency.ts'
import { ADMINISTER, NO_LEASES } from './forms/rights.ts'
import { route } from './forms/route.ts'
import {
  decodeSettings,
  type KvSettings,
  leasesDocument,
  SettingsBody,
  type SettingsDocument,
  type SettingsResult,
  SettingsSchema,
  settingsDocument,
  settingsJson,
} from './forms/settings.ts'

export interface ChangeSettingsRequest {
  readonly kind: 'change-settings'
  readonly settings: Partial<KvSettings>
  /** Leader leases, which the core keeps. A field that is absent keeps its value. */
  readonly leases?:
    | { readonly on?: boolean | undefined; readonly durationMs?: number | undefined }
    | undefined
  readonly idempotency: Idempotency | undefined
}

const PATH = '/v1/cluster/settings'

export const changeSettings = {
  effect: 'change',
  isAudited: true,
  label: 'other',
  // The switch of leader leases is no entry of the log, so the cluster does not know a repeated change of it.
  repeat: ({ leases }) => (leases === undefined ? 'by-id' : 'never'),
  resource: 'cluster',
  room: 'takes',
  demands: () => ADMINISTER,
  leases: () => NO_LEASES,
  http: {
    routes: [
      route(
        {
          method: 'POST',
          path: PATH,
          summary: 'Change replicated settings; those that are not named stay as they are',
          takesToken: true,
          body: SettingsBody,
          answers: SettingsSchema,
        },
        ({ headers, body: { leases, ...settings } }) => ({
          kind: 'change-settings',
          settings: decodeSettings(settings),
          leases: leases && { on: leases.on, durationMs: leases.duration_ms },
          idempotency: readIdempotency(headers),
        }),
      ),
    ],
    encode: ({ settings, leases, idempotency }) =>
      encodeSettingsChange({ ...settingsDocument(settings), leases: leasesDocument(leases) }, idempotency),
    encodeResult: (result, head) => jsonResponse(settingsJson(result), replayedHeader(head), head.revision),
    decodeResult: (body) => body,
  },
} satisfies EntryFacts<{ readonly kind: string; readonly leases?: unknown }> & {
  readonly http: HttpForm<ChangeSettingsRequest, SettingsResult, AnswerHead, SettingsDocument>
}

/** `document`: settings under their names in HTTP. A newer node may know more of them than this program. */
export const encodeSettingsChange = (
  document: object,
  idempotency: Idempotency | undefined,
): OutgoingRequest => jsonChange(PATH, document, idempotency)
