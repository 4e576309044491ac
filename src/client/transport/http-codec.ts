// Requests of the client as HTTP requests. http-results.ts has the answers.

import { encodeSettingsChange } from '../../operations/change-settings.ts'
import type { OutgoingRequest } from '../../operations/forms/http-requests.ts'
import { encodeHttpRequest } from '../../operations/index.ts'
import type { CallRequest } from '../request.ts'

/** Without the header fields that all requests of the client have. */
export const encodeRequest = (request: CallRequest): OutgoingRequest =>
  request.kind === 'change-settings'
    ? encodeSettingsChange(request.document, request.idempotency)
    : encodeHttpRequest(request)
