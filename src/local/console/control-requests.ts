// The bodies of `POST /control/…`, decoded to the requests that `kv cluster …` sends to a supervisor.

import type { IncomingMessage } from 'node:http'
import type { ControlAction } from '../../operations/documents/control.ts'
import type { FaultLink, FaultRequest } from '../../operations/documents/supervisor.ts'
import { isObject, tryParseJson } from '../../operations/forms/decode.ts'
import { ApiError } from '../../operations/forms/problems.ts'

const BODY_BYTES_MAX = 16 * 1024
const BODY_TIMEOUT_MS = 5_000

const ACTIONS: ReadonlySet<string> = new Set<ControlAction>([
  ...(['kill', 'pause', 'resume', 'restart', 'start'] as const),
  ...(['cut', 'partition', 'heal'] as const),
])

export const isControlAction = (name: string): name is ControlAction => ACTIONS.has(name)

/** Throws `ApiError` for a body that has another form. `sendContinue` is called when the body is about to be read. */
export async function readControlRequest(
  action: ControlAction,
  request: IncomingMessage,
  sendContinue: () => void,
): Promise<FaultRequest> {
  // A page of another site cannot send this type without a preflight.
  if (!/^application\/json(?:\s*;.*)?$/i.test(request.headers['content-type'] ?? ''))
    throw new ApiError('unsupported_media_type', 'the body must be application/json')
  sendContinue()
  const text = await readBody(request)
  const body = text === '' && action === 'heal' ? {} : tryParseJson(text)
  if (!isObject(body)) throw new ApiError('bad_request', 'the body must be a JSON object')
  switch (action) {
    case 'heal':
      return { command: 'heal', link: 'from' in body || 'to' in body ? readLink(body) : undefined }
    case 'cut':
      return { command: 'cut', ...readLink(body) }
    case 'partition':
      return {
        command: 'partition',
        groups: readGroups(body.groups),
        reset: readFlag(body.reset, 'reset'),
      }
    case 'start':
      return { command: 'restart', node: readName(body.node, 'node') }
    default:
      return { command: action, node: readName(body.node, 'node') }
  }
}

const readLink = ({ from, to, both }: Readonly<Record<string, unknown>>): FaultLink => ({
  from: readName(from, 'from'),
  to: readName(to, 'to'),
  both: readFlag(both, 'both'),
})

function readName(value: unknown, field: string): string {
  if (typeof value === 'string') return value
  throw new ApiError('bad_request', `${field} must be the name of a node`)
}

function readFlag(value: unknown, field: string): boolean {
  if (value === undefined || typeof value === 'boolean') return value === true
  throw new ApiError('bad_request', `${field} must be true or false`)
}

function readGroups(value: unknown): readonly (readonly string[])[] {
  if (Array.isArray(value) && value.every((group) => Array.isArray(group)))
    return value.map((group: readonly unknown[]) => group.map((name) => readName(name, 'each of the groups')))
  throw new ApiError('bad_request', 'groups must be lists of names, such as [["n1"],["n2","n3"]]')
}

function readBody(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let bytes = 0
    const end = (error?: ApiError): void => {
      clearTimeout(timer)
      request.off('data', read).off('end', onEnd).off('close', onClose)
      if (error === undefined) resolve(Buffer.concat(chunks).toString())
      else reject(error)
    }
    const onEnd = (): void => end()
    const read = (chunk: Buffer): void => {
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes > BODY_BYTES_MAX)
        end(new ApiError('request_too_large', `the body may have ${BODY_BYTES_MAX} bytes`))
    }
    const onClose = (): void => end(new ApiError('bad_request', 'the body is not complete'))
    const timer = setTimeout(
      () => end(new ApiError('bad_request', `the body did not arrive within ${BODY_TIMEOUT_MS / 1000} s`)),
      BODY_TIMEOUT_MS,
    )
    request.on('data', read).on('end', onEnd).on('close', onClose)
  })
}
