// Changes replicated settings. A setting that is absent keeps its value.

import type { EntryFacts, HttpForm } from './definition.ts'
import type { AnswerHead } from './forms/answer-head.ts'
import type { Idempotency } from './forms/idempotency.ts'
import { ADMINISTER, NO_LEASES } from './forms/rights.ts'
import type { KvSettings, SettingsResult } from './forms/settings.ts'
import { jsonResponse, replayedHeader } from './http/form.ts'
import { readIdempotency } from './http/idempotency.ts'
import { jsonChange, type OutgoingRequest } from './http/requests.ts'
import { route } from './http/route.ts'
import {
  decodeSettings,
  leasesDocument,
  SettingsBody,
  type SettingsDocument,
  SettingsSchema,
  settingsDocument,
  settingsJson,
} from './http/settings.ts'

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
